"""The store: an ordinary bare Git repository, opened or created."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, Optional, Union

from .. import _native
from .arguments import LocalPath, hash_text
from .mirror import MirrorDiff, Progress, RefSelection, mirror_diff, ref_pairs
from .notes import NoteDict
from .refs import RefDict, Signature
from .snapshot import FS
if TYPE_CHECKING:
    from .._native import Store


class GitStore:
    """A versioned file store on a bare Git repository. Open one with :meth:`open`; it may be shared between threads."""

    __slots__ = ("_native", "_branches", "_tags", "_notes", "_options", "__weakref__")

    _native: Store
    _branches: RefDict
    _tags: RefDict
    _notes: NoteDict
    _options: Dict[str, Any]
    """What it can be opened with again."""

    def __init__(self) -> None:
        raise TypeError("use GitStore.open()")

    @classmethod
    def open(
        cls,
        path: LocalPath,
        *,
        create: Union[str, bool, None] = None,
        exist_ok: bool = False,
        branch: Optional[str] = None,
        author: str = "gitstore",
        email: str = "gitstore@localhost",
        durability: str = "full",
        messages: str = "classic",
        compression: Optional[int] = None,
        big_file_threshold: Optional[int] = None,
        read_only: bool = False,
    ) -> GitStore:
        """Opens the repository at ``path``, or creates it.

        Args:
            create: the name of the branch to create the repository with, or ``True`` for one without branches (or with
                ``branch``). Without it a missing repository is an error.
            exist_ok: with ``create``, open the repository if it is there already.
            branch: the branch to create the repository with, where ``create`` is ``True``.
            author, email: who makes the commits.
            durability: ``"full"`` makes every commit durable before it returns, ``"relaxed"`` leaves it to the system.
            messages: automatic messages as ``"classic"`` ("Write hello.txt") or ``"compact"`` ("+ hello.txt").
            compression: zlib's level for new objects, 0 to 9, or -1 for its own choice.
            big_file_threshold: files of this many bytes or more are stored without deflating.
            read_only: refuse every write.

        Raises:
            FileNotFoundError: there is no repository, and ``create`` was not given.
            FileExistsError: there is something at ``path``, and ``exist_ok`` was not given.
        """
        if isinstance(create, str):
            if branch is not None and branch != create:
                raise ValueError(f"create={create!r} and branch={branch!r} name different branches")
            branch, create = create, True
        self = cls.__new__(cls)
        self._native = _native.Store.open(
            path,
            create=("if_missing" if exist_ok else "new") if create else "never",
            branch=branch,
            name=author,
            email=email,
            durability=durability,
            messages=messages,
            compression=compression,
            big_file_threshold=big_file_threshold,
            read_only=read_only,
        )
        self._options = {
            "author": author,
            "email": email,
            "durability": durability,
            "messages": messages,
            "compression": compression,
            "big_file_threshold": big_file_threshold,
            "read_only": read_only,
        }
        self._branches = RefDict(self, self._native.branches(), "branches")
        self._tags = RefDict(self, self._native.tags(), "tags")
        self._notes = NoteDict(self)
        return self

    @property
    def path(self) -> str:
        """The absolute path of the repository."""
        return self._native.path

    @property
    def signature(self) -> Signature:
        """Who makes the commits."""
        return Signature(*self._native.identity)

    _signature = signature

    @property
    def branches(self) -> RefDict:
        """The branches, as a dictionary of writable snapshots."""
        return self._branches

    @property
    def tags(self) -> RefDict:
        """The tags, as a dictionary of read-only snapshots."""
        return self._tags

    @property
    def notes(self) -> NoteDict:
        """The notes, by namespace."""
        return self._notes

    def __repr__(self) -> str:
        return f"GitStore({os.path.join(self.path, '')!r})"

    def fs(self, ref: str, *, back: int = 0) -> FS:
        """The snapshot of a branch, a tag or a full or short commit hash, ``back`` commits before it.

        Only a branch gives a writable snapshot. KeyError if nothing has that name, ValueError if there are not that many
        commits.
        """
        if back < 0:
            raise ValueError("fs() needs back >= 0")
        return FS._of(self, self._native.snapshot(ref, back))

    def read_by_hash(
        self, hash: Union[str, bytes], *, offset: int = 0, size: Optional[int] = None
    ) -> bytes:
        """The bytes of a blob, or the part of them from ``offset``. KeyError if there is no such blob."""
        return self._native.read_blob(hash_text(hash), offset, size)

    def has_hash(self, hash: Union[str, bytes]) -> bool:
        """Whether there is a blob with this id."""
        return self._native.has_blob(hash_text(hash))

    def pack(self, *, progress: Progress = None) -> int:
        """Gathers loose objects into a pack and returns how many there were."""
        return self._native.pack(progress)

    def gc(self, *, progress: Progress = None) -> int:
        """Packs, then removes what nothing refers to any more; returns how many objects were removed."""
        return self._native.gc(progress)

    def backup(
        self,
        url: LocalPath,
        *,
        dry_run: bool = False,
        progress: Progress = None,
        refs: RefSelection = None,
        format: Optional[str] = None,
        squash: bool = False,
    ) -> MirrorDiff:
        """Makes the repository at ``url`` a mirror of this one, or writes a bundle.

        All refs are pushed and those that are only there are deleted, unless ``refs`` selects some (a list of names, or a
        dictionary from names here to names there). ``url`` is a local path or starts with file, http, https, ssh or git.
        A path that ends in ``.bundle``, or ``format="bundle"``, writes one file instead; there ``squash`` leaves history out.
        """
        return mirror_diff(
            self._native.backup(url, dry_run, ref_pairs(refs), format, squash, progress)
        )

    def restore(
        self,
        url: LocalPath,
        *,
        dry_run: bool = False,
        progress: Progress = None,
        refs: RefSelection = None,
        format: Optional[str] = None,
        squash: bool = False,
        additive: bool = False,
    ) -> MirrorDiff:
        """Makes this repository a mirror of the one at ``url``, or reads a bundle.

        Refs that are only here are deleted, unless ``additive`` is set, ``refs`` selects some, or it is a bundle. Of a bundle,
        ``squash`` leaves history out: each ref gets one commit.
        """
        return mirror_diff(
            self._native.restore(url, dry_run, ref_pairs(refs), format, squash, additive, progress)
        )

    def bundle_export(
        self,
        path: LocalPath,
        *,
        refs: RefSelection = None,
        squash: bool = False,
        progress: Progress = None,
    ) -> None:
        """Writes the refs, all or the selected ones, with their history (or without, ``squash``) to one file.

        A file that is there is replaced once all is written, and keeps its permissions. Links are followed; pipes and
        devices are written into.
        """
        self._native.bundle_export(path, ref_pairs(refs), squash, progress)

    def bundle_import(
        self, path: LocalPath, *, refs: RefSelection = None, progress: Progress = None
    ) -> None:
        """Takes the refs, all or the selected ones, from a file that ``bundle_export`` or Git wrote."""
        self._native.bundle_import(path, ref_pairs(refs), progress)
