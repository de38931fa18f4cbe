"""Where the files of a copy go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from fsspec.core import has_magic
from fsspec.implementations.local import trailing_sep
from fsspec.utils import other_paths, stringify_path

if TYPE_CHECKING:
    from .filesystem import PackhouseFileSystem


def places(
    filesystem: PackhouseFileSystem,
    source: Any,
    target: str,
    is_dir: bool,
    recursive: bool,
    maxdepth: Optional[int],
) -> Tuple[List[str], List[str]]:
    """Each file and directory of the source (a path, a pattern or several), and where it goes.

    The rules are fsspec's, whose own code misses the name of what lies in no directory: in a directory (``is_dir``) a
    source keeps its name, unless it ends with a slash.
    """
    source = stringify_path(source)
    found = filesystem.expand_path(source, recursive=recursive, maxdepth=maxdepth)
    is_one = isinstance(source, str)
    if is_one and (not recursive or maxdepth is not None):
        found = [path for path in found if not filesystem.isdir(path)]
    if not found:
        return [], []
    for path in found:
        if ".." in path.split("/"):
            raise ValueError(f"{path!r} leads out of the directory that it is copied to")
    target = target.rstrip("/")
    rooted = [f"/{path}" if path else "" for path in found]
    if not is_one or has_magic(source):
        is_into = is_one and len(found) == 1
        return found, other_paths(rooted, target, exists=is_into, flatten=not is_one)
    stripped = filesystem._strip_protocol(source)
    root = f"/{stripped}" if stripped else ""
    if is_dir and not trailing_sep(source):
        root = root.rpartition("/")[0]
    return found, [target + path[len(root) :] for path in rooted]
