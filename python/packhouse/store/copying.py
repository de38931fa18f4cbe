"""Copying and syncing between a snapshot and the disk or another snapshot, moving and removing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterable, Optional, Union

from .. import _native
from .arguments import LocalPath, Mode, RepoPath, mode_name, parent_hashes, path_list
from .exclude import ExcludeFilter
from .mirror import Progress
from .writing import SnapshotWriting

if TYPE_CHECKING:
    from typing_extensions import Self

    from .snapshot import FS

LocalPaths = Union[LocalPath, Iterable[LocalPath]]
RepoPaths = Union[RepoPath, Iterable[RepoPath]]


class SnapshotCopying(SnapshotWriting):
    """The bulk operations.

    Sources are literal. One that ends in "/" stands for the contents of a directory, another directory is placed below
    the destination by its name, and the part after "/./" is kept below it. Afterwards ``changes`` has the report, ``None`` if
    nothing differs; with ``dry_run`` that is all that happens.
    """

    __slots__ = ()

    def copy_in(
        self,
        sources: LocalPaths,
        dest: RepoPath,
        *,
        dry_run: bool = False,
        follow_symlinks: bool = False,
        message: Optional[str] = None,
        mode: Mode = None,
        ignore_existing: bool = False,
        delete: bool = False,
        ignore_errors: bool = False,
        checksum: bool = True,
        exclude: Optional[ExcludeFilter] = None,
        keep_excluded: bool = False,
        parents: Optional[Iterable[FS]] = None,
        progress: Progress = None,
    ) -> Self:
        """Copies local files and directories into the directory ``dest`` as one commit.

        Args:
            follow_symlinks: store what links point to instead of the links.
            mode: the mode of every file, instead of the one on disk.
            ignore_existing: leave files alone that are there already.
            delete: remove what is below ``dest`` and not among the sources.
            ignore_errors: note files that cannot be read in ``changes.errors`` and go on.
            checksum: with ``delete``, compare content; ``False`` takes files that are older than the snapshot for unchanged.
            exclude: what to leave out.
            progress: called with the number of files done and the total or ``None``; an exception it raises ends the copy.
            keep_excluded: with ``delete``, keep what the filter's own patterns exclude, as rsync does.
        """
        return self._reported(
            self._native.copy_in(
                path_list(sources),
                dest,
                dry_run=dry_run,
                follow_symlinks=follow_symlinks,
                message=message,
                mode=mode_name(mode),
                ignore_existing=ignore_existing,
                delete=delete,
                ignore_errors=ignore_errors,
                checksum=checksum,
                exclude=_native_filter(exclude),
                keep_excluded=keep_excluded,
                parents=parent_hashes(parents),
                progress=progress,
            )
        )

    def copy_out(
        self,
        sources: RepoPaths,
        dest: LocalPath,
        *,
        dry_run: bool = False,
        ignore_existing: bool = False,
        delete: bool = False,
        ignore_errors: bool = False,
        checksum: bool = True,
        progress: Progress = None,
    ) -> Self:
        """Copies files and directories of the snapshot into the local directory ``dest``, and returns the same snapshot.

        Files get the time of the commit; one that replaces another keeps its permissions, but for those to run it. Nothing is
        ever written outside ``dest``: a link in the way is replaced.
        """
        return self._reported(
            self._native.copy_out(
                path_list(sources),
                dest,
                dry_run=dry_run,
                ignore_existing=ignore_existing,
                delete=delete,
                ignore_errors=ignore_errors,
                checksum=checksum,
                progress=progress,
            )
        )

    def dump(self, directory: LocalPath) -> None:
        """Writes the whole tree to a local directory; files that are not in the tree stay."""
        self.copy_out("/", directory)
        # An empty tree has nothing to copy, and yet is written.
        os.makedirs(directory, exist_ok=True)

    def sync_in(
        self,
        local_path: LocalPath,
        repo_path: RepoPath,
        *,
        dry_run: bool = False,
        message: Optional[str] = None,
        ignore_errors: bool = False,
        checksum: bool = True,
        exclude: Optional[ExcludeFilter] = None,
        keep_excluded: bool = False,
        parents: Optional[Iterable[FS]] = None,
        progress: Progress = None,
    ) -> Self:
        """Makes ``repo_path`` equal to a local directory; a missing one counts as empty."""
        return self._reported(
            self._native.sync_in(
                local_path,
                repo_path,
                dry_run=dry_run,
                message=message,
                ignore_errors=ignore_errors,
                checksum=checksum,
                exclude=_native_filter(exclude),
                keep_excluded=keep_excluded,
                parents=parent_hashes(parents),
                progress=progress,
            )
        )

    def sync_out(
        self,
        repo_path: RepoPath,
        local_path: LocalPath,
        *,
        dry_run: bool = False,
        ignore_errors: bool = False,
        checksum: bool = True,
        progress: Progress = None,
    ) -> Self:
        """Makes a local directory equal to ``repo_path``, and returns the same snapshot; a missing path counts as empty."""
        return self._reported(
            self._native.sync_out(
                repo_path,
                local_path,
                dry_run=dry_run,
                ignore_errors=ignore_errors,
                checksum=checksum,
                progress=progress,
            )
        )

    def remove(
        self,
        sources: RepoPaths,
        *,
        recursive: bool = False,
        dry_run: bool = False,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Removes files, and directories if ``recursive`` is set.

        Raises:
            FileNotFoundError: one is not there, or none was given.
            IsADirectoryError: one is a directory and ``recursive`` is not set.
        """
        return self._reported(
            self._native.remove(
                path_list(sources),
                recursive=recursive,
                dry_run=dry_run,
                message=message,
                parents=parent_hashes(parents),
            )
        )

    def move(
        self,
        sources: RepoPaths,
        dest: RepoPath,
        *,
        recursive: bool = False,
        dry_run: bool = False,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Renames one source to ``dest``, or moves sources into the directory ``dest`` (one that exists or ends in "/")."""
        return self._reported(
            self._native.move(
                path_list(sources),
                dest,
                recursive=recursive,
                dry_run=dry_run,
                message=message,
                parents=parent_hashes(parents),
            )
        )

    def copy_from_ref(
        self,
        source: Union[FS, str],
        sources: RepoPaths = "",
        dest: RepoPath = "",
        *,
        delete: bool = False,
        dry_run: bool = False,
        message: Optional[str] = None,
        parents: Optional[Iterable[FS]] = None,
    ) -> Self:
        """Copies from another snapshot of the same store, given as such or by the name of its branch or tag.

        Content is shared, not read. ``delete`` removes what the source does not have, in the copied places only.
        """
        return self._reported(
            self._native.copy_from(
                self._source(source)._native,
                path_list(sources),
                dest,
                delete=delete,
                exact=False,
                dry_run=dry_run,
                message=message,
                parents=parent_hashes(parents),
            )
        )

    def _source(self, source: Union[FS, str]) -> SnapshotWriting:
        if isinstance(source, SnapshotWriting):
            return source
        if not isinstance(source, str):
            raise TypeError(f"Expected FS or the name of a ref, got {type(source).__name__}")
        for refs in (self._store.branches, self._store.tags):
            if source in refs:
                return refs[source]
        raise ValueError(f"No branch or tag named {source!r}")


def _native_filter(exclude: Optional[ExcludeFilter]) -> Optional[_native.ExcludeFilter]:
    if exclude is not None and not isinstance(exclude, ExcludeFilter):
        raise TypeError(f"expected ExcludeFilter, got {type(exclude).__name__}")
    return None if exclude is None else exclude._native
