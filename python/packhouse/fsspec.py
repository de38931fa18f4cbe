"""Stores as an fsspec file system: ``packhouse://`` paths, read and written by pandas and others.

    fsspec.open("packhouse://data/table.csv", repo="data.git", ref="main")
    pandas.read_csv("packhouse://data/table.csv", storage_options={"repo": "data.git"})

Paths are paths in the store. A branch is read where it is now; a tag or a commit never changes. Each file written is a
commit on the newest state of the branch, made when the file is closed.
"""

from __future__ import annotations

import io
import os
import tempfile
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Type, Union

from fsspec.spec import AbstractFileSystem

from .store import FS, FileType, GitStore

if TYPE_CHECKING:
    from datetime import datetime

Info = Dict[str, Any]


class PackhouseFileSystem(AbstractFileSystem):
    """The files of one store at one ref.

    Args:
        repo: the path of the repository, or an open store.
        ref: a branch, a tag or a commit; by default the current branch.
        back: how many commits before it.
        readonly: refuse writes to a branch, too.
        options: what else ``GitStore.open`` takes, such as ``author`` or ``create``.
    """

    protocol = "packhouse"
    root_marker = ""

    def __init__(
        self,
        repo: Union[str, "os.PathLike[str]", GitStore],
        ref: Optional[str] = None,
        back: int = 0,
        readonly: bool = False,
        **options: Any,
    ) -> None:
        ours = {"author", "email", "create", "exist_ok", "branch", "durability", "messages"}
        opening = {key: options.pop(key) for key in ours & options.keys()}
        super().__init__(repo=repo, ref=ref, back=back, readonly=readonly, **options)
        self.store = repo if isinstance(repo, GitStore) else GitStore.open(repo, **opening)
        self.ref = ref
        self.back = back
        self.readonly = readonly

    @property
    def snapshot(self) -> FS:
        """The snapshot that is read now."""
        if self.ref is not None:
            return self.store.fs(self.ref, back=self.back)
        current = self.store.branches.current
        if current is None:
            raise FileNotFoundError(f"{self.store!r} has no current branch: name one as `ref`")
        return current.back(self.back)

    def _write(self, action: Callable[[FS], FS]) -> None:
        """Writes to the newest state of the branch; nobody else who uses this library writes meanwhile."""

        def write() -> None:
            fs = self.snapshot
            if self.readonly or self.back or not fs.writable:
                ref = fs.ref_name or fs.commit_hash[:7]
                raise PermissionError(f"Cannot write to read-only snapshot (ref {ref!r})")
            action(fs)

        self.store._native.exclusively(write)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        stripped = super()._strip_protocol(path)
        if isinstance(stripped, list):
            return [one.strip("/") for one in stripped]
        return stripped.strip("/")

    def info(self, path: str, **kwargs: Any) -> Info:
        """Name, size, type, and also Git's mode, the object's id and the commit's time."""
        return _info(self.snapshot, self._strip_protocol(path))

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> List[Any]:
        """The entries of a directory, or the one of a file."""
        path, fs = self._strip_protocol(path), self.snapshot
        if not fs.is_dir(path):
            entries = [_info(fs, path)]
        elif not detail:
            return [_join(path, name) for name in fs.ls(path)]
        else:
            entries = [_info(fs, _join(path, name)) for name in fs.ls(path)]
        return entries if detail else [entry["name"] for entry in entries]

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Optional[int] = None,
        autocommit: bool = True,
        cache_options: Optional[Dict[str, Any]] = None,
        **kwargs: Any,
    ) -> Any:
        if mode == "rb":
            return self.snapshot.open(path, "rb")
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        if mode not in ("wb", "xb"):
            raise ValueError(f"Unsupported mode: {mode!r} (use 'rb', 'wb' or 'xb')")
        self._write(lambda fs: fs)
        return Upload(self, path, autocommit, is_new=mode == "xb")

    def cat_file(
        self, path: str, start: Optional[int] = None, end: Optional[int] = None, **kwargs: Any
    ) -> bytes:
        """The bytes of a file from ``start`` to ``end``, which count from the end if they are negative."""
        path, fs = self._strip_protocol(path), self.snapshot
        if start is None and end is None:
            return fs.read(path)
        first, last, _ = slice(start, end).indices(fs.size(path))
        return fs.read(path, offset=first, size=max(last - first, 0))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Writes a file."""
        path = self._strip_protocol(path)

        def write(fs: FS) -> FS:
            if mode == "create" and fs.exists(path):
                raise FileExistsError(path)
            return fs.write(path, value)

        self._write(write)

    def put_file(self, lpath: str, rpath: str, *args: Any, **kwargs: Any) -> None:
        """Writes a file with the content of a local one."""
        if os.path.isdir(lpath):
            return
        path = self._strip_protocol(rpath)
        self._write(lambda fs: fs.write_from_file(path, lpath))

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copies a file within the store: its mode and the id of its content, which is not read."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)

        def copy(fs: FS) -> FS:
            if fs.is_dir(source):
                return fs
            fs._native.copy_from(
                fs._native,
                [source],
                target,
                delete=False,
                exact=True,
                dry_run=False,
                message=None,
                parents=[],
            )
            return fs

        self._write(copy)

    def rm_file(self, path: str) -> None:
        """Removes a file."""
        self.rm(path)

    _rm = rm_file

    def rm(
        self, path: Union[str, List[str]], recursive: bool = False, maxdepth: Optional[int] = None
    ) -> None:
        """Removes files, and directories if ``recursive`` is set, as one commit."""
        stripped = self._strip_protocol(path)
        self._write(lambda fs: fs.remove(stripped, recursive=recursive))

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Does nothing: directories are there with their files."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Does nothing."""

    def rmdir(self, path: str) -> None:
        """Does nothing."""

    def modified(self, path: str) -> datetime:
        """The time of the commit."""
        return self.snapshot.time

    created = modified

    def ukey(self, path: str) -> str:
        """The id of the content."""
        return self.snapshot.object_hash(self._strip_protocol(path))

    checksum = ukey


class Upload(io.BufferedIOBase):
    """A file being written. It waits on the local disk, so that closing it can commit to whatever is the newest state."""

    def __init__(
        self, filesystem: PackhouseFileSystem, path: str, autocommit: bool, is_new: bool
    ) -> None:
        self._filesystem = filesystem
        self._path = path
        self._autocommit = autocommit
        self._is_new = is_new
        self._file = tempfile.NamedTemporaryFile(prefix="packhouse-")

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

        def write(fs: FS) -> FS:
            if self._is_new and fs.exists(self._path):
                raise FileExistsError(self._path)
            return fs.write_from_file(self._path, self._file.name, mode=FileType.BLOB)

        self._filesystem._write(write)
        self._file.close()

    def discard(self) -> None:
        """Forgets the file."""
        self._file.close()

    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._autocommit and not self._file.closed:
                self.commit()
            else:
                self.flush()
        finally:
            super().close()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        # A file that was forgotten is not one that was finished.
        self._file.close()


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _info(fs: FS, path: str) -> Info:
    stat = fs.stat(path)
    is_dir = stat.file_type is FileType.TREE
    return {
        "name": path,
        "size": stat.size,
        "type": "directory" if is_dir else "file",
        "islink": stat.file_type is FileType.LINK,
        "mode": stat.mode,
        "sha": stat.hash,
        "mtime": stat.mtime,
    }
