"""Files being written."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import weakref
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Protocol, Type, Union, cast

from fsspec.compression import compr
from fsspec.core import OpenFile, get_compression

from ..store import FileType
from ..store.arguments import LocalPath

if TYPE_CHECKING:
    from .filesystem import PackhouseFileSystem


class NewFile(NamedTuple):
    """A local file to be committed: without a ``file_type``, as what it is on the disk."""

    path: str
    local: LocalPath
    file_type: Optional[FileType]
    is_new: bool


class _Abandonable(Protocol):
    def abandon(self) -> None: ...

    def close(self) -> None: ...


class HalfIsNone:
    """A file that an exception leaves half written is not stored."""

    def __exit__(
        self: _Abandonable,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is not None:
            self.abandon()
        self.close()


class Upload(HalfIsNone, io.BufferedIOBase):
    """A file being written. It waits on the local disk, so that closing it can commit to whatever is the newest state."""

    def __init__(
        self,
        filesystem: PackhouseFileSystem,
        path: str,
        autocommit: bool,
        is_new: bool,
    ) -> None:
        self.file_type: Optional[FileType] = FileType.BLOB
        self._filesystem = filesystem
        self._path = path
        self._is_new = is_new
        self._autocommit = autocommit
        self._is_abandoned = False
        self._outermost: Optional[weakref.ref[Any]] = None
        self._file = tempfile.NamedTemporaryFile(prefix="packhouse-")

    @property
    def local(self) -> str:
        """Where the content waits."""
        return self._file.name

    @property
    def content(self) -> NewFile:
        """What is to be committed."""
        return NewFile(self._path, self.local, self.file_type, self._is_new)

    @property
    def is_discarded(self) -> bool:
        """Whether there is nothing to commit, or no longer."""
        return self._file.closed

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError:
            # What is there must not pass for all of the file, even if it is closed in order.
            self.discard()
            raise

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def commit(self) -> None:
        """Makes the commit. A file that has to be new must still be."""
        self._file.flush()
        self._filesystem._commit([self.content])
        self._file.close()

    def discard(self) -> None:
        """Forgets the file."""
        self._file.close()

    def abandon(self) -> None:
        """Lets the file be closed in order, and then be forgotten: not all of it was written."""
        self._is_abandoned = True

    def finish(self) -> None:
        """Closes it as its writer would, with what waits in a compressor or for its encoding."""
        outermost = self._outermost and self._outermost()
        (outermost or self).close()

    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._is_abandoned or _is_left_by_an_exception(self):
                self.discard()
            elif self._autocommit and not self._file.closed:
                self.commit()
            else:
                self.flush()
        finally:
            super().close()

    def __del__(self) -> None:
        # A file that was forgotten is not one that was finished.
        self._file.close()


class CompressedUpload(HalfIsNone, io.BufferedIOBase):
    """A compressor with the file that it writes to, which it leaves open when it is closed itself."""

    def __init__(self, upload: Upload, compression: str) -> None:
        self._upload = upload
        name = get_compression(upload._path, compression)
        self._compressor = compr[name](upload, mode="w")
        upload._outermost = weakref.ref(self)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._compressor.write(data)
        return memoryview(data).nbytes

    def tell(self) -> int:
        return int(self._compressor.tell())

    def flush(self) -> None:
        """Does nothing: compressors write when they have enough, and when they are closed."""

    def abandon(self) -> None:
        self._upload.abandon()

    def close(self) -> None:
        if self.closed:
            return
        try:
            self._compressor.close()
        except BaseException:
            self.abandon()
            raise
        finally:
            super().close()
            self._upload.close()

    def __del__(self) -> None:
        _forget(self)


class TextUpload(HalfIsNone, io.TextIOWrapper):
    """A file being written as text."""

    def __init__(self, binary: Union[Upload, CompressedUpload], **options: Any) -> None:
        super().__init__(cast(Any, binary), **options)
        upload = binary._upload if isinstance(binary, CompressedUpload) else binary
        upload._outermost = weakref.ref(self)

    def abandon(self) -> None:
        self.buffer.abandon()  # type: ignore[attr-defined]

    def __del__(self) -> None:
        _forget(self)


def _forget(layer: Union[CompressedUpload, TextUpload]) -> None:
    """Ends what nobody closed, so that it is not taken for finished."""
    # It may never have begun, or have nothing to write to any more.
    with contextlib.suppress(Exception):
        if not layer.closed:
            layer.abandon()
            layer.close()


def _is_left_by_an_exception(upload: Upload) -> bool:
    """Whether ``fsspec.open`` closes the file because an exception left its ``with`` block.

    It closes what it opened without a word about why, so that this looks up who called.
    """
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None:
        if frame.f_code is OpenFile.__exit__.__code__:
            opened = frame.f_locals["self"].fobjects
            if opened and opened[0] is upload:
                return any(frame.f_locals["args"])
        frame = frame.f_back
    return False
