"""A versioned file store on an ordinary bare Git repository.

Every write is a commit, and every snapshot stays readable:

    from packhouse.store import GitStore

    store = GitStore.open("data.git", create="main")
    fs = store.branches["main"].write("hello.txt", b"Hello, world!")
    fs.read("hello.txt")

Everything here may be used from several threads and processes at once; :class:`StaleSnapshotError` tells a writer that the
branch has moved. The same calls as coroutines are in :mod:`packhouse.store.aio`.
"""

from __future__ import annotations

from .batch import Batch
from .changes import ChangeAction, ChangeActionKind, ChangeError, ChangeReport, FileEntry
from .errors import GitError, StaleSnapshotError
from .exclude import ExcludeFilter, disk_glob
from .mirror import MirrorDiff, RefChange, bundle_export, bundle_import, resolve_credentials
from .notes import NoteDict, NoteNamespace, NotesBatch
from .refs import RefDict, ReflogEntry, Signature
from .repository import GitStore
from .snapshot import FS, retry_write
from .tree import BlobOid, FileType, StatResult, WalkEntry, WriteEntry

__all__ = [
    "FS",
    "Batch",
    "BlobOid",
    "ChangeAction",
    "ChangeActionKind",
    "ChangeError",
    "ChangeReport",
    "ExcludeFilter",
    "FileEntry",
    "FileType",
    "GitError",
    "GitStore",
    "MirrorDiff",
    "NoteDict",
    "NoteNamespace",
    "NotesBatch",
    "RefChange",
    "RefDict",
    "ReflogEntry",
    "Signature",
    "StaleSnapshotError",
    "StatResult",
    "WalkEntry",
    "WriteEntry",
    "bundle_export",
    "bundle_import",
    "disk_glob",
    "resolve_credentials",
    "retry_write",
]
