"""The engine behind a manager: opened as the configuration says, and what it knows as models."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple, TypeVar, Union

from packhouse import _native
from packhouse._native import CacheError

from .config import GIB, CacheStatus, GitCacheConfig, GitCacheEntry
from .providers import GitProvider

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

#: Calls of one manager that are under way at a time; most of their time is waiting for a remote.
_CALLS = 32

#: The fields of an entry that the engine gives as seconds since 1970.
_TIMES = ("created_at", "last_updated", "last_accessed", "last_diff_check")


class _Described(NamedTuple):
    """What the engine said of an entry, and what was made of that: of a thousand entries few change between two looks."""

    root: Path
    fields: Dict[str, Any]
    entry: GitCacheEntry
    values: Dict[str, Any]

    def still_holds(
        self, root: Path, fields: Dict[str, Any], entry: Optional[GitCacheEntry]
    ) -> bool:
        """Whether it would be made again as it is: also callers may have changed the entry that they were given."""
        return (
            entry is self.entry
            and fields == self.fields
            and root == self.root
            and vars(entry) == self.values
        )


class Engine:
    """What the calls of a manager stand on."""

    def __init__(self, config: GitCacheConfig) -> None:
        self.config = config
        self._providers: Dict[str, GitProvider] = {}
        self._lock = threading.Lock()
        self._opened: Optional[Tuple[Tuple[Any, ...], _native.Cache]] = None
        self._told: Set[str] = set()
        self._threads: Optional[ThreadPoolExecutor] = None
        #: Names of the entries that the cache made; others were put into the configuration by somebody else.
        self._own: Set[str] = set()
        self._described: Dict[str, _Described] = {}

    def _cache(self) -> _native.Cache:
        """The engine as the configuration is now."""
        config = self.config
        settings = (
            os.path.abspath(config.cache_root),
            config.default_timeout_minutes * 60,
            max(1, int(config.max_cache_size_gb * GIB)),
            {str(name): _setting(value) for name, value in config.git_config.items()},
        )
        with self._lock:
            if self._opened is None or self._opened[0] != settings:
                root, timeout, size, git_config = settings
                cache = _native.Cache.open(
                    root,
                    timeout_seconds=timeout,
                    max_bytes=size,
                    git_config=git_config,
                    credentials=self._credentials,
                )
                self._opened = (settings, cache)
                self._warn_of(cache.unheeded_settings())
            return self._opened[1]

    def _warn_of(self, unheeded: List[str]) -> None:
        """Tells once of settings that do nothing. Only their names: values may be secrets."""
        new = [name for name in unheeded if name not in self._told]
        self._told.update(new)
        if new:
            names = ", ".join(repr(name) for name in new)
            warnings.warn(f"git_config: the cache does not heed {names}", stacklevel=2)

    def _credentials(self, url: str) -> Optional[Tuple[str, str]]:
        for provider in list(self._providers.values()):
            if provider.can_handle_url(url):
                found = provider.get_credentials(url)
                if found is not None:
                    return found[0], found[1]
        return None

    def _known(self) -> int:
        """Takes over what the cache knows, also from other processes, and returns its size in bytes."""
        try:
            found, total = self._cache().entries()
        except (CacheError, OSError) as error:
            logger.warning("the cache in %s could not be read: %s", self.config.cache_root, error)
            # What was known of it may not be so any more.
            for entry in self.config.list_entries():
                if not self._is_foreign(entry):
                    self._judge(entry)
            return 0
        names = set()
        for fields in found:
            names.add(self._seen(fields).name)
        for entry in self.config.list_entries():
            if entry.name not in names and not self._is_foreign(entry):
                self.config.remove_entry(entry.name)
                self._described.pop(entry.name, None)
        return int(total)

    def _seen(self, described: Dict[str, Any]) -> GitCacheEntry:
        """The entry that the engine describes, which the configuration then has."""
        name, root = described["name"], self.config.cache_root
        before = self.config.get_entry(name)
        known = self._described.get(name)
        if known is not None and known.still_holds(root, described, before):
            return known.entry
        fields = dict(described)
        for time in _TIMES:
            if fields[time] is not None:
                fields[time] = datetime.fromtimestamp(fields[time])
        metadata = dict(before.metadata) if before is not None else {}
        notes = fields.pop("notes")
        metadata.pop("notes", None)
        if notes:
            metadata["notes"] = notes
        path = self.config.get_cache_path(name)
        # Validating a thousand entries takes longer than reading them.
        entry = GitCacheEntry.model_construct(cache_path=path, metadata=metadata, **fields)
        self.config.add_entry(entry)
        self._own.add(name)
        self._described[name] = _Described(root, described, entry, dict(vars(entry)))
        return entry

    def _is_foreign(self, entry: GitCacheEntry) -> bool:
        """Whether the entry was put into the configuration by somebody else than the cache."""
        return entry.name not in self._own

    def _judge(self, entry: GitCacheEntry) -> None:
        if not entry.cache_path.is_dir():
            entry.status = CacheStatus.MISSING
        elif entry.status != CacheStatus.ERROR:
            stale = self.config.is_entry_stale(entry)
            entry.status = CacheStatus.STALE if stale else CacheStatus.FRESH

    def _find(self, name: str) -> Union[GitCacheEntry, Exception]:
        self._known()
        return self.config.get_entry(name) or CacheError(f"Cache entry not found: {name}")

    def _at(self, path: Path) -> Optional[GitCacheEntry]:
        return self.config.get_entry(path.name) if self._is_place(path) else None

    def _current(self, path: Path) -> Dict[str, Any]:
        if self._at(path) is None:
            return {}
        found = self._cache().details(path.name, _native.CancelToken())
        current: Dict[str, Any] = found.get("current") or found["entry"]
        return current

    def _is_place(self, path: Path) -> bool:
        """Whether an entry can be at ``path``."""
        return os.path.realpath(path.parent) == os.path.realpath(self.config.cache_root)

    def _valued(self, call: Callable[[], _T]) -> Union[_T, Exception]:
        try:
            return call()
        except Exception as error:  # noqa: BLE001
            return error

    async def _run_valued(self, call: Callable[[_native.CancelToken], _T]) -> Union[_T, Exception]:
        """``call`` in a thread. Whoever cancels waits until it has ended."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_CALLS, "packhouse-cache")
        cancel = _native.CancelToken()
        running = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: self._valued(lambda: call(cancel))
        )
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            cancel.cancel()
            await asyncio.wait([running])
            raise

    def _async_refused(self) -> Optional[Exception]:
        if self.config.enable_async:
            return None
        return CacheError("asynchronous calls are switched off: set enable_async in the configuration")


def _setting(value: Any) -> str:
    """A setting as Git writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
