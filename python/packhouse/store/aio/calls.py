"""Coroutines made of the store's own methods, with the same arguments."""

from __future__ import annotations

import functools
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    Coroutine,
    Dict,
    Iterator,
    Tuple,
    TypeVar,
)

from .running import finish, finish_long, iterate, run

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    from .repository import GitStore
    from .snapshot import FS

    P = ParamSpec("P")

T = TypeVar("T")
S = TypeVar("S")


class Wrapper:
    """Something of the store, with coroutines instead of its methods. ``sync`` is the thing itself."""

    __slots__ = ("sync",)

    sync: Any

    def _wrap(self, result: Any) -> Any:
        return result


def plain(value: Any) -> Any:
    """An argument as the store takes it."""
    if isinstance(value, Wrapper):
        return value.sync
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _plain_all(
    args: Tuple[Any, ...], kwargs: Dict[str, Any]
) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """All arguments as the store takes them."""
    kwargs = {key: plain(value) for key, value in kwargs.items()}
    if kwargs.get("parents") is not None:
        # Any iterable will do, also one that `plain` does not look into.
        kwargs["parents"] = [plain(parent) for parent in kwargs["parents"]]
    return tuple(plain(value) for value in args), kwargs


def _coroutine(
    how: Callable[..., Coroutine[Any, Any, Any]], method: Callable[..., Any]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    name = method.__name__

    @functools.wraps(method)
    async def call(self: Wrapper, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _plain_all(args, kwargs)
        return self._wrap(await how(getattr(self.sync, name), *args, **kwargs))

    return call


def reads(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A coroutine of a method that reads."""
    return _coroutine(run, method)


def writes(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A coroutine of a method that writes."""
    return _coroutine(finish, method)


def writes_long(
    method: Callable[Concatenate[S, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """A coroutine of a method that reports progress, to a callable that is called in another thread."""
    return _coroutine(finish_long, method)


def gives_snapshot(
    method: Callable[Concatenate[S, P], Any],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, FS]]:
    """A coroutine of a method that writes and returns a snapshot."""
    return _coroutine(finish, method)


def gives_snapshot_long(
    method: Callable[Concatenate[S, P], Any],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, FS]]:
    """The same for a method that reports progress."""
    return _coroutine(finish_long, method)


def _iterator(method: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
    name = method.__name__

    @functools.wraps(method)
    def call(self: Wrapper, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        args, kwargs = _plain_all(args, kwargs)
        return iterate(lambda: getattr(self.sync, name)(*args, **kwargs), self._wrap)

    return call


def iterates(
    method: Callable[Concatenate[S, P], Iterator[T]],
) -> Callable[Concatenate[Any, P], AsyncIterator[T]]:
    """An asynchronous iterator of a method that gives a lazy one."""
    return _iterator(method)


def iterates_snapshots(
    method: Callable[Concatenate[S, P], Any],
) -> Callable[Concatenate[Any, P], AsyncIterator[FS]]:
    """The same for a method that gives snapshots."""
    return _iterator(method)


def _on_store(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    @functools.wraps(function)
    async def call(store: GitStore, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _plain_all(args, kwargs)
        return store._wrap(await finish(function, store.sync, *args, **kwargs))

    return call


def on_store(
    function: Callable[Concatenate[Any, P], Any],
) -> Callable[Concatenate[GitStore, P], Coroutine[Any, Any, FS]]:
    """A coroutine of a function that writes to a store and returns a snapshot."""
    return _on_store(function)
