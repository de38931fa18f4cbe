"""The manager, as ``metagit.core.gitcache.manager``."""

from packhouse.cache.config import CacheStatus, CacheType, GitCacheConfig, GitCacheEntry
from packhouse.cache.manager import GitCacheManager

__all__ = ["CacheStatus", "CacheType", "GitCacheConfig", "GitCacheEntry", "GitCacheManager"]
