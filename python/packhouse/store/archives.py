"""A snapshot as one archive file, and the files of one taken in."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Iterable, Optional, Union

from .. import _native
from .arguments import LocalPath, RepoPath, parent_hashes
from .copying import SnapshotCopying
from .mirror import Progress

if TYPE_CHECKING:
    from typing_extensions import Self

    from .snapshot import FS


class SnapshotArchives(SnapshotCopying):
    """The methods for archives: zip, tar, tar.gz, tar.bz2 and tar.xz. They stream, so that archives of any size do."""

    __slots__ = ()

    def archive_out(
        self,
        file: Union[LocalPath, IO[bytes]],
        path: RepoPath = "",
        *,
        format: Optional[str] = None,
        progress: Progress = None,
    ) -> int:
        """Writes the files below ``path`` as an archive, and returns how many there were.

        Args:
            file: a local path, where a file appears when it is complete (a link is followed; a pipe or device is
                written into), or a file object to write to.
            format: what to write: ``"zip"``, ``"tar"``, ``"tar.gz"``, ``"tar.bz2"``, ``"tar.xz"`` or a usual short name such as
                ``"tgz"``; by default what the name of the local path ends in.
        """
        if not isinstance(file, (str, os.PathLike)):
            return self._native.archive_out(file, path, _format(format, None), progress)
        return self._native.archive_to_file(file, path, _format(format, file), progress)

    def archive_in(
        self,
        file: Union[LocalPath, IO[bytes]],
        dest: RepoPath = "",
        *,
        format: Optional[str] = None,
        dry_run: bool = False,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
        progress: Progress = None,
    ) -> Self:
        """Takes the files of an archive in below ``dest``, as one commit. Files of other names stay.

        ``format`` is as for :meth:`archive_out`. With ``dry_run`` only ``changes`` says what the commit would hold.

        Raises:
            ValueError: the archive has no files, or one whose path leads elsewhere; nothing has changed then.
        """
        if not isinstance(file, (str, os.PathLike)):
            return self._reported(
                self._native.archive_in(
                    file,
                    dest,
                    _format(format, None),
                    dry_run,
                    message,
                    parent_hashes(parents),
                    progress,
                )
            )
        with open(file, "rb") as source:
            return self.archive_in(
                source,
                dest,
                format=_format(format, file),
                dry_run=dry_run,
                message=message,
                parents=parents,
                progress=progress,
            )


def _format(format: Optional[str], file: Optional[LocalPath]) -> str:
    if format is None and file is not None:
        format = _native.archive_format_of(file)
    if format is None:
        raise ValueError("the name does not say which archive it is: give format='zip', 'tar', …")
    return format
