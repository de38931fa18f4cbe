"""Copying, as ``gitstore.copy``."""

from packhouse.store import disk_glob

from ._types import (
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
    "disk_glob",
]
