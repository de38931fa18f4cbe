"""How calls of the store run beside an event loop: in threads, which the engine's work leaves free to run together.

A cancelled read is abandoned. A cancelled write that has not begun, or only waits for its turn, never does; one that has
begun is waited for, so that nothing is written behind the back of a caller who went on. Work that reports progress stops
at its next step.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Generic,
    Iterator,
    Optional,
    TypeVar,
)

from ... import _native

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")
S = TypeVar("S")

MOST_THREADS = 32
# Lazy iterations fetch one item first, then more and more at a time.
MOST_ITEMS = 256

_pool: Optional[ThreadPoolExecutor] = None
_pool_lock = threading.Lock()


def _threads() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="packhouse")
        return _pool


def _forget_threads() -> None:
    """A process that was forked off has none of its parent's threads, and would wait for them."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


async def run(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a call that reads. Cancelling abandons it."""
    return await asyncio.wrap_future(_threads().submit(call, *args, **kwargs))


async def finish(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a call that writes. Cancelling prevents it, or waits for its end."""
    return await _finish(_native.Stop(), functools.partial(call, *args, **kwargs))


async def _finish(stop: _native.Stop, work: Callable[[], T]) -> T:
    future = _threads().submit(stop.heeded, work)
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        stop.set()
        if not future.cancel():
            await _end_of(waiting)
        raise


async def _end_of(waiting: asyncio.Future[T]) -> None:
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            # Asked again; the answer is the same.
            continue
    if not waiting.cancelled():
        waiting.exception()


class _Stopped(Exception):
    """Raised inside the work to end it."""


async def finish_long(call: Callable[..., T], *args: Any, progress: Any = None, **kwargs: Any) -> T:
    """The result of a call that reports progress. Cancelling ends it at its next step, and waits for that."""
    stop = _native.Stop()

    def watch(done: int, total: Optional[int]) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(done, total)

    return await _finish(stop, functools.partial(call, *args, progress=watch, **kwargs))


async def iterate(make: Callable[[], Iterator[S]], convert: Callable[[S], T]) -> AsyncIterator[T]:
    """The items of a lazy iterator, which is made and advanced in threads."""
    iterator = await run(make)
    wanted = 1
    while True:
        items = await run(_take, iterator, wanted)
        for item in items:
            yield convert(item)
        if len(items) < wanted:
            return
        wanted = min(wanted * 4, MOST_ITEMS)


def _take(iterator: Iterator[S], count: int) -> list[S]:
    return list(itertools.islice(iterator, count))


class Lazy(Generic[T]):
    """What a property gives: ``await`` it for the value. Nothing happens before that."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], Awaitable[T]]) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, None, T]:
        return self._call().__await__()


class Opening(Lazy[T]):
    """Something that is opened by ``await``, or by ``async with``, which also closes it."""

    __slots__ = ("_opened",)

    async def __aenter__(self) -> T:
        opened = await self._call()
        self._opened: Any = opened
        return opened

    async def __aexit__(self, *error: Any) -> None:
        await self._opened.__aexit__(*error)
