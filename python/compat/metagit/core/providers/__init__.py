"""Hosting services, as ``metagit.core.providers``."""

from packhouse.cache.providers import GitProvider, ProviderRegistry, registry

__all__ = ["GitProvider", "ProviderRegistry", "registry"]
