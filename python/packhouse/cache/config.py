"""The settings of a cache, and what it knows about each of its entries."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Dict, List, Optional

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: Bytes in what ``max_cache_size_gb`` counts.
GIB = 1024**3


class CacheType(str, Enum):
    """What an entry was made from: a remote repository, or a directory of this machine."""

    GIT = "git"
    LOCAL = "local"


class CacheStatus(str, Enum):
    """How far an entry can be trusted.

    ``FRESH``: complete, and as its source was within the timeout. ``STALE``: complete, and older than that. ``MISSING``:
    there are no files. ``ERROR``: the last update failed; the files, if there are any, are those of the last good one.
    """

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    ERROR = "error"


class GitCacheEntry(BaseModel):
    """One entry of the cache. Times are local ones without a zone; sizes are in bytes, ``.git`` included."""

    model_config = ConfigDict(use_enum_values=True, extra="forbid")

    name: str
    source_url: str
    cache_type: CacheType
    cache_path: Path
    created_at: datetime = Field(default_factory=datetime.now)
    last_updated: datetime = Field(default_factory=datetime.now)
    last_accessed: datetime = Field(default_factory=datetime.now)
    size_bytes: Optional[int] = None
    status: CacheStatus = CacheStatus.FRESH
    error_message: Optional[str] = None
    metadata: Dict[str, Any] = Field(default_factory=dict)
    local_commit_hash: Optional[str] = None
    local_branch: Optional[str] = None
    remote_commit_hash: Optional[str] = None
    remote_branch: Optional[str] = None
    has_upstream_changes: Optional[bool] = None
    upstream_changes_summary: Optional[str] = None
    last_diff_check: Optional[datetime] = None

    @field_validator("cache_path", mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return Path(value) if isinstance(value, str) else value


class GitCacheConfig(BaseModel):
    """Where the cache is and how it behaves.

    A ``cache_root`` that is given is made if it is not there. ``git_config`` has settings of Git that apply to every
    source, such as ``http.extraheader``. ``provider_config`` has the arguments of providers by name, ``{"github":
    {"api_token": …}}``. ``entries`` is what the manager last saw; the cache itself keeps them on disk.
    """

    model_config = ConfigDict(use_enum_values=True, extra="forbid")

    cache_root: Path = Path("./.metagit/.cache")
    default_timeout_minutes: int = 60
    max_cache_size_gb: float = 10.0
    enable_async: bool = True
    git_config: Dict[str, Any] = Field(default_factory=dict)
    provider_config: Optional[Dict[str, Any]] = None
    entries: Dict[str, GitCacheEntry] = Field(default_factory=dict)

    @field_validator("cache_root", mode="before")
    @classmethod
    def _root(cls, value: Any) -> Any:
        if not isinstance(value, (str, os.PathLike)):
            return value
        root = Path(value)
        root.mkdir(parents=True, exist_ok=True)
        return root

    @field_validator("default_timeout_minutes")
    @classmethod
    def _timeout(cls, value: int) -> int:
        if value <= 0:
            raise ValueError("Timeout must be positive")
        return value

    @field_validator("max_cache_size_gb")
    @classmethod
    def _size(cls, value: float) -> float:
        # Not a number and infinity are neither.
        if not 0 < value < float("inf"):
            raise ValueError("Max cache size must be positive")
        return value

    def get_cache_path(self, name: str) -> Path:
        """Where the files of the entry of this name are."""
        return self.cache_root / name

    def is_entry_stale(self, entry: GitCacheEntry) -> bool:
        """Whether the entry was updated longer ago than the timeout."""
        # Local times without a zone differ by an hour more or less where clocks are put forward or back in between.
        now, limit = datetime.now(), timedelta(minutes=self.default_timeout_minutes)
        try:
            return now.timestamp() - entry.last_updated.timestamp() > limit.total_seconds()
        except (ValueError, OverflowError):
            # Times as far off as ``datetime.min`` are none since 1970.
            return now - entry.last_updated > limit

    def get_cache_size_bytes(self) -> int:
        """The sizes of the entries together, as they were measured when each was made."""
        return sum(entry.size_bytes or 0 for entry in self.entries.values())

    def get_cache_size_gb(self) -> float:
        """The same in GiB."""
        return self.get_cache_size_bytes() / GIB

    def is_cache_full(self) -> bool:
        """Whether the entries reach the limit."""
        return self.get_cache_size_gb() >= self.max_cache_size_gb

    def add_entry(self, entry: GitCacheEntry) -> None:
        """Remembers the entry under its name."""
        self.entries[entry.name] = entry

    def remove_entry(self, name: str) -> bool:
        """Forgets the entry; whether there was one. Its files stay: ``GitCacheManager.remove_cache_entry`` removes both."""
        return self.entries.pop(name, None) is not None

    def get_entry(self, name: str) -> Optional[GitCacheEntry]:
        """The entry of this name."""
        return self.entries.get(name)

    def list_entries(self) -> List[GitCacheEntry]:
        """All entries."""
        return list(self.entries.values())

    def clear_entries(self) -> None:
        """Forgets all entries; their files stay."""
        self.entries.clear()
