"""Exceptions."""

from __future__ import annotations

from packhouse.hosted import ApiError, RefUpdateError

__all__ = ["ApiError", "RefUpdateError"]
