"""Files, read and written by coroutines."""

from __future__ import annotations

import io
from types import TracebackType
from typing import TYPE_CHECKING, AsyncIterator, Callable, Iterable, List, Optional, Type, Union

from .. import files
from .running import finish, run

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..snapshot import FS as SyncFS
    from .snapshot import FS


class FileReader:
    """A file of a snapshot, read from any place: bytes, or text in UTF-8."""

    def __init__(self, file: Union[io.BufferedReader, io.TextIOWrapper]) -> None:
        self._file = file

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return self._file.closed

    async def read(self, size: int = -1) -> Union[bytes, str]:
        """``size`` bytes or characters, less at the end of the file; all that are left if it is negative."""
        return await run(self._file.read, size)

    async def readline(self) -> Union[bytes, str]:
        """The next line, empty at the end of the file."""
        return await run(self._file.readline)

    async def readlines(self) -> List[Union[bytes, str]]:
        """All lines that are left."""
        return [line async for line in self]

    async def __aiter__(self) -> AsyncIterator[Union[bytes, str]]:
        while line := await self.readline():
            yield line

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place and returns it."""
        return await run(self._file.seek, offset, whence)

    async def tell(self) -> int:
        """The current place."""
        return await run(self._file.tell)

    async def close(self) -> None:
        """Closes the file."""
        self._file.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class FileWriter:
    """A file being written, see :class:`packhouse.store.files.FileWriter`."""

    def __init__(
        self, file: files.FileWriter, committed: Optional[Callable[[SyncFS], FS]] = None
    ) -> None:
        self._file = file
        self._committed = committed
        self.fs: Optional[FS] = None

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return self._file.closed

    async def write(self, data: Union[bytes, bytearray, memoryview, str]) -> int:
        """Appends ``data`` and returns its length."""
        return await finish(self._file.write, data)

    async def writelines(self, lines: Iterable[Union[bytes, bytearray, memoryview, str]]) -> None:
        """Appends each of ``lines``."""
        for line in lines:
            await self.write(line)

    async def flush(self) -> None:
        """Does nothing: a file becomes visible when it is closed."""

    async def tell(self) -> int:
        """How many bytes were written."""
        return self._file.tell()

    async def close(self) -> None:
        """Ends the file, and commits it unless it belongs to a batch."""
        await finish(self._file.close)
        if self._file.fs is not None and self._committed is not None and self.fs is None:
            self.fs = self._committed(self._file.fs)

    async def discard(self) -> None:
        """Ends the file without keeping it."""
        await finish(self._file.discard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            await self.close()
        else:
            await self.discard()
