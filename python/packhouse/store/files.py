"""Files of a snapshot as Python's own file objects."""

from __future__ import annotations

import io
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Iterable, Optional, Type, Union

from .. import _native

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from .snapshot import FS

# Large enough that switching to the engine and back does not matter.
READ_BUFFER = 128 * 1024


class SnapshotFile(io.RawIOBase):
    """A file of a snapshot, read where it is: nothing but the part that is asked for is held in memory."""

    def __init__(self, native: _native.FileReader) -> None:
        super().__init__()
        self._file = native

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._check_open()
        view = memoryview(buffer).cast("B")
        data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        self._check_open()
        return self._file.read(None)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check_open()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        self._check_open()
        return self._file.tell()

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self._file.size

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")


class BufferedFile(io.BufferedReader):
    """A buffered file of a snapshot."""

    raw: SnapshotFile

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return self.raw.size


def open_reader(
    native: _native.FileReader, mode: str
) -> Union[io.BufferedReader, io.TextIOWrapper]:
    """A buffered reader of bytes (``"rb"``) or of text in UTF-8 (``"r"``)."""
    reader = BufferedFile(SnapshotFile(native), READ_BUFFER)
    if mode == "r":
        return io.TextIOWrapper(reader, encoding="utf-8")
    return reader


class FileWriter:
    """A file being written. Its content streams into the store; closing it commits, an exception in ``with`` discards it.

    ``fs`` is the snapshot that has the file, ``None`` until it was closed (and always ``None`` in a batch, whose commit
    comes later).
    """

    def __init__(
        self,
        native: _native.FileWriter,
        text: bool,
        committed: Optional[Callable[[_native.Snapshot], FS]] = None,
    ) -> None:
        self._native = native
        self._text = text
        self._committed = committed
        self._closed = False
        self.fs: Optional[FS] = None

    @property
    def closed(self) -> bool:
        """Whether the file was closed."""
        return self._closed

    @property
    def mode(self) -> str:
        """``"wb"`` or ``"w"``."""
        return "w" if self._text else "wb"

    def readable(self) -> bool:
        """``False``: a writer only writes."""
        return False

    def writable(self) -> bool:
        """``True``."""
        return True

    def seekable(self) -> bool:
        """``False``: what was written is hashed already."""
        return False

    def isatty(self) -> bool:
        """``False``."""
        return False

    def flush(self) -> None:
        """Does nothing: a file becomes visible when it is closed."""

    def tell(self) -> int:
        """How many bytes were written."""
        return self._native.tell()

    def write(self, data: Union[str, Buffer]) -> int:
        """Appends ``data`` and returns its length: text in text mode, else bytes."""
        if self._closed:
            raise ValueError("I/O operation on closed file.")
        if self._text:
            if not isinstance(data, str):
                raise TypeError(f"expected str, got {type(data).__name__}")
            self._native.write(data.encode("utf-8"))
            return len(data)
        if isinstance(data, str):
            raise TypeError("expected bytes, got str")
        if not isinstance(data, bytes):
            try:
                data = bytes(memoryview(data))
            except TypeError:
                raise TypeError(f"expected bytes, got {type(data).__name__}") from None
        self._native.write(data)
        return len(data)

    def writelines(self, lines: Iterable[Union[str, Buffer]]) -> None:
        """Appends each of ``lines``."""
        for line in lines:
            self.write(line)

    def close(self) -> None:
        """Ends the file, and commits it unless it belongs to a batch. Closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        snapshot = self._native.finish()
        if snapshot is not None and self._committed is not None:
            self.fs = self._committed(snapshot)

    def discard(self) -> None:
        """Ends the file without keeping it."""
        if not self._closed:
            self._closed = True
            self._native.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
