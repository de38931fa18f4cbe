"""Errors, as ``gitstore.exceptions``."""

from packhouse.store import GitError, StaleSnapshotError

__all__ = ["GitError", "StaleSnapshotError"]
