"""Snapshots whose methods are coroutines."""

from __future__ import annotations

from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Iterable,
    Optional,
    Type,
)

from .. import snapshot
from ..arguments import RepoPath
from ..batch import Batch as SyncBatch
from ..changes import ChangeReport
from .calls import (
    Wrapper,
    gives_snapshot,
    gives_snapshot_long,
    iterates,
    iterates_snapshots,
    on_store,
    plain,
    reads,
    writes,
    writes_long,
)
from .files import FileReader, FileWriter
from .running import Lazy, Opening, finish, run

if TYPE_CHECKING:
    from datetime import datetime

    from .repository import GitStore

Sync = snapshot.FS


class FS(Wrapper):
    """An immutable snapshot, as :class:`packhouse.store.FS`: the same calls, each to be awaited."""

    __slots__ = ("_store",)

    sync: snapshot.FS

    def __init__(self, store: GitStore, sync: snapshot.FS) -> None:
        self._store = store
        self.sync = sync

    def _wrap(self, result: Any) -> Any:
        if result is self.sync:
            return self
        return FS(self._store, result) if isinstance(result, Sync) else result

    def __repr__(self) -> str:
        return repr(self.sync)

    @property
    def store(self) -> GitStore:
        """The store this is a snapshot of."""
        return self._store

    @property
    def writable(self) -> bool:
        """Whether it can be written to."""
        return self.sync.writable

    @property
    def commit_hash(self) -> str:
        """The id of the commit."""
        return self.sync.commit_hash

    @property
    def hash(self) -> str:
        """The id of the commit."""
        return self.sync.commit_hash

    @property
    def tree_hash(self) -> str:
        """The id of the root tree."""
        return self.sync.tree_hash

    @property
    def ref_name(self) -> Optional[str]:
        """The branch or tag it was reached by."""
        return self.sync.ref_name

    @property
    def branch(self) -> Optional[str]:
        """The branch it can be written to."""
        return self.sync.branch

    @property
    def message(self) -> str:
        """The commit message, without newlines at the end."""
        return self.sync.message

    @property
    def time(self) -> datetime:
        """The time of the commit."""
        return self.sync.time

    @property
    def author_name(self) -> str:
        """The name of the author."""
        return self.sync.author_name

    @property
    def author_email(self) -> str:
        """The address of the author."""
        return self.sync.author_email

    @property
    def changes(self) -> Optional[ChangeReport]:
        """What the operation that made this snapshot changed, or the last dry run on it would change."""
        return self.sync.changes

    def close(self) -> None:
        """Does nothing."""

    read = reads(Sync.read)
    read_text = reads(Sync.read_text)
    read_by_hash = reads(Sync.read_by_hash)
    readlink = reads(Sync.readlink)
    ls = reads(Sync.ls)
    listdir = reads(Sync.listdir)
    exists = reads(Sync.exists)
    is_dir = reads(Sync.is_dir)
    file_type = reads(Sync.file_type)
    size = reads(Sync.size)
    object_hash = reads(Sync.object_hash)
    stat = reads(Sync.stat)
    glob = reads(Sync.glob)

    walk = iterates(Sync.walk)
    iglob = iterates(Sync.iglob)

    def open(
        self, path: RepoPath, mode: str = "rb", *, parents: Optional[Iterable[FS]] = None
    ) -> Opening[Any]:
        """A :class:`FileReader` or :class:`FileWriter`, by ``await`` or ``async with``."""
        if mode in ("wb", "w"):
            return self.writer(path, mode, parents=parents)

        async def opened() -> FileReader:
            return FileReader(await run(self.sync.open, path, mode))  # type: ignore[arg-type]

        return Opening(opened)

    write = gives_snapshot(Sync.write)
    write_text = gives_snapshot(Sync.write_text)
    write_from_file = gives_snapshot(Sync.write_from_file)
    write_symlink = gives_snapshot(Sync.write_symlink)
    apply = gives_snapshot(Sync.apply)
    remove = gives_snapshot(Sync.remove)
    move = gives_snapshot(Sync.move)
    copy_from_ref = gives_snapshot(Sync.copy_from_ref)
    copy_in = gives_snapshot_long(Sync.copy_in)
    copy_out = gives_snapshot_long(Sync.copy_out)
    sync_in = gives_snapshot_long(Sync.sync_in)
    sync_out = gives_snapshot_long(Sync.sync_out)
    dump = writes(Sync.dump)
    archive_out = writes_long(Sync.archive_out)
    archive_in = gives_snapshot_long(Sync.archive_in)

    def writer(
        self,
        path: RepoPath,
        mode: str = "wb",
        *,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Opening[FileWriter]:
        """A file to write to, by ``await`` or ``async with``; closing it commits."""

        async def opened() -> FileWriter:
            others = plain(list(parents or ()))
            writer = run(self.sync.writer, path, mode, message=message, parents=others)
            return FileWriter(await writer, self._wrap)

        return Opening(opened)

    def batch(
        self,
        message: Optional[str] = None,
        operation: Optional[str] = None,
        *,
        parents: Optional[Iterable[FS]] = None,
    ) -> Opening[Batch]:
        """Gathers changes, by ``await`` or ``async with``, and makes one commit of them at its end."""

        async def opened() -> Batch:
            others = plain(list(parents or ()))
            return Batch(self, await run(self.sync.batch, message, operation, parents=others))

        return Opening(opened)

    @property
    def parent(self) -> Lazy[Optional[FS]]:
        """To be awaited: the snapshot before this one, ``None`` for the first."""
        return Lazy(self._parent)

    async def _parent(self) -> Optional[FS]:
        parent = await run(lambda: self.sync.parent)
        return None if parent is None else FS(self._store, parent)

    log = iterates_snapshots(Sync.log)
    back = gives_snapshot(Sync.back)
    undo = gives_snapshot(Sync.undo)
    redo = gives_snapshot(Sync.redo)
    squash = gives_snapshot(Sync.squash)


class Batch(Wrapper):
    """Changes that become one commit, as :class:`packhouse.store.Batch`."""

    __slots__ = ("_base", "fs")

    sync: SyncBatch

    def __init__(self, base: FS, sync: SyncBatch) -> None:
        self._base = base
        self.sync = sync
        self.fs: Optional[FS] = None

    @property
    def closed(self) -> bool:
        """Whether the batch was committed or given up."""
        return self.sync.closed

    write = writes(SyncBatch.write)
    write_text = writes(SyncBatch.write_text)
    write_from_file = writes(SyncBatch.write_from_file)
    write_symlink = writes(SyncBatch.write_symlink)
    remove = writes(SyncBatch.remove)

    def writer(self, path: RepoPath, mode: str = "wb") -> Opening[FileWriter]:
        """A file to write to, by ``await`` or ``async with``; closing it adds it to the batch."""

        async def opened() -> FileWriter:
            return FileWriter(await run(self.sync.writer, path, mode))

        return Opening(opened)

    open = writer

    async def commit(self) -> FS:
        """Makes the commit and returns its snapshot."""
        self.fs = self._base._wrap(await finish(self.sync.commit))
        return self.fs

    async def __aenter__(self) -> Batch:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await finish(self.sync.__exit__, kind, error, trace)
        if self.sync.fs is not None and self.fs is None:
            self.fs = self._base._wrap(self.sync.fs)


retry_write = on_store(snapshot.retry_write)
