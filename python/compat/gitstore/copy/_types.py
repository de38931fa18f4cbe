"""Reports, as ``gitstore.copy._types``."""

from packhouse.store import (
    ChangeAction,
    ChangeActionKind,
    ChangeError,
    ChangeReport,
    FileEntry,
    FileType,
)

__all__ = [
    "ChangeAction",
    "ChangeActionKind",
    "ChangeError",
    "ChangeReport",
    "FileEntry",
    "FileType",
]
