"""Reading a snapshot: files, directories, walks and globs."""

from __future__ import annotations

from typing import Iterator, List, Optional, Tuple, Union

from .arguments import RepoPath, hash_text, optional_path
from .base import SnapshotBase
from .tree import FileType, StatResult, WalkEntry

class SnapshotReading(SnapshotBase):
    """The methods that read. Links inside the tree are never followed."""

    __slots__ = ()

    def read(self, path: RepoPath, *, offset: int = 0, size: Optional[int] = None) -> bytes:
        """The bytes of a file (of a link: its target), or ``size`` of them from ``offset``.

        Raises:
            FileNotFoundError: there is nothing at ``path``.
            IsADirectoryError: it is a directory.
            NotADirectoryError: a parent of it is a file.
        """
        return self._native.read(path, offset, size)

    def read_text(self, path: RepoPath, encoding: str = "utf-8") -> str:
        """The text of a file."""
        return self.read(path).decode(encoding)

    def read_by_hash(
        self, hash: Union[str, bytes], *, offset: int = 0, size: Optional[int] = None
    ) -> bytes:
        """The bytes of a blob by its id, wherever it is. KeyError if there is none."""
        return self._store._native.read_blob(hash_text(hash), offset, size)

    def readlink(self, path: RepoPath) -> str:
        """The target of a link. ValueError if it is something else."""
        return self._native.readlink(path)

    def ls(self, path: Optional[RepoPath] = None, *, recursive: bool = False) -> List[str]:
        """The names in a directory, in Git's order; with ``recursive`` the full paths of all files below it."""
        if recursive:
            return self._native.files(optional_path(path))
        return self._native.ls(optional_path(path))

    def listdir(self, path: Optional[RepoPath] = None) -> List[WalkEntry]:
        """The entries of a directory, in Git's order."""
        return self._native.listdir(optional_path(path), WalkEntry)

    def walk(
        self, path: Optional[RepoPath] = None
    ) -> Iterator[Tuple[str, List[str], List[WalkEntry]]]:
        """Each directory with the names of its directories and the entries of its files, from the top down, lazily."""
        yield from self._native.walk(optional_path(path), WalkEntry)

    def exists(self, path: RepoPath) -> bool:
        """Whether there is something at ``path``."""
        return self._native.exists(path)

    def is_dir(self, path: RepoPath) -> bool:
        """Whether there is a directory at ``path``."""
        return self._native.is_dir(path)

    def file_type(self, path: RepoPath) -> FileType:
        """What is at ``path``."""
        return FileType(self._native.file_type(path))

    def size(self, path: RepoPath) -> int:
        """The length in bytes of a file, of a link's target, or of a directory's tree object."""
        return self._native.size(path)

    def object_hash(self, path: RepoPath) -> str:
        """The id of the blob or tree at ``path``."""
        return self._native.object_hash(path)

    def stat(self, path: Optional[RepoPath] = None) -> StatResult:
        """Mode, type, size, id, links and time of ``path``, or of the root."""
        mode, kind, size, hash, nlink, mtime = self._native.stat(optional_path(path))
        return StatResult(mode, FileType(kind), size, hash, nlink, mtime)

    def glob(self, pattern: RepoPath) -> List[str]:
        """The files and directories that match, sorted.

        ``*`` and ``?`` do not match a leading dot; ``**`` is any number of directories. A ``/./`` is kept in what is found,
        behind what the pattern before it matches (``.`` if that is no directory at all).
        """
        return self._native.glob(pattern)

    def iglob(self, pattern: RepoPath) -> Iterator[str]:
        """The same lazily, in no particular order."""
        return iter(self._native.iglob(pattern))
