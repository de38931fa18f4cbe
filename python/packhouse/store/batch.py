"""Several changes as one commit."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Iterable, Optional, Type

from .arguments import Data, LocalPath, Mode, RepoPath, data_bytes, mode_name, parent_hashes, text_bytes, write_mode
from .files import FileWriter

if TYPE_CHECKING:
    from .snapshot import FS


class Batch:
    """Writes and removals that become one commit at the end of the ``with`` block, and none if it raises.

    Content goes to the repository at once, so a batch of any size takes little memory. The last operation on a path wins.
    ``fs`` is the resulting snapshot, ``None`` until it is committed.
    """

    def __init__(
        self,
        fs: FS,
        message: Optional[str] = None,
        operation: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> None:
        self._base = fs
        self._native = fs._native.batch(message, operation, parent_hashes(parents))
        self._closed = False
        self.fs: Optional[FS] = None

    @property
    def closed(self) -> bool:
        """Whether the batch was committed or given up."""
        return self._closed

    def write(self, path: RepoPath, data: Data, *, mode: Mode = None) -> None:
        """Writes bytes to ``path``."""
        self._check_open()
        self._native.write(path, data_bytes(data), mode_name(mode))

    def write_text(
        self, path: RepoPath, text: str, *, encoding: str = "utf-8", mode: Mode = None
    ) -> None:
        """Writes text to ``path``."""
        self.write(path, text_bytes(text, encoding), mode=mode)

    def write_from_file(
        self, path: RepoPath, local_path: LocalPath, *, mode: Mode = None
    ) -> None:
        """Writes a local file to ``path``, executable if it is so on disk."""
        self._check_open()
        self._native.write_from_file(path, local_path, mode_name(mode))

    def write_symlink(self, path: RepoPath, target: RepoPath) -> None:
        """Makes ``path`` a symbolic link to ``target``."""
        self._check_open()
        self._native.write_symlink(path, target)

    def remove(self, path: RepoPath) -> None:
        """Removes a file.

        Raises:
            FileNotFoundError: neither the snapshot nor the batch has it.
            IsADirectoryError: it is a directory.
        """
        self._check_open()
        self._native.remove(path)

    def writer(self, path: RepoPath, mode: str = "wb") -> FileWriter:
        """A file object whose content is written to ``path`` when it is closed; ``"wb"`` or ``"w"`` (UTF-8)."""
        self._check_open()
        text = write_mode(mode)
        return FileWriter(self._native.writer(path), text)

    def open(self, path: RepoPath, mode: str = "wb") -> FileWriter:
        """The same as :meth:`writer`."""
        return self.writer(path, mode)

    def commit(self) -> FS:
        """Makes the commit and returns its snapshot; the original one if there is nothing to do.

        The batch stays open if the commit fails, as it does when the branch has moved.
        """
        self._check_open()
        self.fs = self._base._next(self._native.commit())
        self._closed = True
        return self.fs

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Batch is closed")

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is not None:
            if not self._closed:
                self._closed = True
                self._native.discard()
        elif not self._closed:
            self.commit()
