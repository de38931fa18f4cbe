"""The snapshot itself: its commit, its history, and writing again after somebody else was faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, Optional, Union

from .. import _native
from .archives import SnapshotArchives
from .arguments import Data, Mode, RepoPath, data_bytes, hash_text, mode_name
from .base import _UNREAD
from .errors import StaleSnapshotError

if TYPE_CHECKING:
    from datetime import datetime

    from .repository import GitStore

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.2


class FS(SnapshotArchives):
    """An immutable snapshot of a store: the files of one commit.

    Methods that write make a commit and return a new snapshot; this one stays as it is. Snapshots of branches are
    writable, those of tags are not.
    """

    __slots__ = ()

    def __init__(
        self,
        store: GitStore,
        commit_oid: Union[str, bytes],
        ref_name: Optional[str] = None,
        *,
        writable: Optional[bool] = None,
    ) -> None:
        self._store = store
        self._native = store._native.snapshot_at(
            hash_text(commit_oid),
            ref_name,
            ref_name is not None if writable is None else writable,
        )
        self._changes = _UNREAD

    def __repr__(self) -> str:
        parts = [f"commit={self.commit_hash[:7]}"]
        if self.ref_name is not None:
            parts.insert(0, f"ref_name={self.ref_name!r}")
        if not self.writable:
            parts.append("readonly")
        return f"FS({', '.join(parts)})"

    @property
    def store(self) -> GitStore:
        """The store this is a snapshot of."""
        return self._store

    @property
    def writable(self) -> bool:
        """Whether it can be written to."""
        return self._native.writable

    @property
    def commit_hash(self) -> str:
        """The id of the commit."""
        return self._native.commit_hash

    @property
    def hash(self) -> str:
        """The id of the commit."""
        return self._native.commit_hash

    @property
    def tree_hash(self) -> str:
        """The id of the root tree."""
        return self._native.tree_hash

    @property
    def ref_name(self) -> Optional[str]:
        """The branch or tag it was reached by, ``None`` if it is detached."""
        return self._native.ref_name

    @property
    def branch(self) -> Optional[str]:
        """The branch it can be written to, ``None`` if it cannot."""
        return self._native.ref_name if self._native.writable else None

    @property
    def message(self) -> str:
        """The commit message, without newlines at the end."""
        return self._native.message

    @property
    def time(self) -> datetime:
        """The time of the commit, in its own time zone.

        The epoch if the commit says none, and the end of the year 9999 if it is later; UTC if the time zone is none.
        """
        from datetime import datetime, timedelta, timezone

        seconds, offset_minutes = self._native.time
        zone = timezone(timedelta(minutes=offset_minutes))
        return datetime.fromtimestamp(seconds, zone)

    @property
    def author_name(self) -> str:
        """The name of the author."""
        return self._native.author_name

    @property
    def author_email(self) -> str:
        """The address of the author."""
        return self._native.author_email

    def close(self) -> None:
        """Does nothing: a snapshot holds nothing open."""

    @property
    def parent(self) -> Optional[FS]:
        """The snapshot before this one, ``None`` for the first."""
        native = self._native.parent()
        return None if native is None else self._of(self._store, native)

    def back(self, n: int = 1) -> FS:
        """The snapshot ``n`` commits before this one.

        Raises:
            ValueError: ``n`` is negative, or there are not that many.
        """
        if n < 0:
            raise ValueError("back() needs n >= 0")
        return self._of(self._store, self._native.back(n))

    def log(
        self,
        path: Optional[RepoPath] = None,
        *,
        match: Optional[str] = None,
        before: Optional[datetime] = None,
    ) -> Iterator[FS]:
        """This snapshot and those before it, newest first, lazily.

        Args:
            path: only commits that changed this file or directory.
            match: only commits whose message matches this shell pattern.
            before: skip what is newer than this (UTC if it has no time zone).
        """
        seconds = None
        if before is not None:
            from datetime import datetime, timezone

            if not isinstance(before, datetime):
                raise TypeError(f"expected datetime, got {type(before).__name__}")
            if before.tzinfo is None:
                before = before.replace(tzinfo=timezone.utc)
            seconds = int(before.timestamp() // 1)
        store = self._store
        return (self._of(store, native) for native in self._native.log(path, match, seconds))

    def undo(self, steps: int = 1) -> FS:
        """Moves the branch back ``steps`` commits and returns the snapshot there.

        Raises:
            ValueError: ``steps`` is less than 1 or more than there are.
            StaleSnapshotError: the branch has moved since.
        """
        return self._of(self._store, self._native.undo(_steps(steps)))

    def redo(self, steps: int = 1) -> FS:
        """Moves the branch to where it was before, ``steps`` reflog entries back; after an undo, that takes it back."""
        return self._of(self._store, self._native.redo(_steps(steps)))

    def squash(self, *, parent: Optional[FS] = None, message: Optional[str] = None) -> FS:
        """A detached snapshot with the same files, as a commit without history or with one parent."""
        if parent is not None and not isinstance(parent, FS):
            raise TypeError(f"Expected FS, got {type(parent).__name__}")
        return self._of(
            self._store, self._native.squash(None if parent is None else parent._native, message)
        )


def _steps(steps: int) -> int:
    if steps < 1:
        raise ValueError("steps must be >= 1")
    return steps


def retry_write(
    store: GitStore,
    branch: str,
    path: RepoPath,
    data: Data,
    *,
    message: Optional[str] = None,
    mode: Mode = None,
    retries: int = 5,
) -> FS:
    """Writes to the newest state of a branch, again and with growing pauses when somebody else was faster.

    Raises:
        StaleSnapshotError: somebody else was faster ``retries`` times in a row.
        KeyError: there is no such branch.
    """

    if FS.write is _FS_WRITE:
        native = store._native.write_to_newest(
            branch, path, data_bytes(data), message, mode_name(mode), max(retries, 1)
        )
        return FS._of(store, native)

    # Somebody has put another `write` in place, and wants it called.
    def write_to_newest() -> FS:
        return store.branches[branch].write(path, data, message=message, mode=mode)

    attempt = 0
    while True:
        try:
            # In one turn, only programs that know nothing of turns, such as Git, can be faster.
            return store._native.exclusively(write_to_newest)
        except StaleSnapshotError:
            attempt += 1
            if attempt >= retries:
                raise
        _pause(attempt)


_FS_WRITE = FS.write


def _pause(attempt: int) -> None:
    # Both are needed by the losers of a race alone, and `random` takes long to import.
    import random
    import time

    time.sleep(random.uniform(0, min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)))
