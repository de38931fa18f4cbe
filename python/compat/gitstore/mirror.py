"""Backup and restore, as ``gitstore.mirror``."""

from packhouse.store import (
    MirrorDiff,
    RefChange,
    bundle_export,
    bundle_import,
    resolve_credentials,
)

__all__ = ["MirrorDiff", "RefChange", "bundle_export", "bundle_import", "resolve_credentials"]
