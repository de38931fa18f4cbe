"""What the calls of a manager are made of. Programs replace some of these to observe or to imitate them."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import Any, Dict, Optional, Union
from urllib.parse import urlsplit

from packhouse import _native
from packhouse._native import CacheError

from .config import GitCacheEntry
from .engine import Engine
from .providers import GitProvider


#: In the place of a name: that of the place.
OF_PATH = "<the path's>"


class Pieces(Engine):
    """The parts of the calls, each of which returns its result or an exception."""

    def _clone_repository(
        self, url: str, cache_path: Path, *, name: Optional[str] = OF_PATH, cancel: Optional[_native.CancelToken] = None
    ) -> Union[bool, GitCacheEntry, Exception]:
        """Copies a repository to ``cache_path``. With ``name`` None the cache chooses another place if that one is taken."""

        def clone() -> Union[bool, GitCacheEntry]:
            # Only who names the place alone may mean one outside the cache.
            if name is not OF_PATH or self._is_place(cache_path):
                chosen = cache_path.name if name is OF_PATH else name
                return self._seen(self._cache().add(url, chosen, cancel or _native.CancelToken()))
            entry = self._seen(self._cache().add(url, None, cancel or _native.CancelToken()))
            lease = self._cache().lease(entry.name, cancel or _native.CancelToken())
            try:
                _copy(entry.cache_path, cache_path)
            finally:
                lease.release()
            return True

        return self._valued(clone)

    async def _clone_repository_async(
        self, url: str, cache_path: Path, *, name: Optional[str] = OF_PATH
    ) -> Union[bool, GitCacheEntry, Exception]:
        return await self._run_valued(
            lambda cancel: self._clone_repository(url, cache_path, name=name, cancel=cancel)
        )

    def _copy_local_directory(
        self,
        source_path: Path,
        cache_path: Path,
        *,
        name: Optional[str] = OF_PATH,
        cancel: Optional[_native.CancelToken] = None,
    ) -> Union[bool, GitCacheEntry, Exception]:
        """Copies a directory to ``cache_path``, as ``_clone_repository`` does a repository."""

        def copy() -> Union[bool, GitCacheEntry]:
            if name is not OF_PATH or self._is_place(cache_path):
                chosen = cache_path.name if name is OF_PATH else name
                source = os.fspath(source_path)
                return self._seen(self._cache().add(source, chosen, cancel or _native.CancelToken()))
            _copy(source_path, cache_path)
            return True

        return self._valued(copy)

    async def _copy_local_directory_async(
        self, source_path: Path, cache_path: Path, *, name: Optional[str] = OF_PATH
    ) -> Union[bool, GitCacheEntry, Exception]:
        return await self._run_valued(
            lambda cancel: self._copy_local_directory(source_path, cache_path, name=name, cancel=cancel)
        )

    def _pull_updates(self, cache_path: Path) -> Union[bool, Exception]:
        """Brings the entry at ``cache_path`` up to date."""
        done = self._valued(
            lambda: self._seen(self._cache().refresh(cache_path.name, _native.CancelToken()))
        )
        return done if isinstance(done, Exception) else True

    async def _pull_updates_async(self, cache_path: Path) -> Union[bool, Exception]:
        done = await self._run_valued(
            lambda cancel: self._seen(self._cache().refresh(cache_path.name, cancel))
        )
        return done if isinstance(done, Exception) else True

    def _generate_cache_name(self, source: str) -> str:
        """The last part of the path of a source, without ``.git``."""
        if "://" in source:
            path = urlsplit(source).path or urlsplit(source).netloc
        elif not self._is_local_path(source) and ":" in source:
            path = source.partition(":")[2]
        else:
            path = source if Path(source).name else os.path.abspath(source)
        last = path.rstrip("/").rpartition("/")[2]
        return last[: -len(".git")] if last.endswith(".git") and last != ".git" else last

    def _path_for(self, source: str, name: Optional[str]) -> Path:
        return self.config.get_cache_path(self._generate_cache_name(source) if name is None else name)

    def _is_git_url(self, source: str) -> bool:
        """Whether the source is a URL of the network."""
        return source.startswith(("http://", "https://", "git://", "ssh://"))

    def _is_local_path(self, source: str) -> bool:
        """Whether the source is a directory."""
        return os.path.isdir(source)

    def _is_git_repository(self, path: Path) -> bool:
        """Whether the directory is a repository, or the top of a working tree of one."""
        git = path / ".git"
        return git.exists() or all((path / part).exists() for part in ("HEAD", "objects", "refs"))

    def _is_local_git_repository(self, source: str) -> bool:
        """The same for a source."""
        return self._is_local_path(source) and self._is_git_repository(Path(source))

    def _calculate_directory_size(self, path: Path) -> int:
        """The sizes of the files below a directory together, in bytes. What cannot be read counts nothing."""
        total = 0
        for folder, _, files in os.walk(path):
            for file in files:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, file)).st_size
        return total

    def _get_provider_for_url(self, url: str) -> Optional[GitProvider]:
        """The provider that serves the URL."""
        return next((found for found in self._providers.values() if found.can_handle_url(url)), None)

    def _get_repository_info(self, repo_path: Path) -> Dict[str, Any]:
        """The commit and the branch that are checked out at ``repo_path``, as the cache knows them."""
        entry = self._at(repo_path)
        commit, branch = (entry.local_commit_hash, entry.local_branch) if entry else (None, None)
        return {"commit_hash": commit, "branch": branch, "is_detached": commit is not None and branch is None}

    def _get_remote_info(self, repo_path: Path, remote_name: str = "origin") -> Dict[str, Any]:
        """Where the default branch of the remote of ``repo_path`` is now."""
        current = self._current(repo_path)
        commit, branch = current.get("remote_commit_hash"), current.get("remote_branch")
        return {"commit_hash": commit, "branch": branch, "remote_name": remote_name}

    def _check_repository_differences(self, repo_path: Path) -> Dict[str, Any]:
        """How ``repo_path`` stands to its remote."""
        local, current = self._get_repository_info(repo_path), self._current(repo_path)
        remote = {
            "commit_hash": current.get("remote_commit_hash"),
            "branch": current.get("remote_branch"),
            "remote_name": "origin",
        }
        return {
            "local_info": local,
            "remote_info": remote,
            "has_changes": bool(current.get("has_upstream_changes")),
            "changes_summary": current.get("upstream_changes_summary") or "",
        }


def _copy(source: Path, target: Path) -> None:
    """Copies a directory to where nothing is, so that a failure leaves nothing and nothing is overwritten."""
    if target.exists() and any(target.iterdir()):
        raise CacheError(f"{target} is there already and is not an entry of this cache")
    staged = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        shutil.copytree(source, staged, symlinks=True)
        os.replace(staged, target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
