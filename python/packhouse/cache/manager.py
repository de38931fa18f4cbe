"""The manager: every call of the cache, with errors as values."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from packhouse import _native
from packhouse._native import CacheError

from .config import GIB, CacheStatus, CacheType, GitCacheConfig, GitCacheEntry
from .engine import logger
from .pieces import Pieces
from .providers import GitProvider
from .providers.registry import configured

Source = Union[str, "os.PathLike[str]"]

#: What an entry of a repository tells about its commits.
_GIT_FIELDS = (
    "local_commit_hash",
    "local_branch",
    "remote_commit_hash",
    "remote_branch",
    "has_upstream_changes",
    "upstream_changes_summary",
)


class Checkout(NamedTuple):
    """A working tree at a commit, made by ``GitCacheManager.checkout``."""

    id: str
    name: str
    path: Path
    commit: str
    created_at: datetime
    notes: Tuple[str, ...]


class GitCacheManager(Pieces):
    """Copies of repositories and directories below ``config.cache_root``.

    Calls return their result, or the exception that ended them; they raise none. Any number of threads and processes may
    use one cache; ``config.entries`` is what this manager saw last.
    """

    def __init__(self, config: GitCacheConfig) -> None:
        super().__init__(config)
        #: What the last ``clear_cache`` left on the disk besides entries, and who uses it.
        self.left_in_use: Tuple[str, ...] = ()
        for provider in configured(config.provider_config or {}):
            self.register_provider(provider)
        # Only a cache that is there has entries, and asking must not make one.
        if config.cache_root.is_dir() and any(config.cache_root.iterdir()):
            self._known()

    def register_provider(self, provider: GitProvider) -> None:
        """Asks ``provider`` for the credentials of the URLs that it serves."""
        self._providers[provider.get_name()] = provider

    # Adding and bringing up to date.

    def cache_repository(self, source: Source, name: Optional[str] = None) -> Union[GitCacheEntry, Exception]:
        """Makes a copy of ``source``, or brings the one that is there up to date.

        ``source`` is a URL (``https``, ``http``, ``ssh``, ``git``, ``file``), ``user@host:path``, or a directory. Without
        a ``name`` the entry has the last part of its path; the one of another source is never taken.
        """
        return self._valued(lambda: self._cache_repository(os.fspath(source), name))

    async def cache_repository_async(
        self, source: Source, name: Optional[str] = None
    ) -> Union[GitCacheEntry, Exception]:
        """``cache_repository``, while the event loop goes on. Cancelling it ends the fetch unless others wait for it."""
        refused = self._async_refused()
        if refused is not None:
            return refused
        try:
            source = os.fspath(source)
            path = self._path_for(source, name)
            if self._is_local_path(source):
                done = await self._copy_local_directory_async(Path(source), path, name=name)
            else:
                done = await self._clone_repository_async(source, path, name=name)
            return await self._run_valued(lambda cancel: self._entry_of(done, source, path))
        except Exception as error:  # noqa: BLE001
            return error

    def refresh_cache_entry(self, name: str) -> Union[GitCacheEntry, Exception]:
        """Brings an entry up to date with its source."""
        entry = self._find(name)
        if isinstance(entry, Exception):
            return entry
        return self.cache_repository(entry.source_url, name)

    async def refresh_cache_entry_async(self, name: str) -> Union[GitCacheEntry, Exception]:
        """``refresh_cache_entry``, while the event loop goes on."""
        entry = await self._run_valued(lambda cancel: self._find(name))
        if isinstance(entry, Exception):
            return entry
        return await self.cache_repository_async(entry.source_url, name)

    # Reading.

    def get_cached_repository(self, name: str) -> Union[Path, Exception]:
        """Where the files of an entry are. Notes that they are used."""

        def get() -> Union[Path, Exception]:
            try:
                return self._seen(self._cache().get(name)).cache_path
            except CacheError as error:
                entry = self.config.get_entry(name)
                if entry is None:
                    return error
                if self._is_foreign(entry) and entry.cache_path.is_dir():
                    entry.last_accessed = datetime.now()
                    return entry.cache_path
                if not entry.cache_path.is_dir():
                    entry.status = CacheStatus.MISSING
                    return CacheError(f"Cache path does not exist: {entry.cache_path}")
                # Somebody's own folder may be there: the entry is missing then too.
                self._known()
                return error

        return self._valued(get)

    def list_cache_entries(self) -> List[GitCacheEntry]:
        """All entries, in the order of their names."""
        self._known()
        for entry in self.config.entries.values():
            if self._is_foreign(entry):
                self._judge(entry)
        return sorted(self.config.entries.values(), key=lambda entry: entry.name)

    def get_cache_stats(self) -> Dict[str, Any]:
        """How many entries of each kind there are, and what they take."""
        total = self._known()
        entries = self.config.list_entries()

        def count(field: str, value: str) -> int:
            return sum(1 for entry in entries if getattr(entry, field) == value)

        total += sum(entry.size_bytes or 0 for entry in entries if self._is_foreign(entry))
        return {
            "total_entries": len(entries),
            "git_entries": count("cache_type", CacheType.GIT),
            "local_entries": count("cache_type", CacheType.LOCAL),
            "fresh_entries": count("status", CacheStatus.FRESH),
            "stale_entries": count("status", CacheStatus.STALE),
            "missing_entries": count("status", CacheStatus.MISSING),
            "error_entries": count("status", CacheStatus.ERROR),
            "total_size_bytes": total,
            "total_size_gb": total / GIB,
            "max_size_gb": self.config.max_cache_size_gb,
            "cache_full": total / GIB >= self.config.max_cache_size_gb,
        }

    def get_cache_entry_details(self, name: str) -> Union[Dict[str, Any], Exception]:
        """An entry as a dictionary; for a repository also what its remote says now, if it was not asked just before."""

        def get() -> Union[Dict[str, Any], Exception]:
            found: Dict[str, Any] = {}
            try:
                found = self._cache().details(name, _native.CancelToken())
                entry = self._seen(found["entry"])
            except CacheError as error:
                foreign = self.config.get_entry(name)
                if foreign is None or not self._is_foreign(foreign):
                    return error
                entry = foreign
            return self._details(entry, found)

        return self._valued(get)

    # Removing.

    def remove_cache_entry(self, name: str) -> Union[bool, Exception]:
        """Removes an entry with its files. Files that this cache did not make stay where they are."""

        def remove() -> Union[bool, Exception]:
            try:
                self._cache().remove(name, _native.CancelToken())
            except CacheError as error:
                entry = self.config.get_entry(name)
                if entry is None or not self._is_foreign(entry):
                    return error
                logger.warning("%s was not made by the cache: only its entry is removed", entry.cache_path)
            self.config.remove_entry(name)
            return True

        return self._valued(remove)

    def clear_cache(self) -> Union[bool, Exception]:
        """Removes all entries. Those in use stay, and one of them is the error.

        What else is in use and stays is in ``left_in_use``, and in the log: trees that were replaced and that a process is
        in, and mirrors that are being served.
        """

        def clear() -> Union[bool, Exception]:
            self.left_in_use = ()
            try:
                self.left_in_use = tuple(self._cache().clear(_native.CancelToken()))
                for left in self.left_in_use:
                    logger.warning("the cache in %s keeps %s", self.config.cache_root, left)
            finally:
                self.config.clear_entries()
                self._known()
            return True

        return self._valued(clear)

    # Working trees at any commit.

    def checkout(self, name: str, revision: str = "HEAD") -> Union[Checkout, Exception]:
        """A working tree of an entry at a branch, a tag or a commit.

        It stays until ``remove_checkout``, or until the entry is removed.
        """
        return self._valued(
            lambda: _checkout(self._cache().checkout(name, revision, _native.CancelToken()))
        )

    async def checkout_async(self, name: str, revision: str = "HEAD") -> Union[Checkout, Exception]:
        """``checkout``, while the event loop goes on."""
        refused = self._async_refused()
        if refused is not None:
            return refused
        return await self._run_valued(
            lambda cancel: _checkout(self._cache().checkout(name, revision, cancel))
        )

    def list_checkouts(self, name: Optional[str] = None) -> Union[List[Checkout], Exception]:
        """The working trees that were made of an entry, or of all."""

        def found() -> List[Checkout]:
            made = map(_checkout, self._cache().checkouts())
            return [checkout for checkout in made if name in (None, checkout.name)]

        return self._valued(found)

    def remove_checkout(self, checkout: Union[Checkout, str]) -> Union[bool, Exception]:
        """Removes a working tree, given by itself or its id."""
        id = checkout.id if isinstance(checkout, Checkout) else checkout

        def remove() -> bool:
            self._cache().remove_checkout(id)
            return True

        return self._valued(remove)

    @contextlib.contextmanager
    def lease(self, name: str) -> Iterator[Path]:
        """The files of an entry, which is neither removed nor evicted before the ``with`` block ends.

        Raises:
            CacheError: there is no such entry.
        """
        lease = self._cache().lease(name, _native.CancelToken())
        try:
            yield self.config.get_cache_path(name)
        finally:
            lease.release()

    def _cache_repository(self, source: str, name: Optional[str]) -> Union[GitCacheEntry, Exception]:
        path = self._path_for(source, name)
        if self._is_local_path(source):
            done = self._copy_local_directory(Path(source), path, name=name)
        else:
            done = self._clone_repository(source, path, name=name)
        return self._entry_of(done, source, path)

    def _entry_of(
        self, done: Union[bool, GitCacheEntry, Exception], source: str, path: Path
    ) -> Union[GitCacheEntry, Exception]:
        if isinstance(done, Exception):
            self._known()
            return done
        if isinstance(done, GitCacheEntry):
            return done
        # Somebody replaced the call that copies, so nothing is known of what it did.
        is_local = self._is_local_path(source)
        entry = GitCacheEntry(
            name=path.name,
            source_url=source,
            cache_type=CacheType.LOCAL if is_local else CacheType.GIT,
            cache_path=path,
        )
        self._judge(entry)
        self.config.add_entry(entry)
        return entry

    def _details(self, entry: GitCacheEntry, found: Dict[str, Any]) -> Dict[str, Any]:
        exists = bool(found.get("exists", entry.cache_path.is_dir()))
        size = entry.size_bytes
        details: Dict[str, Any] = {
            "name": entry.name,
            "source_url": entry.source_url,
            "cache_type": entry.cache_type,
            "cache_path": str(entry.cache_path),
            "created_at": entry.created_at.isoformat(),
            "last_updated": entry.last_updated.isoformat(),
            "last_accessed": entry.last_accessed.isoformat(),
            "size_bytes": size,
            "size_mb": None if size is None else round(size / 1024**2, 2),
            "status": entry.status,
            "error_message": entry.error_message,
            "exists": exists,
            "is_stale": exists and bool(found.get("is_stale", self.config.is_entry_stale(entry))),
        }
        if entry.cache_type != CacheType.GIT or not exists:
            return details
        details.update({field: getattr(entry, field) for field in _GIT_FIELDS})
        checked = entry.last_diff_check
        details["last_diff_check"] = None if checked is None else checked.isoformat()
        if "error" in found:
            details["diff_check_error"] = found["error"]
        current = found.get("current")
        if current is not None:
            details.update({f"current_{field}": current[field] for field in _GIT_FIELDS})
            details["diff_check_timestamp"] = datetime.fromtimestamp(current["checked_at"]).isoformat()
        return details


def _checkout(fields: Dict[str, Any]) -> Checkout:
    return Checkout(
        fields["id"],
        fields["entry"],
        Path(fields["path"]),
        fields["commit"],
        datetime.fromtimestamp(fields["created_at"]),
        tuple(fields["notes"]),
    )
