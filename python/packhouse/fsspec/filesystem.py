"""The file system."""

from __future__ import annotations

import inspect
import os
import shutil
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Set, Tuple, Union

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import LocalFileSystem, make_path_posix, trailing_sep
from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from ..store import FS, FileType, GitStore
from .downloads import Download
from .places import places
from .transaction import StoreTransaction
from .uploads import CompressedUpload, NewFile, TextUpload, Upload

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
    transaction_type = StoreTransaction

    def __init__(
        self,
        repo: Union[str, "os.PathLike[str]", GitStore],
        ref: Optional[str] = None,
        back: int = 0,
        readonly: bool = False,
        **options: Any,
    ) -> None:
        ours = set(inspect.signature(GitStore.open).parameters) - {"path"}
        opening = {key: options.pop(key) for key in ours & options.keys()}
        super().__init__(repo=repo, ref=ref, back=back, readonly=readonly, **options)
        self._is_of_open_store = isinstance(repo, GitStore)
        self.store = repo if isinstance(repo, GitStore) else GitStore.open(repo, **opening)
        self.ref = ref
        self.back = back
        self.readonly = readonly

    def __reduce__(self) -> Any:
        """It is opened again where it is unpickled: an open store by its path, with the options that it was opened with."""
        make, (kind, args, options) = super().__reduce__()
        if self._is_of_open_store:
            options = {**self.store._options, **options, "repo": self.store.path}
            options.update(zip(("ref", "back", "readonly"), args[1:]))
            args = ()
        return make, (kind, args, options)

    @property
    def snapshot(self) -> FS:
        """The snapshot that is read now."""
        if self.ref is not None:
            return self.store.fs(self.ref, back=self.back)
        current = self.store.branches.current
        if current is None:
            raise FileNotFoundError(f"{self.store!r} has no current branch: name one as `ref`")
        return current.back(self.back)

    def _write(self, action: Callable[[FS], object]) -> None:
        """Writes to the newest state of the branch; nobody else who uses this library writes meanwhile."""

        self._writable()
        self.store._native.exclusively(lambda: action(self._writable()))

    def _writable(self) -> FS:
        """The newest state of the branch, if it can be written."""
        fs = self.snapshot
        if self.readonly or self.back or not fs.writable:
            ref = fs.ref_name or fs.commit_hash[:7]
            raise PermissionError(f"Cannot write to read-only snapshot (ref {ref!r})")
        return fs

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

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Optional[int] = None,
        cache_options: Optional[Dict[str, Any]] = None,
        compression: Optional[str] = None,
        **kwargs: Any,
    ) -> Any:
        """A file object. One that is written is committed when it is closed, unless an exception leaves its ``with`` block."""
        if "r" in mode:
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        is_text = "b" not in mode
        texts = ("encoding", "errors", "newline") if is_text else ()
        text = {key: kwargs.pop(key) for key in texts if key in kwargs}
        binary_mode = mode.replace("t", "") + "b" if is_text else mode
        upload = super().open(path, binary_mode, block_size, cache_options, **kwargs)
        try:
            binary = upload if compression is None else CompressedUpload(upload, compression)
            return TextUpload(binary, **text) if is_text else binary
        except BaseException:
            upload.discard()
            raise

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
            if "cache_type" not in kwargs:
                return self.snapshot.open(path, "rb")
            kwargs.update(block_size=block_size or "default", cache_options=cache_options)
            return Download(self, path, self.snapshot, **kwargs)
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        if mode not in ("wb", "xb"):
            raise ValueError(f"Unsupported mode: {mode!r} (use 'rb', 'wb' or 'xb')")
        self._writable()
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
        with self.open(path, "xb" if mode == "create" else "wb") as file:
            file.write(value)

    def put_file(
        self, lpath: str, rpath: str, callback: Any = None, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        """Writes a file with the content of a local one."""
        if os.path.isdir(lpath):
            return
        is_new = mode == "create"
        if not self._intrans:
            self._commit([NewFile(self._strip_protocol(rpath), lpath, None, is_new)])
            return
        with self.open(rpath, "xb" if is_new else "wb") as upload, open(lpath, "rb") as local:
            shutil.copyfileobj(local, upload)
            shutil.copymode(lpath, upload.local)
            upload.file_type = None

    def _commit(self, files: Sequence[NewFile]) -> None:
        """Makes one commit of all of them. Those that have to be new must still be."""
        # They are read while others have their turn.
        batch = self._writable().batch()
        for file in files:
            batch.write_from_file(file.path, file.local, mode=file.file_type)

        def write(fs: FS) -> None:
            for file in files:
                if file.is_new and fs.exists(file.path):
                    raise FileExistsError(file.path)
            batch._native.commit_on(fs._native)

        self._write(write)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: Optional[int] = None,
        on_error: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        """Copies files, and directories if ``recursive`` is set; into ``path2`` if that is a directory."""
        sources, targets = self._places(path1, path2, recursive, maxdepth)
        super().copy(sources, targets, recursive=recursive, on_error=on_error, **kwargs)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        """Moves files as one commit, and directories if ``recursive`` is set; into ``path2`` if that is a directory.

        Raises:
            ValueError: something would be moved into itself, or to where something else is moved away.
        """

        def move(fs: FS) -> None:
            sources, targets = self._places(path1, path2, recursive, maxdepth)
            if not sources:
                raise IsADirectoryError(path1)
            moves = {s: t for s, t in zip(sources, targets) if s != t}
            for source, target in moves.items():
                taken = next((one for one in (target, *_parents(target)) if one in moves), None)
                if taken is not None:
                    raise ValueError(f"Cannot move {source!r} to {target!r}: {taken!r} is moved away")
            files = [(source, target) for source, target in moves.items() if not fs.is_dir(source)]
            if files:
                fs._native.move_each(files)

        self._write(move)

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        """Copies files to the local disk, and directories if ``recursive`` is set; into ``lpath`` if that is a directory."""
        lpath = stringify_path(lpath)
        if isinstance(lpath, str):
            lpath = make_path_posix(lpath)
            is_dir = trailing_sep(lpath) or LocalFileSystem().isdir(lpath)
            rpath, lpath = places(self, rpath, lpath, is_dir, recursive, maxdepth)
        super().get(rpath, lpath, recursive=recursive, callback=callback, **kwargs)

    def _places(
        self, source: Any, target: Any, recursive: bool, maxdepth: Optional[int]
    ) -> Tuple[List[str], List[str]]:
        """Each source of a copy within the store, and where it goes."""
        target = stringify_path(target)
        if isinstance(target, str):
            is_dir = trailing_sep(target) or self.isdir(target)
            target = self._strip_protocol(target)
            source, target = places(self, source, target, is_dir, recursive, maxdepth)
        return self._strip_protocol(source), self._strip_protocol(target)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copies a file within the store: its mode and the id of its content, which is not read."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)

        def copy(fs: FS) -> None:
            if fs.is_dir(source):
                return
            if fs.is_dir(target):
                raise IsADirectoryError(target)
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

        self._write(copy)

    def rm_file(self, path: str) -> None:
        """Removes a file."""
        self._remove([self._strip_protocol(path)])

    _rm = rm_file

    def rm(
        self, path: Union[str, List[str]], recursive: bool = False, maxdepth: Optional[int] = None
    ) -> None:
        """Removes what the patterns match, as one commit: files, and directories if ``recursive`` is set.

        With ``maxdepth`` files that are deeper stay.
        """

        def remove(_: FS) -> None:
            if not recursive or maxdepth is None:
                found = self.expand_path(path, maxdepth=maxdepth)
                # What lies in a directory that is removed goes with it.
                above = set(found) if recursive else set()
                self._remove([one for one in found if not above & _parents(one)], recursive)
                return
            found = self.expand_path(path, recursive=True, maxdepth=maxdepth)
            files = [one for one in found if not self.isdir(one)]
            if files:
                self._remove(files)

        self._write(remove)

    def _remove(self, paths: List[str], recursive: bool = False) -> None:
        self._write(lambda fs: fs.remove(paths, recursive=recursive))

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


def _parents(path: str) -> Set[str]:
    """The directories that a path is in."""
    parts = path.split("/")
    return {"/".join(parts[:depth]) for depth in range(len(parts))} if path else set()


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
