"""Which provider serves a URL."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Type

from .base import GitProvider
from .github import GitHubProvider
from .gitlab import GitLabProvider

#: By the name in ``provider_config``.
PROVIDERS: Dict[str, Type[GitProvider]] = {"github": GitHubProvider, "gitlab": GitLabProvider}


def configured(config: Mapping[str, Any]) -> List[GitProvider]:
    """The providers that ``{"github": {"api_token": …, "base_url": …, "enabled": …}}`` describes.

    Raises:
        ValueError: a name or a setting is not known.
    """
    made = []
    for name, settings in config.items():
        provider = PROVIDERS.get(name.lower())
        if provider is None:
            raise ValueError(f"provider_config has no provider {name!r}: there are {', '.join(PROVIDERS)}")
        if not isinstance(settings, Mapping):
            raise ValueError(f"provider_config[{name!r}] must be a dictionary such as {{'api_token': …}}")
        unknown = set(settings) - {"api_token", "base_url", "enabled"}
        if unknown:
            raise ValueError(
                f"provider_config[{name!r}] has no setting {sorted(unknown)[0]!r}: there are api_token, base_url, enabled"
            )
        if settings.get("enabled", True):
            made.append(provider(settings.get("api_token"), settings.get("base_url")))
    return made


class ProviderRegistry:
    """Providers in the order in which they are asked."""

    def __init__(self) -> None:
        self._providers: List[GitProvider] = []

    def register(self, provider: GitProvider) -> None:
        """Adds a provider, to be asked after those that are there."""
        self._providers.append(provider)

    def unregister(self, provider_name: str) -> None:
        """Removes the providers of this name."""
        self._providers = [kept for kept in self._providers if kept.get_name() != provider_name]

    def clear(self) -> None:
        """Removes all providers."""
        self._providers.clear()

    def get_provider_for_url(self, url: str) -> Optional[GitProvider]:
        """The first provider that serves ``url`` and has a token."""
        for provider in self._providers:
            if provider.can_handle_url(url) and provider.is_available():
                return provider
        return None

    def get_all_providers(self) -> List[GitProvider]:
        """All providers."""
        return list(self._providers)

    def get_provider_by_name(self, name: str) -> Optional[GitProvider]:
        """The provider of this name."""
        return next((found for found in self._providers if found.get_name() == name), None)

    def configure_from_environment(self) -> None:
        """Adds GitHub if ``GITHUB_TOKEN`` is set, and GitLab if ``GITLAB_TOKEN`` is."""
        for name, provider in PROVIDERS.items():
            token = os.environ.get(f"{name.upper()}_TOKEN")
            if token:
                self.register(provider(token))


#: The registry of the process.
registry = ProviderRegistry()
