"""What an operation changed, or would change: plain values, comparable and easy to build in a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import List, Optional

from .tree import FileType


class ChangeActionKind(str, Enum):
    """What happened to one path."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"

    def __str__(self) -> str:
        return self.value


@dataclass
class ChangeAction:
    """One path and what happened to it."""

    path: str
    action: ChangeActionKind


@dataclass
class ChangeError:
    """A path that could not be handled, and why."""

    path: str
    error: str


@dataclass
class FileEntry:
    """A changed file: where it is, what it is, and the source it came from (``None`` when there was none)."""

    path: str
    type: FileType
    src: Optional[str] = None

    @classmethod
    def from_mode(cls, path: str, mode: int, src: Optional[str] = None) -> FileEntry:
        """The entry of a file with this Git mode."""
        return cls(path, FileType.from_filemode(mode), src)


@dataclass
class ChangeReport:
    """Files added, updated and deleted, with the errors and warnings met on the way."""

    add: List[FileEntry] = field(default_factory=list)
    update: List[FileEntry] = field(default_factory=list)
    delete: List[FileEntry] = field(default_factory=list)
    errors: List[ChangeError] = field(default_factory=list)
    warnings: List[ChangeError] = field(default_factory=list)

    @property
    def in_sync(self) -> bool:
        """Whether nothing is added, updated or deleted."""
        return not (self.add or self.update or self.delete)

    @property
    def total(self) -> int:
        """How many files are added, updated or deleted."""
        return len(self.add) + len(self.update) + len(self.delete)

    def actions(self) -> List[ChangeAction]:
        """Every change as one list, sorted by path."""
        kinds = (
            (ChangeActionKind.ADD, self.add),
            (ChangeActionKind.UPDATE, self.update),
            (ChangeActionKind.DELETE, self.delete),
        )
        actions = [ChangeAction(entry.path, kind) for kind, entries in kinds for entry in entries]
        return sorted(actions, key=lambda action: action.path)
