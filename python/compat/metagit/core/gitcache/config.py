"""The models, as ``metagit.core.gitcache.config``."""

from packhouse.cache.config import CacheStatus, CacheType, GitCacheConfig, GitCacheEntry

__all__ = ["CacheStatus", "CacheType", "GitCacheConfig", "GitCacheEntry"]
