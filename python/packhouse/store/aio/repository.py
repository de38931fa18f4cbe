"""The store, whose methods are coroutines."""

from __future__ import annotations

from typing import Any

from .. import repository
from ..refs import Signature
from ..snapshot import FS as SyncFS
from .calls import Wrapper, gives_snapshot, reads, writes_long
from .refs import NoteDict, RefDict
from .running import finish
from .snapshot import FS

Sync = repository.GitStore


class GitStore(Wrapper):
    """A versioned file store, as :class:`packhouse.store.GitStore`: ``await GitStore.open("data.git")``."""

    __slots__ = ()

    sync: repository.GitStore

    def __init__(self, sync: repository.GitStore) -> None:
        self.sync = sync

    @classmethod
    async def open(cls, path: Any, **options: Any) -> GitStore:
        """Opens or creates a store, with the arguments of :meth:`packhouse.store.GitStore.open`."""
        return cls(await finish(Sync.open, path, **options))

    def _wrap(self, result: Any) -> Any:
        return FS(self, result) if isinstance(result, SyncFS) else result

    def __repr__(self) -> str:
        return repr(self.sync)

    @property
    def path(self) -> str:
        """The absolute path of the repository."""
        return self.sync.path

    @property
    def signature(self) -> Signature:
        """Who makes the commits."""
        return self.sync.signature

    @property
    def branches(self) -> RefDict:
        """The branches."""
        return RefDict(self, self.sync.branches)

    @property
    def tags(self) -> RefDict:
        """The tags."""
        return RefDict(self, self.sync.tags)

    @property
    def notes(self) -> NoteDict:
        """The notes, by namespace."""
        return NoteDict(self)

    fs = gives_snapshot(Sync.fs)
    read_by_hash = reads(Sync.read_by_hash)
    has_hash = reads(Sync.has_hash)
    pack = writes_long(Sync.pack)
    gc = writes_long(Sync.gc)
    backup = writes_long(Sync.backup)
    restore = writes_long(Sync.restore)
    bundle_export = writes_long(Sync.bundle_export)
    bundle_import = writes_long(Sync.bundle_import)
