"""Deliveries of webhooks: whether they are the server's, whole, and new, and what they say."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Mapping, Optional, Sequence, Union

from packhouse import _native

from .types import (
    ParsedWebhookSignature,
    WebhookEventPayload,
    WebhookPushEvent,
    WebhookValidationOptions,
    WebhookValidationResult,
)

#: How old a delivery may be, in seconds, if nothing else is said.
DEFAULT_MAX_AGE_SECONDS = 300

Payload = Union[str, bytes, bytearray]
HeaderValue = Union[str, bytes, Sequence[str]]

_PUSH_FIELDS = ("repository", "ref", "before", "after", "customer_id", "pushed_at")


def parse_signature_header(signature: str) -> Optional[ParsedWebhookSignature]:
    """The parts of the header ``X-Pierre-Signature``; None if it is malformed."""
    found = _native.parse_signature_header(signature)
    return None if found is None else {"timestamp": found[0], "signature": found[1]}


def validate_webhook_signature(
    payload: Payload,
    signature_header: str,
    secret: str,
    options: Optional[WebhookValidationOptions] = None,
) -> WebhookValidationResult:
    """Whether the payload was signed with the secret, and not too long ago.

    ``max_age_seconds`` of the options is 300 if absent; 0 or less: whenever. The result has ``valid``, and ``error`` or
    ``timestamp``.
    """
    body = payload.encode() if isinstance(payload, str) else bytes(payload)
    age = (options or {}).get("max_age_seconds", DEFAULT_MAX_AGE_SECONDS)
    timestamp, error = _native.verify_signature(body, signature_header, secret, int(age))
    if error is not None:
        return {"valid": False, "error": error}
    return {"valid": True, "timestamp": timestamp}


def validate_webhook(
    payload: Payload,
    headers: Mapping[str, HeaderValue],
    secret: str,
    options: Optional[WebhookValidationOptions] = None,
) -> WebhookValidationResult:
    """The same by the headers of the request, and the event if it is valid.

    The result of a valid delivery has ``event_type`` and ``payload``: a push with ``pushed_at`` as a datetime, or the
    ``type`` and the ``raw`` body of another event.
    """
    signature, problem = _header(headers, "X-Pierre-Signature")
    if signature is None:
        return {"valid": False, "error": problem}
    event_type, problem = _header(headers, "X-Pierre-Event")
    if event_type is None:
        return {"valid": False, "error": problem}
    result = validate_webhook_signature(payload, signature, secret, options)
    if not result["valid"]:
        return result
    result["event_type"] = event_type
    try:
        raw = json.loads(payload)
    except ValueError:
        return {"valid": False, "error": "Invalid JSON payload", "timestamp": result["timestamp"]}
    try:
        result["payload"] = _event(event_type, raw)
    except (KeyError, TypeError, ValueError) as error:
        return {
            "valid": False,
            "error": f"Invalid {event_type} event payload: {error}",
            "event_type": event_type,
            "timestamp": result["timestamp"],
        }
    return result


def _header(headers: Mapping[str, HeaderValue], name: str) -> tuple[Optional[str], str]:
    """A header in any case of its name, or what is wrong with it."""
    found = headers.get(name.lower(), headers.get(name))
    if found is None:
        wanted = name.lower()
        found = next((value for key, value in headers.items() if key.lower() == wanted), None)
    if isinstance(found, bytes):
        found = found.decode("latin-1")
    if found is None or found == "":
        return None, f"Missing {name} header"
    if not isinstance(found, str):
        return None, f"More than one {name} header"
    return found, ""


def _event(kind: str, raw: Any) -> WebhookEventPayload:
    if kind != "push":
        return {"type": kind, "raw": raw}
    if not isinstance(raw, dict):
        raise TypeError("it is no object")
    for field in _PUSH_FIELDS:
        if field not in raw:
            raise KeyError(field)
    repository = raw["repository"]
    event: WebhookPushEvent = {
        "type": "push",
        "repository": {"id": repository["id"], "url": repository["url"]},
        "ref": raw["ref"],
        "before": raw["before"],
        "after": raw["after"],
        "customer_id": raw["customer_id"],
        "pushed_at": parse_time(raw["pushed_at"]),
        "raw_pushed_at": raw["pushed_at"],
    }
    return event


def parse_time(text: str) -> datetime:
    """An RFC 3339 time, also in Pythons that know no ``Z`` and only fractions of three or six digits."""
    if text.endswith(("Z", "z")):
        text = text[:-1] + "+00:00"
    head, dot, tail = text.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        text = f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"
    return datetime.fromisoformat(text)
