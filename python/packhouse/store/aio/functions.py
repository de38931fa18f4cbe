"""The functions beside the classes, as coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, List

from .. import exclude, mirror
from .running import run

if TYPE_CHECKING:
    from ..arguments import LocalPath
    from ..mirror import Progress, RefSelection
    from .repository import GitStore


async def bundle_export(
    store: GitStore,
    path: LocalPath,
    *,
    refs: RefSelection = None,
    squash: bool = False,
    progress: Progress = None,
) -> None:
    """See :meth:`packhouse.store.GitStore.bundle_export`."""
    await store.bundle_export(path, refs=refs, squash=squash, progress=progress)


async def bundle_import(
    store: GitStore,
    path: LocalPath,
    *,
    refs: RefSelection = None,
    progress: Progress = None,
) -> None:
    """See :meth:`packhouse.store.GitStore.bundle_import`."""
    await store.bundle_import(path, refs=refs, progress=progress)


async def disk_glob(pattern: LocalPath) -> List[str]:
    """See :func:`packhouse.store.disk_glob`."""
    return await run(exclude.disk_glob, pattern)


async def resolve_credentials(url: str) -> str:
    """See :func:`packhouse.store.resolve_credentials`."""
    return await run(mirror.resolve_credentials, url)
