"""Files being read through one of fsspec's caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

from ..store import FS

if TYPE_CHECKING:
    from .filesystem import PackhouseFileSystem


class Download(AbstractBufferedFile):
    """A file of one snapshot, of which a cache keeps parts."""

    def __init__(
        self, filesystem: PackhouseFileSystem, path: str, snapshot: FS, **options: Any
    ) -> None:
        self._snapshot = snapshot
        options["size"] = snapshot.size(path)
        super().__init__(filesystem, path, "rb", **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._snapshot.read(self.path, offset=start, size=max(end - start, 0))
