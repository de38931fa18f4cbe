"""Deliveries of webhooks."""

from __future__ import annotations

from packhouse.hosted.webhook import (
    DEFAULT_MAX_AGE_SECONDS,
    parse_signature_header,
    validate_webhook,
    validate_webhook_signature,
)

__all__ = ["DEFAULT_MAX_AGE_SECONDS", "parse_signature_header", "validate_webhook", "validate_webhook_signature"]
