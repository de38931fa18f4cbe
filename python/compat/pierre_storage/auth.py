"""Tokens."""

from __future__ import annotations

from packhouse.hosted import encode_refs_claim, generate_jwt

__all__ = ["encode_refs_claim", "generate_jwt"]
