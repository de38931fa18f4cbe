"""What every provider is, as ``metagit.core.providers.base``."""

from packhouse.cache.providers import GitProvider

__all__ = ["GitProvider"]
