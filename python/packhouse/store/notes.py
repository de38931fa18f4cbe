"""Notes: text attached to commits, in refs/notes/<namespace>, as `git notes` reads and writes it."""

from __future__ import annotations

from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Dict, Iterator, Optional, Type, Union

from .. import _native
from .snapshot import FS

if TYPE_CHECKING:
    from .repository import GitStore

NoteKey = Union[str, FS]


class NoteDict:
    """The namespaces of a store's notes: ``store.notes.commits`` (the one Git uses) or ``store.notes["reviews"]``."""

    __slots__ = ("_store",)

    def __init__(self, store: GitStore) -> None:
        self._store = store

    def __getitem__(self, namespace: str) -> NoteNamespace:
        return NoteNamespace(self._store, namespace)

    @property
    def commits(self) -> NoteNamespace:
        """The namespace that ``git notes`` uses by default."""
        return self["commits"]

    def __repr__(self) -> str:
        return f"NoteDict({self._store!r})"


class NoteNamespace(MutableMapping[str, str]):
    """The notes of one namespace, from commit hashes to text.

    A key is a commit hash of 40 digits (the commit need not exist), the name of a branch or tag, or a snapshot. Each change
    is one commit on the namespace's ref; use :meth:`batch` for many.
    """

    __slots__ = ("_store", "_native", "_namespace")

    def __init__(self, store: GitStore, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._native = store._native.notes(namespace)

    def __getitem__(self, key: NoteKey) -> str:
        try:
            return self._native.get(_key(key))
        except UnicodeEncodeError:
            # No ref has such a name.
            raise KeyError(key) from None

    def __setitem__(self, key: NoteKey, text: str) -> None:
        self._native.set(_key(key), _text(text))

    def __delitem__(self, key: NoteKey) -> None:
        self._native.delete(_key(key))

    def __contains__(self, key: object) -> bool:
        if isinstance(key, FS):
            key = key.commit_hash
        try:
            return isinstance(key, str) and self._native.contains(key)
        except UnicodeEncodeError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._native.keys())

    def __len__(self) -> int:
        return self._native.count()

    def __repr__(self) -> str:
        return f"NoteNamespace({self._namespace!r}, len={len(self)})"

    @property
    def for_current_branch(self) -> str:
        """The note of the commit that the current branch is at; assign to set it.

        Raises:
            RuntimeError: HEAD names no branch that exists.
            KeyError: the commit has no note.
        """
        return self[self._current()]

    @for_current_branch.setter
    def for_current_branch(self, text: str) -> None:
        self[self._current()] = text

    def _current(self) -> str:
        current = self._store.branches.current
        if current is None:
            raise RuntimeError("HEAD names no existing branch")
        return current.commit_hash

    def batch(self) -> NotesBatch:
        """Gathers changes in a ``with`` block and makes one commit of them at its end."""
        return NotesBatch(self)


class NotesBatch:
    """Changes to notes that become one commit when the ``with`` block ends, and none if it raises."""

    __slots__ = ("_namespace", "_changes", "_closed")

    def __init__(self, namespace: NoteNamespace) -> None:
        self._namespace = namespace
        self._changes: Dict[str, Optional[str]] = {}
        self._closed = False

    def __setitem__(self, key: NoteKey, text: str) -> None:
        self._change(key, _text(text))

    def __delitem__(self, key: NoteKey) -> None:
        self._change(key, None)

    def _change(self, key: NoteKey, text: Optional[str]) -> None:
        if self._closed:
            raise RuntimeError("Batch is closed")
        # The same commit under two names is one note.
        self._changes[self._namespace._native.resolve(_key(key))] = text

    def commit(self) -> None:
        """Makes the commit now."""
        if self._closed:
            raise RuntimeError("Batch is closed")
        if self._changes:
            self._namespace._native.apply(list(self._changes.items()))
        self._closed = True

    def __enter__(self) -> NotesBatch:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            if kind is None and not self._closed:
                self.commit()
        finally:
            self._closed = True


def _key(key: NoteKey) -> str:
    if isinstance(key, FS):
        return key.commit_hash
    if isinstance(key, str):
        return key
    raise TypeError(f"a note's key is a commit hash, a ref name or an FS, not {type(key).__name__}")


def _text(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a note is str, not {type(text).__name__}")
    return text
