"""Coroutines made of the store's own methods, with the same arguments."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Callable, Coroutine, TypeVar

from .running import finish, finish_long, run

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

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


def _coroutine(
    how: Callable[..., Coroutine[Any, Any, Any]], method: Callable[..., Any]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    name = method.__name__

    @functools.wraps(method)
    async def call(self: Wrapper, *args: Any, **kwargs: Any) -> Any:
        args = tuple(plain(value) for value in args)
        kwargs = {key: plain(value) for key, value in kwargs.items()}
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
