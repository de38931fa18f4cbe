"""``packhouse.cache`` under the name that programs import."""

from packhouse.cache import GitCacheConfig, GitCacheManager

__all__ = ["GitCacheConfig", "GitCacheManager"]
