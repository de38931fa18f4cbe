"""Branches and tags as dictionaries of snapshots."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, List, Optional

from .. import _native
from .snapshot import FS

if TYPE_CHECKING:
    from .repository import GitStore


@dataclass
class Signature:
    """Who makes the commits of a store."""

    name: str
    email: str

    @property
    def identity(self) -> bytes:
        """The name and the address as a commit has them."""
        return f"{self.name} <{self.email}>".encode()

    _identity = identity


@dataclass
class ReflogEntry:
    """One move of a branch; ids are hexadecimal, the time is in seconds."""

    old_sha: str
    new_sha: str
    committer: str
    timestamp: int
    message: str


class RefDict(MutableMapping[str, FS]):
    """The branches or the tags of a store.

    Reading gives a snapshot: writable for a branch, read-only for a tag. Assigning moves a branch wherever it was; a tag
    can be assigned once. Nothing is remembered: every access asks the repository.
    """

    __slots__ = ("_store", "_native", "_kind")

    def __init__(self, store: GitStore, native: _native.Refs, kind: str) -> None:
        self._store = store
        self._native = native
        self._kind = kind

    def __getitem__(self, name: str) -> FS:
        try:
            native = self._native.get(name)
        except UnicodeEncodeError:
            # No ref has such a name.
            raise KeyError(name) from None
        return FS._of(self._store, native)

    def __setitem__(self, name: str, fs: FS) -> None:
        self.set(name, fs)

    def __delitem__(self, name: str) -> None:
        self._native.delete(name)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self._native.contains(name)
        except UnicodeEncodeError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._native.names())

    def __len__(self) -> int:
        return self._native.count()

    def __repr__(self) -> str:
        return f"RefDict({self._kind!r}, len={len(self)})"

    def set(self, name: str, fs: FS) -> FS:
        """Points ``name`` at the commit of ``fs`` and returns the snapshot that is bound to it.

        Raises:
            TypeError: ``fs`` is not a snapshot.
            ValueError: the name is not allowed, or ``fs`` is of another repository.
            KeyError: the tag exists already.
        """
        if not isinstance(fs, FS):
            raise TypeError(f"Expected FS, got {type(fs).__name__}")
        return FS._of(self._store, self._native.set(name, fs._native))

    def set_empty(self, name: str) -> FS:
        """Points the branch ``name`` to a new commit without files and history, and returns its snapshot.

        It begins a branch where there is none to begin from. The first one of a store becomes the current branch.

        Raises:
            ValueError: the name is not allowed, or these are tags.
        """
        return FS._of(self._store, self._native.set_empty(name))

    @property
    def current_name(self) -> Optional[str]:
        """The branch that HEAD names, ``None`` if it does not exist. ValueError on tags."""
        return self._native.current_name()

    @property
    def current(self) -> Optional[FS]:
        """The snapshot of the branch that HEAD names; assign a name to change HEAD. ValueError on tags."""
        native = self._native.current()
        return None if native is None else FS._of(self._store, native)

    @current.setter
    def current(self, name: str) -> None:
        self._native.set_current(name)

    def reflog(self, name: str) -> List[ReflogEntry]:
        """Every recorded move of a branch, oldest first.

        Raises:
            ValueError: these are tags, which have no reflog.
            KeyError: there is no such branch.
            FileNotFoundError: the branch has no reflog.
        """
        return [ReflogEntry(*line) for line in self._native.reflog(name)]
