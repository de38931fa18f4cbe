"""The errors that are not built in. Paths, keys, values and permissions raise Python's own."""

from __future__ import annotations

from .._native import GitError, StaleSnapshotError

__all__ = ["GitError", "StaleSnapshotError"]
