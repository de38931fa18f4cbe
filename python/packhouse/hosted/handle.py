"""What the calls of a repository have in common."""

from __future__ import annotations

import warnings
from typing import Any, AsyncIterator, Awaitable, Callable, Iterable, Optional

from packhouse import _native

from .tokens import pairs
from .types import RefPolicy


class Handle:
    """A repository by its id."""

    def __init__(self, client: _native.HostedClient, id: str) -> None:
        self._client = client
        self._id = id

    @property
    def id(self) -> str:
        """The repository's id."""
        return self._id

    def _call(self, ttl: Optional[int] = None, refs: Optional[Iterable[RefPolicy]] = None) -> _native.HostedRepo:
        """The engine's repository, with tokens that are good for so long and allow what the policies do."""
        return self._client.repo(self._id, ttl, pairs(refs))


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def required(call: str, **fields: Optional[str]) -> None:
    """Refuses what is missing or only white space."""
    for name, value in fields.items():
        if value is None or not value.strip():
            raise ValueError(f"{call} {name} is required")


def no_refs(call: str, **fields: Optional[str]) -> None:
    """Refuses full names of refs where a short name is wanted."""
    for name, value in fields.items():
        if value is not None and value.strip().startswith("refs/"):
            raise ValueError(f"{call} {name} must not start with refs/: {value!r}")


def person(call: str, role: str, value: Any) -> Optional[dict[str, str]]:
    """A name and an address, both of them."""
    if value is None:
        return None
    fields = {key: (value.get(key) or "").strip() for key in ("name", "email")}
    if not all(fields.values()):
        raise ValueError(f"{call} {role} name and email are required")
    return given(**fields, timestamp=value.get("timestamp"))


def stripped(text: Optional[str]) -> Optional[str]:
    """The text without white space around it; None if nothing is left."""
    return (text or "").strip() or None


def deprecated(old: str, new: str) -> None:
    """Warns the caller of the call that this is called in."""
    warnings.warn(f"{old} is deprecated; use {new}", DeprecationWarning, stacklevel=3)


async def each(
    field: str, load: Callable[[Optional[str]], Awaitable[Any]], cursor: Optional[str] = None
) -> AsyncIterator[Any]:
    """What is in ``field`` of every page. One page is held at a time."""
    while True:
        answered = await load(cursor)
        for item in answered[field]:
            yield item
        cursor = answered.get("next_cursor")
        if not answered.get("has_more") or cursor is None:
            return
