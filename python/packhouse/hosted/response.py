"""Files and archives, read while they come."""

from __future__ import annotations

import codecs
from typing import AsyncIterator, Optional

from packhouse import _native

from .answer import Answer
from .errors import ApiError, answer


class Response(Answer):
    """A file or an archive.

    ``async for piece in response`` reads it piece by piece, ``await response.aread()`` to its end. Close one that is not
    read to its end, or use it with ``async with``.
    """

    def __init__(self, download: _native.HostedDownload) -> None:
        super().__init__(download.status, download.headers, None)
        self.is_closed = False
        self._download: Optional[_native.HostedDownload] = download

    async def aread(self) -> bytes:
        """The rest of the body, in memory."""
        if self._content is None:
            self._content = b"".join([piece async for piece in self.aiter_bytes()])
        return self._content

    async def aiter_bytes(self, chunk_size: Optional[int] = None) -> AsyncIterator[bytes]:
        """The pieces of the body as they come, or in pieces of ``chunk_size``."""
        if chunk_size is not None and chunk_size < 1:
            raise ValueError("chunk_size is less than 1")
        if self._content is not None:
            size = chunk_size or max(len(self._content), 1)
            for start in range(0, len(self._content), size):
                yield self._content[start : start + size]
            return
        kept = bytearray()
        while (piece := await self._next()) is not None:
            if chunk_size is None:
                yield piece
                continue
            kept += piece
            whole = len(kept) - len(kept) % chunk_size
            for start in range(0, whole, chunk_size):
                yield bytes(kept[start : start + chunk_size])
            del kept[:whole]
        if kept:
            yield bytes(kept)

    aiter_raw = aiter_bytes

    async def aiter_text(self, chunk_size: Optional[int] = None) -> AsyncIterator[str]:
        """The body as UTF-8 text, as it comes."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async for piece in self.aiter_bytes(chunk_size):
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    async def aiter_lines(self) -> AsyncIterator[str]:
        """The lines of the body without their ends."""
        rest = ""
        async for text in self.aiter_text():
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                yield line.removesuffix("\r")
        if rest:
            yield rest

    async def aclose(self) -> None:
        """Ends the download."""
        self.is_closed = True
        download, self._download = self._download, None
        if download is not None:
            await download.close()

    def raise_for_status(self) -> Response:
        """Raises unless the status is one of success."""
        if self.is_error:
            raise ApiError(f"HTTP {self.status_code}", self.status_code, self)
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.aiter_bytes()

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _next(self) -> Optional[bytes]:
        if self._download is None:
            if self.is_closed:
                raise RuntimeError("the response is closed")
            return None
        try:
            piece = await answer(self._download.next())
        except BaseException:
            # A piece may be gone with a wait that was given up: what came after it would not be the file.
            await self.aclose()
            raise
        if piece is None:
            self._download = None
            self.is_closed = True
        return piece
