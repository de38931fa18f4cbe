"""Writing: each call makes a commit on the snapshot's branch and returns the snapshot of it."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Iterable, List, Optional, Union

from .arguments import (
    Content,
    Data,
    LocalPath,
    Mode,
    Removes,
    RepoPath,
    data_bytes,
    mode_name,
    parent_hashes,
    path_list,
    text_bytes,
    write_mode,
)
from .batch import Batch
from .files import FileWriter, open_reader
from .reading import SnapshotReading
from .tree import WriteEntry

if TYPE_CHECKING:
    from typing_extensions import Self

    from .snapshot import FS

Writes = Mapping[str, Union[WriteEntry, bytes, str, "os.PathLike[str]"]]


class SnapshotWriting(SnapshotReading):
    """The methods that write single files.

    All of them raise PermissionError on a read-only snapshot, StaleSnapshotError when the branch has moved since, and
    KeyError when it was deleted. An identical write makes no commit and returns the same object. ``message`` may hold
    ``{default}``, ``{add_count}``, ``{update_count}``, ``{delete_count}``, ``{total_count}`` and ``{op}``. ``parents`` are recorded
    in the commit behind the branch's tip; nothing is merged.
    """

    __slots__ = ()

    def write(
        self,
        path: RepoPath,
        data: Data,
        *,
        message: Optional[str] = None,
        mode: Mode = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Writes bytes to ``path``; directories appear as needed, and a file in the way is replaced."""
        return self._next(
            self._native.write(
                path, data_bytes(data), message, mode_name(mode), parent_hashes(parents)
            )
        )

    def write_text(
        self,
        path: RepoPath,
        text: str,
        *,
        encoding: str = "utf-8",
        message: Optional[str] = None,
        mode: Mode = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Writes text to ``path``."""
        return self.write(
            path, text_bytes(text, encoding), message=message, mode=mode, parents=parents
        )

    def write_from_file(
        self,
        path: RepoPath,
        local_path: LocalPath,
        *,
        message: Optional[str] = None,
        mode: Mode = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Writes a local file to ``path``, executable if it is so on disk. A link to a file is followed."""
        return self._next(
            self._native.write_from_file(
                path, local_path, message, mode_name(mode), parent_hashes(parents)
            )
        )

    def write_symlink(
        self,
        path: RepoPath,
        target: RepoPath,
        *,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Makes ``path`` a symbolic link to ``target``."""
        return self._next(
            self._native.write_symlink(path, target, message, parent_hashes(parents))
        )

    def open(
        self, path: RepoPath, mode: str = "rb", *, parents: Optional[Iterable[FS]] = None
    ) -> Union[io.BufferedReader, io.TextIOWrapper, FileWriter]:
        """A file object: ``"rb"`` and ``"r"`` read (and seek), ``"wb"`` and ``"w"`` write and commit when closed.

        Text is UTF-8. Other modes raise ValueError. ``parents`` are recorded as further parents of the commit.
        """
        if mode in ("rb", "r"):
            return open_reader(self._native.reader(path), mode)
        if mode in ("wb", "w"):
            return self.writer(path, mode, parents=parents)
        raise ValueError(f"Unsupported mode: {mode!r} (use 'rb', 'r', 'wb' or 'w')")

    def writer(
        self,
        path: RepoPath,
        mode: str = "wb",
        *,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> FileWriter:
        """A file object to write to; it commits once when it is closed, and then has the new snapshot as ``fs``.

        ``mode`` is ``"wb"``, or ``"w"`` for text in UTF-8.
        """
        text = write_mode(mode)
        native = self._native.writer(path, message, parent_hashes(parents))
        return FileWriter(native, text, self._next)  # type: ignore[arg-type]

    def batch(
        self,
        message: Optional[str] = None,
        operation: Optional[str] = None,
        *,
        parents: Optional[Iterable[FS]] = None,
    ) -> Batch:
        """Gathers changes in a ``with`` block and makes one commit of them at its end."""
        return Batch(self, message, operation, parents)  # type: ignore[arg-type]

    def apply(
        self,
        writes: Optional[Writes] = None,
        removes: Removes = None,
        *,
        message: Optional[str] = None,
        operation: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Writes and removes in one commit.

        The values of ``writes`` are bytes, text, local ``Path`` objects or :class:`WriteEntry`. Removing what is not there is no
        error; a path in both is removed.
        """
        if writes is not None and not isinstance(writes, Mapping):
            raise TypeError(f"expected a mapping of paths, got {type(writes).__name__}")
        contents = [_content(path, entry) for path, entry in (writes or {}).items()]
        removed: List[RepoPath] = [] if removes is None else path_list(removes)
        return self._next(
            self._native.apply(contents, removed, message, operation, parent_hashes(parents))
        )


def _content(path: RepoPath, entry: object) -> Content:
    """The path, its content with what that is, and its mode."""
    mode: Mode = None
    if isinstance(entry, WriteEntry):
        if entry.target is not None:
            return path, ("link", entry.target), None
        mode, entry = entry.mode, entry.data
    if isinstance(entry, bytes):
        return path, ("bytes", entry), mode_name(mode)
    if isinstance(entry, str):
        return path, ("bytes", entry.encode("utf-8")), mode_name(mode)
    if isinstance(entry, os.PathLike):
        return path, ("file", entry), mode_name(mode)
    raise TypeError(
        f"Expected WriteEntry, bytes, str or Path for {path!r}, got {type(entry).__name__}"
    )
