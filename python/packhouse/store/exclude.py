"""Which local files to leave out, by the rules of .gitignore; and globbing on the local disk."""

from __future__ import annotations

from typing import Iterable, List, Optional, Union

from .. import _native
from .arguments import LocalPath


class ExcludeFilter:
    """Patterns of files to leave out when copying into a store.

    Args:
        patterns: patterns as a .gitignore has them; the last one that matches wins. All of each counts, also a ``#`` at its
            beginning and spaces at its end, as in ``git ls-files --exclude``.
        exclude_from: a file with more of them, read as a .gitignore: blank lines and comments are skipped, and spaces at the
            end of a line unless a backslash is before them.
        gitignore: also obey the .gitignore files met on the way, and leave those files themselves out.
    """

    __slots__ = ("_native",)

    def __init__(
        self,
        *,
        patterns: Union[str, Iterable[str], None] = None,
        exclude_from: Optional[LocalPath] = None,
        gitignore: bool = False,
    ) -> None:
        if isinstance(patterns, str):
            patterns = [patterns]
        self._native = _native.ExcludeFilter(list(patterns or ()), exclude_from, gitignore)

    @property
    def active(self) -> bool:
        """Whether anything can be excluded at all."""
        return self._native.active

    def is_excluded(self, rel_path: str, *, is_dir: bool = False) -> bool:
        """Whether the patterns given at construction exclude this path."""
        return self._native.is_excluded(rel_path, is_dir)

    def enter_directory(self, abs_dir: LocalPath, rel_dir: str) -> None:
        """Tells the filter that a walk enters a directory, so that it reads its .gitignore."""
        self._native.enter_directory(abs_dir, rel_dir)

    def is_excluded_in_walk(self, rel_path: str, *, is_dir: bool = False) -> bool:
        """Whether the patterns, or a .gitignore of a directory that was entered, exclude this path."""
        return self._native.is_excluded_in_walk(rel_path, is_dir)


def disk_glob(pattern: LocalPath) -> List[str]:
    """The local files and directories that match, sorted.

    The rules are those of ``FS.glob``: ``*`` and ``?`` do not match a leading dot, ``**`` is any number of directories, and a
    ``/./`` is kept in what is found, behind what the pattern before it matches.
    """
    return _native.disk_glob(pattern)
