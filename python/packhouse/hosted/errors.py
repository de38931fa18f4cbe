"""What calls of the hosted API raise.

A failed connection is a :class:`ConnectionError`, a silent server a :class:`TimeoutError`, and an argument that no server
would take a :class:`ValueError`.
"""

from __future__ import annotations

import sys
from typing import Any, Awaitable, Optional, TypeVar

from packhouse import _native

from .answer import Answer

T = TypeVar("T")


class ApiError(Exception):
    """The server refused the request, or failed.

    ``status_code`` is the HTTP status, ``code`` the server's word for the kind of failure (``ref_not_found``), and
    ``response`` the answer with its headers and body. Where ``httpx`` is imported, it is also an
    ``httpx.HTTPStatusError``, for programs that expect one.
    """

    def __init__(
        self,
        message: str,
        status_code: Optional[int] = None,
        response: Optional[Any] = None,
        *,
        code: Optional[str] = None,
    ) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.status_code = status_code
        self.response = response
        self.code = code


class RefUpdateError(Exception):
    """A commit was not made, or a note not written.

    ``status`` is one of the words ``precondition_failed``, ``conflict``, ``not_found``, ``invalid``, ``timeout``,
    ``unauthorized``, ``forbidden``, ``unavailable``, ``internal``, ``failed`` and ``unknown``; ``ref_update`` says where the
    branch is, as far as the server said.
    """

    def __init__(
        self,
        message: str,
        status: Optional[str] = None,
        reason: Optional[str] = None,
        ref_update: Optional[dict[str, str]] = None,
        *,
        response: Optional[Any] = None,
        code: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or "unknown"
        self.reason = reason or self.status
        self.ref_update: dict[str, str] = dict(ref_update or {})
        self.response = response
        self.code = code


async def answer(call: Awaitable[T]) -> T:
    """What the engine answers; its failures as the exceptions of this module."""
    try:
        return await call
    except _native.HostedFailure as failure:
        error = error_of(failure)
    raise error


def error_of(failure: _native.HostedFailure) -> Exception:
    """The exception for a failure of the engine."""
    kind, message, answered, update = failure.args
    response, code = None, None
    if answered is not None:
        status, code, request, headers, body = answered
        response = Answer(status, headers, body, request)
    if kind == "ref_update":
        names = ("branch", "old_sha", "new_sha")
        found = {name: value for name, value in zip(names, update[1:]) if value is not None}
        return RefUpdateError(message, update[0], None, found, response=response, code=code)
    if kind == "api" and response is not None:
        return _api_error()(message, response.status_code, response, code=code)
    if kind == "invalid":
        return ValueError(message)
    if kind == "connection":
        return ConnectionError(message)
    if kind == "timeout":
        return TimeoutError(message)
    return ApiError(message)


_both: Optional[type[ApiError]] = None


def _api_error() -> type[ApiError]:
    """ApiError, or a subclass of it that is one of httpx's too if that is imported: only then can anybody catch it."""
    global _both
    httpx = sys.modules.get("httpx")
    if httpx is None:
        return ApiError
    if _both is None:
        bases = (ApiError, httpx.HTTPStatusError)
        _both = type("ApiError", bases, {"__doc__": ApiError.__doc__, "__module__": __name__, "request": None})
    return _both
