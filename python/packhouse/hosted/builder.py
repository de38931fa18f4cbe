"""Commits that are put together and sent while their files are read."""

from __future__ import annotations

import asyncio
from typing import Any, AsyncGenerator, Callable, Iterable, Optional, Union, cast

from packhouse import _native

from .errors import answer
from .handle import given, person, required, stripped
from .types import CommitResult, CommitSignature, FileSource, GitFileMode

#: The most that is given to the engine, or read of a file, at a time.
PIECE_BYTES = 1 << 20

Begin = Callable[[dict[str, Any], list[tuple[str, Optional[bytes]]]], _native.HostedUpload]


class CommitBuilder:
    """One commit: what it changes, until :meth:`send`.

    Nothing is read and nothing is sent before that. Sources that can be read only once are read once, a piece at a time.
    """

    def __init__(self, call: Callable[[], _native.HostedRepo], metadata: dict[str, Any]) -> None:
        self._call = call
        self._metadata = metadata
        self._files: list[dict[str, Any]] = []
        self._sources: list[tuple[str, FileSource]] = []
        self._sent = False

    def add_file(
        self, path: str, source: FileSource, *, mode: Optional[Union[GitFileMode, str]] = None
    ) -> CommitBuilder:
        """Writes a file: text, bytes, an open binary file, or what yields bytes, also asynchronously."""
        _check_source(source)
        content_id = self._change(path, "upsert", str(getattr(mode, "value", mode) or GitFileMode.REGULAR.value))
        self._sources.append((content_id, source))
        return self

    def add_file_from_string(
        self,
        path: str,
        contents: str,
        encoding: str = "utf-8",
        *,
        mode: Optional[Union[GitFileMode, str]] = None,
    ) -> CommitBuilder:
        """Writes a text file."""
        return self.add_file(path, contents.encode(encoding), mode=mode)

    def delete_path(self, path: str) -> CommitBuilder:
        """Deletes a file or folder."""
        self._change(path, "delete", None)
        return self

    async def send(self) -> CommitResult:
        """Sends the commit, once. Cancelling ends the request; the commit is then made whole or not at all."""
        self._check_open()
        self._sent = True
        return await send(self._call().commit, {**self._metadata, "files": self._files}, self._sources)

    def _change(self, path: str, operation: str, mode: Optional[str]) -> str:
        self._check_open()
        if not isinstance(path, str) or not path.strip():
            raise ValueError("the path of a file must be a non-empty string")
        content_id = f"c{len(self._files) + 1}"
        change = given(path=path.lstrip("/"), content_id=content_id, operation=operation, mode=mode)
        self._files.append(change)
        return content_id

    def _check_open(self) -> None:
        if self._sent:
            raise RuntimeError("a commit builder cannot be used again after send()")


def commit_metadata(
    call: str,
    *,
    target_branch: str,
    commit_message: str,
    author: CommitSignature,
    expected_head_sha: Optional[str],
    base_branch: Optional[str],
    ephemeral: Optional[bool],
    ephemeral_base: Optional[bool],
    committer: Optional[CommitSignature],
) -> dict[str, Any]:
    """What a commit is to be, checked."""
    required(call, target_branch=target_branch, commit_message=commit_message)
    if not author:
        raise ValueError(f"{call} author is required")
    base_branch = stripped(base_branch)
    for name, branch in (("target_branch", target_branch), ("base_branch", base_branch)):
        if branch is not None and branch.strip().startswith("refs/"):
            raise ValueError(f"{call} {name} must not include refs/ prefix")
    if ephemeral_base and base_branch is None:
        raise ValueError(f"{call} ephemeral_base requires base_branch")
    return given(
        target_branch=target_branch.strip(),
        commit_message=commit_message.strip(),
        author=person(call, "author", author),
        committer=person(call, "committer", committer),
        expected_head_sha=stripped(expected_head_sha),
        base_branch=base_branch,
        ephemeral=bool(ephemeral),
        ephemeral_base=bool(ephemeral_base),
    )


async def send(begin: Begin, metadata: dict[str, Any], sources: list[tuple[str, FileSource]]) -> CommitResult:
    """Sends a commit, and its contents while they are read.

    A source that fails ends the request, and is what is raised.
    """
    contents = [(content_id, _at_hand(source)) for content_id, source in sources]
    upload = begin(metadata, contents)
    sending = asyncio.ensure_future(answer(upload.send()))
    later = [(content_id, source) for (content_id, source), (_, data) in zip(sources, contents) if data is None]
    pumping = asyncio.ensure_future(_pump(upload, later))
    try:
        await asyncio.wait({sending, pumping}, return_when=asyncio.FIRST_COMPLETED)
        if pumping.done():
            pumping.result()
        return cast(CommitResult, await sending)
    finally:
        # An answer may come before the end of the contents, and a caller may go away before the answer.
        for task in (pumping, sending):
            task.cancel()
        await asyncio.gather(pumping, sending, return_exceptions=True)


async def _pump(upload: _native.HostedUpload, sources: list[tuple[str, FileSource]]) -> None:
    for content_id, source in sources:
        pieces = _pieces(source)
        try:
            async for data in pieces:
                for start in range(0, len(data), PIECE_BYTES):
                    if not await upload.write(content_id, data[start : start + PIECE_BYTES]):
                        return
        finally:
            await pieces.aclose()
        if not await upload.finish(content_id):
            return


def _check_source(source: Any) -> None:
    if source is None or not (
        isinstance(source, (str, bytes, bytearray, memoryview)) or hasattr(source, "__aiter__") or hasattr(source, "__iter__")
    ):
        raise TypeError(f"a file is text, bytes or yields bytes, not {type(source).__name__}")


def _at_hand(source: FileSource) -> Optional[bytes]:
    """The bytes of a source that is in memory."""
    _check_source(source)
    if isinstance(source, str):
        return source.encode()
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    return None


async def _pieces(source: Any) -> AsyncGenerator[bytes, None]:
    if hasattr(source, "__aiter__"):
        try:
            async for piece in source:
                yield _bytes(piece)
        finally:
            # A generator that is not read to its end lets go of what it holds now, not some day.
            if hasattr(source, "aclose"):
                await source.aclose()
        return
    # Reading blocks: beside the event loop.
    if hasattr(source, "read"):
        while piece := await asyncio.to_thread(source.read, PIECE_BYTES):
            yield _bytes(piece)
        return
    iterator, end = iter(cast(Iterable[bytes], source)), object()
    while (piece := await asyncio.to_thread(next, iterator, end)) is not end:
        yield _bytes(piece)


def _bytes(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a file is made of bytes, not of {type(piece).__name__}")
