"""What a tree holds: file types, the entries of a listing, and what ``apply`` is given."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Optional, Union


class FileType(str, Enum):
    """What an entry of a tree is. ``COMMIT`` (a submodule) appears only in repositories that other programs wrote."""

    BLOB = "blob"
    EXECUTABLE = "executable"
    LINK = "link"
    TREE = "tree"
    COMMIT = "commit"

    def __str__(self) -> str:
        return self.value

    @property
    def filemode(self) -> int:
        """The mode that Git stores for this type."""
        return _MODES[self]

    @classmethod
    def from_filemode(cls, mode: int) -> FileType:
        """The type of a stored mode.

        Modes that old programs wrote (such as 0o100664) count as what Git takes them for.

        Raises:
            KeyError: the mode is of no kind that Git knows.
        """
        kind = _TYPES.get(mode & 0o170000)
        if kind is None:
            raise KeyError(mode)
        if kind is FileType.BLOB and mode & 0o100:
            return FileType.EXECUTABLE
        return kind


_MODES = {
    FileType.BLOB: 0o100644,
    FileType.EXECUTABLE: 0o100755,
    FileType.LINK: 0o120000,
    FileType.TREE: 0o040000,
    FileType.COMMIT: 0o160000,
}
_TYPES = {
    mode & 0o170000: kind for kind, mode in _MODES.items() if kind is not FileType.EXECUTABLE
}


class WalkEntry(NamedTuple):
    """A name in a listing, with its object and mode.

    It is a tuple of three, and yet compares, sorts, hashes and prints as its name alone.
    """

    name: str
    oid: bytes
    mode: int

    @property
    def file_type(self) -> FileType:
        """What the entry is."""
        return FileType.from_filemode(self.mode)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return repr(self.name)

    def __fspath__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return format(self.name, spec)

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, WalkEntry):
            return self.name == other.name
        if isinstance(other, str):
            return self.name == other
        return tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    # Against anything else `str` answers: NotImplemented, and so a TypeError.
    def __lt__(self, other: object) -> bool:
        return self.name.__lt__(_name(other))

    def __le__(self, other: object) -> bool:
        return self.name.__le__(_name(other))

    def __gt__(self, other: object) -> bool:
        return self.name.__gt__(_name(other))

    def __ge__(self, other: object) -> bool:
        return self.name.__ge__(_name(other))


def _name(other: object) -> str:
    return other.name if isinstance(other, WalkEntry) else other  # type: ignore[return-value]


@dataclass(frozen=True)
class StatResult:
    """What ``FS.stat`` answers.

    ``mode`` is the Git mode, ``size`` is in bytes (0 for directories), ``nlink`` is 1 for files and 2 plus the number
    of subdirectories for directories, ``mtime`` is the time of the commit in seconds.
    """

    mode: int
    file_type: FileType
    size: int
    hash: str
    nlink: int
    mtime: float


@dataclass(frozen=True)
class WriteEntry:
    """What ``FS.apply`` writes to one path: ``data`` (bytes, text or a local ``Path``) or the ``target`` of a link."""

    data: Union[bytes, str, os.PathLike[str], None] = None
    mode: Union[FileType, int, None] = None
    target: Optional[str] = None

    def __post_init__(self) -> None:
        if self.data is not None and self.target is not None:
            raise ValueError("Cannot specify both data and target")
        if self.data is None and self.target is None:
            raise ValueError("Must specify either data or target")
        if self.target is not None and self.mode is not None:
            raise ValueError("Cannot specify mode for symlinks")


class BlobOid(bytes):
    """The id of a blob: 40 hexadecimal digits as bytes."""
