"""What every part of a snapshot rests on: its store, its commit, and how one snapshot leads to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from .changes import ChangeError, ChangeReport, FileEntry
from .tree import FileType

if TYPE_CHECKING:
    from typing_extensions import Self

    from .._native import Snapshot
    from .repository import GitStore

# A report not yet asked for; making 10,000 entries that nobody reads would cost more than the commit.
_UNREAD = ChangeReport()


class SnapshotBase:
    """A commit of a store and the ref it was reached by. It never changes and may be shared between threads."""

    __slots__ = ("_store", "_native", "_changes", "__weakref__")

    _store: GitStore
    _native: Snapshot
    _changes: Optional[ChangeReport]

    @classmethod
    def _of(cls, store: GitStore, native: Snapshot) -> Self:
        self = object.__new__(cls)
        self._store = store
        self._native = native
        self._changes = _UNREAD
        return self

    def _next(self, native: Snapshot) -> Self:
        """The snapshot after a write: this one, if nothing was committed."""
        if native.same_commit(self._native):
            return self
        return self._of(self._store, native)

    def _reported(self, native: Snapshot) -> Self:
        """The same after a bulk operation, whose report replaces this snapshot's if nothing was committed."""
        if native.same_commit(self._native):
            self._changes = _report(native)
            return self
        return self._of(self._store, native)

    @property
    def changes(self) -> Optional[ChangeReport]:
        """What the operation that made this snapshot changed, or the last dry run on it would change."""
        if self._changes is _UNREAD:
            self._changes = _report(self._native)
        return self._changes


def _report(native: Snapshot) -> Optional[ChangeReport]:
    changes = native.changes()
    if changes is None:
        return None
    add, update, delete = (
        [FileEntry(path, FileType(kind), source) for path, kind, source in part]
        for part in changes[:3]
    )
    errors, warnings = ([ChangeError(*problem) for problem in part] for part in changes[3:])
    return ChangeReport(add, update, delete, errors, warnings)


