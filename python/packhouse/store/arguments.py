"""What callers may pass: checked here, once, and handed to the engine in the one form it knows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterable, List, Optional, Tuple, Union

from .tree import FileType

if TYPE_CHECKING:
    from .snapshot import FS

RepoPath = Union[str, "os.PathLike[str]"]
LocalPath = Union[str, "os.PathLike[str]"]
Data = Union[bytes, bytearray, memoryview]
Mode = Union[FileType, int, None]

_WRITABLE_MODES = {
    0o100644: FileType.BLOB,
    0o100755: FileType.EXECUTABLE,
    0o120000: FileType.LINK,
}


def data_bytes(data: Data) -> bytes:
    """The bytes of ``data``; nothing is copied if they are ``bytes`` already."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"expected bytes, got {type(data).__name__} (use write_text for text)")


def text_bytes(text: str, encoding: str) -> bytes:
    """The bytes of ``text``."""
    if not isinstance(text, str):
        raise TypeError(f"expected str, got {type(text).__name__} (use write for bytes)")
    return text.encode(encoding)


def mode_name(mode: Mode) -> Optional[str]:
    """The engine's name of a file mode; only files and links can be written."""
    if mode is None:
        return None
    if isinstance(mode, int) and not isinstance(mode, bool):
        kind = _WRITABLE_MODES.get(mode)
        if kind is None:
            raise ValueError(f"Cannot write a file with mode {mode:#o}")
        return str(kind)
    if isinstance(mode, FileType):
        if mode is FileType.TREE or mode is FileType.COMMIT:
            raise ValueError(f"Cannot write a file of type '{mode}'")
        return str(mode)
    raise TypeError(f"expected FileType or int, got {type(mode).__name__}")


def path_list(paths: Union[RepoPath, Iterable[RepoPath]]) -> List[RepoPath]:
    """One path or several, as a list."""
    if isinstance(paths, (str, os.PathLike)):
        return [paths]
    return list(paths)


def parent_hashes(parents: Optional[Iterable[FS]]) -> List[str]:
    """The commits of the extra parents of a commit."""
    from .snapshot import FS

    hashes = []
    for parent in parents or ():
        if not isinstance(parent, FS):
            raise TypeError(f"Expected FS, got {type(parent).__name__}")
        hashes.append(parent.commit_hash)
    return hashes


def write_mode(mode: str) -> bool:
    """Whether a writer of this mode takes text."""
    if mode not in ("wb", "w"):
        raise ValueError(f"Unsupported mode: {mode!r} (use 'wb' or 'w')")
    return mode == "w"


def hash_text(hash: Union[str, bytes]) -> str:
    """An object id as text."""
    if isinstance(hash, bytes):
        # What is not ASCII is no id, and so not found.
        return hash.decode("ascii", "replace")
    return hash


def optional_path(path: Optional[RepoPath]) -> RepoPath:
    """The path, or the root."""
    return "" if path is None else path


Removes = Union[RepoPath, Iterable[RepoPath], None]
Content = Tuple[RepoPath, Tuple[str, object], Optional[str]]
