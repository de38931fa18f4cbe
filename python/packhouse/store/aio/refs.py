"""Branches, tags and notes whose methods are coroutines."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, AsyncIterator, List, Optional, Tuple, Type, TypeVar, Union

from .. import notes, refs
from ..snapshot import FS as SyncFS
from .calls import Wrapper, plain, reads, writes
from .running import Lazy, finish, iterate, run
from .snapshot import FS

if TYPE_CHECKING:
    from .repository import GitStore

T = TypeVar("T")


class RefDict(Wrapper):
    """The branches or the tags of a store: ``await store.branches["main"]``, ``await store.branches.set("dev", fs)``."""

    __slots__ = ("_store",)

    sync: refs.RefDict

    def __init__(self, store: GitStore, sync: refs.RefDict) -> None:
        self._store = store
        self.sync = sync

    def __getitem__(self, name: str) -> Lazy[FS]:
        async def found() -> FS:
            return FS(self._store, await run(self.sync.__getitem__, name))

        return Lazy(found)

    async def get(self, name: str, default: Optional[T] = None) -> Union[FS, Optional[T]]:
        """The snapshot of a ref, or ``default``."""
        try:
            return await self[name]
        except KeyError:
            return default

    async def set(self, name: str, fs: FS) -> FS:
        """Points ``name`` at the commit of ``fs`` and returns the snapshot that is bound to it."""
        return FS(self._store, await finish(self.sync.set, name, plain(fs)))

    async def set_empty(self, name: str) -> FS:
        """Points the branch ``name`` to a new commit without files and history, and returns its snapshot."""
        return FS(self._store, await finish(self.sync.set_empty, name))

    async def delete(self, name: str) -> None:
        """Deletes a ref. KeyError if it is not there."""
        await finish(self.sync.__delitem__, name)

    async def contains(self, name: str) -> bool:
        """Whether there is such a ref."""
        return await run(self.sync.__contains__, name)

    async def keys(self) -> List[str]:
        """The names."""
        return await run(list, self.sync)

    async def count(self) -> int:
        """How many there are."""
        return await run(len, self.sync)

    def __aiter__(self) -> AsyncIterator[str]:
        return iterate(lambda: iter(self.sync), lambda name: name)

    def items(self) -> AsyncIterator[Tuple[str, FS]]:
        """The names with their snapshots."""
        return iterate(
            lambda: iter(self.sync.items()), lambda item: (item[0], FS(self._store, item[1]))
        )

    def values(self) -> AsyncIterator[FS]:
        """The snapshots."""
        return iterate(lambda: iter(self.sync.values()), lambda fs: FS(self._store, fs))

    async def pop(self, name: str, *default: T) -> Union[FS, T]:
        """Deletes a ref and returns its snapshot; ``default``, or KeyError, if it is not there."""
        found: Union[SyncFS, T] = await finish(lambda: self.sync.pop(name, *default))
        return FS(self._store, found) if isinstance(found, SyncFS) else found

    @property
    def current_name(self) -> Lazy[Optional[str]]:
        """To be awaited: the branch that HEAD names, ``None`` if it does not exist."""
        return Lazy(lambda: run(lambda: self.sync.current_name))

    @property
    def current(self) -> Lazy[Optional[FS]]:
        """To be awaited: the snapshot of the branch that HEAD names."""
        return Lazy(self._current)

    async def _current(self) -> Optional[FS]:
        current = await run(lambda: self.sync.current)
        return None if current is None else FS(self._store, current)

    async def set_current(self, name: str) -> None:
        """Makes HEAD name a branch."""
        await finish(setattr, self.sync, "current", name)

    reflog = reads(refs.RefDict.reflog)


class NoteDict:
    """The namespaces of a store's notes."""

    __slots__ = ("_store",)

    def __init__(self, store: GitStore) -> None:
        self._store = store

    def __getitem__(self, namespace: str) -> NoteNamespace:
        return NoteNamespace(self._store.sync.notes[namespace])

    @property
    def commits(self) -> NoteNamespace:
        """The namespace that ``git notes`` uses by default."""
        return self["commits"]


class NoteNamespace(Wrapper):
    """The notes of one namespace: ``await notes[key]``, ``await notes.set(key, text)``."""

    __slots__ = ()

    sync: notes.NoteNamespace

    def __init__(self, sync: notes.NoteNamespace) -> None:
        self.sync = sync

    def __getitem__(self, key: Union[str, FS]) -> Lazy[str]:
        return Lazy(lambda: run(self.sync.__getitem__, plain(key)))

    async def get(self, key: Union[str, FS], default: Optional[T] = None) -> Union[str, Optional[T]]:
        """A note, or ``default``."""
        try:
            return await self[key]
        except KeyError:
            return default

    async def set(self, key: Union[str, FS], text: str) -> None:
        """Sets a note."""
        await finish(self.sync.__setitem__, plain(key), text)

    async def delete(self, key: Union[str, FS]) -> None:
        """Removes a note. KeyError if it is not there."""
        await finish(self.sync.__delitem__, plain(key))

    async def contains(self, key: Union[str, FS]) -> bool:
        """Whether there is such a note."""
        return await run(self.sync.__contains__, plain(key))

    async def keys(self) -> List[str]:
        """The commits that have notes."""
        return await run(list, self.sync)

    async def count(self) -> int:
        """How many commits have notes."""
        return await run(len, self.sync)

    async def pop(self, key: Union[str, FS], *default: T) -> Union[str, T]:
        """Removes a note and returns it; ``default``, or KeyError, if it is not there."""
        return await finish(lambda: self.sync.pop(plain(key), *default))

    def __aiter__(self) -> AsyncIterator[str]:
        return iterate(lambda: iter(self.sync), lambda key: key)

    def items(self) -> AsyncIterator[Tuple[str, str]]:
        """The commits with their notes."""
        return iterate(lambda: iter(self.sync.items()), lambda item: item)

    def values(self) -> AsyncIterator[str]:
        """The notes."""
        return iterate(lambda: iter(self.sync.values()), lambda text: text)

    @property
    def for_current_branch(self) -> Lazy[str]:
        """To be awaited: the note of the commit that the current branch is at."""
        return Lazy(lambda: run(lambda: self.sync.for_current_branch))

    async def set_for_current_branch(self, text: str) -> None:
        """Sets that note."""
        await finish(setattr, self.sync, "for_current_branch", text)

    def batch(self) -> NotesBatch:
        """Gathers changes in an ``async with`` block and makes one commit of them at its end."""
        return NotesBatch(self.sync.batch())


class NotesBatch(Wrapper):
    """Changes to notes that become one commit."""

    __slots__ = ()

    sync: notes.NotesBatch

    def __init__(self, sync: notes.NotesBatch) -> None:
        self.sync = sync

    async def set(self, key: Union[str, FS], text: str) -> None:
        """Sets a note."""
        await run(self.sync.__setitem__, plain(key), text)

    async def delete(self, key: Union[str, FS]) -> None:
        """Removes a note."""
        await run(self.sync.__delitem__, plain(key))

    commit = writes(notes.NotesBatch.commit)

    async def __aenter__(self) -> NotesBatch:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await finish(self.sync.__exit__, kind, error, trace)
