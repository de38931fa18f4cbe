"""Commits that are put together."""

from __future__ import annotations

from packhouse.hosted import CommitBuilder

__all__ = ["CommitBuilder"]
