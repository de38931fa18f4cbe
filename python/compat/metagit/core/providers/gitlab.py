"""GitLab, as ``metagit.core.providers.gitlab``."""

from packhouse.cache.providers import GitLabProvider

__all__ = ["GitLabProvider"]
