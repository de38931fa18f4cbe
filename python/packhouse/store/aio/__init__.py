"""The store for programs with an event loop: the calls of ``packhouse.store``, each to be awaited.

    store = await GitStore.open("data.git", create="main")
    fs = await store.branches["main"]
    fs = await fs.write("hello.txt", b"Hello, world!")
    async with fs.batch() as batch:
        await batch.write("a.txt", b"alpha")
    async for snapshot in batch.fs.log():
        print(snapshot.message)

The work is done in threads, so that the loop goes on meanwhile. Properties that read the repository, such as
``fs.parent`` and ``store.branches.current``, are awaited too; what can only be assigned there has a method: ``set``,
``delete``, ``set_current``. Cancelling a write that has begun waits for its end.
"""

from __future__ import annotations

from ..errors import GitError, StaleSnapshotError
from .files import FileReader, FileWriter
from .functions import bundle_export, bundle_import, disk_glob, resolve_credentials
from .refs import NoteDict, NoteNamespace, NotesBatch, RefDict
from .repository import GitStore
from .snapshot import FS, Batch, retry_write

__all__ = [
    "FS",
    "Batch",
    "FileReader",
    "FileWriter",
    "GitError",
    "GitStore",
    "NoteDict",
    "NoteNamespace",
    "NotesBatch",
    "RefDict",
    "StaleSnapshotError",
    "bundle_export",
    "bundle_import",
    "disk_glob",
    "resolve_credentials",
    "retry_write",
]
