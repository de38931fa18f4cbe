"""Snapshots, as ``gitstore.fs``."""

from packhouse.store import FS, StatResult, WriteEntry, retry_write
from packhouse.store.errors import StaleSnapshotError

__all__ = ["FS", "StaleSnapshotError", "StatResult", "WriteEntry", "retry_write"]
