"""GitHub, as ``metagit.core.providers.github``."""

from packhouse.cache.providers import GitHubProvider

__all__ = ["GitHubProvider"]
