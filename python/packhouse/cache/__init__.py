"""A local cache of Git repositories and directories, for programs that read them instead of cloning them again.

    from packhouse.cache import GitCacheConfig, GitCacheManager

    manager = GitCacheManager(GitCacheConfig(cache_root="./cache"))
    entry = manager.cache_repository("https://github.com/octocat/Hello-World.git")

Needs pydantic: ``pip install 'packhouse[cache]'``.
"""

from packhouse._native import CacheError

from .config import CacheStatus, CacheType, GitCacheConfig, GitCacheEntry
from .manager import Checkout, GitCacheManager

__all__ = [
    "CacheError",
    "CacheStatus",
    "CacheType",
    "Checkout",
    "GitCacheConfig",
    "GitCacheEntry",
    "GitCacheManager",
]
