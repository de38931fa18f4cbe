"""Hosting services, asked for credentials when a repository of theirs is read."""

from .base import Credentials, GitProvider
from .generic import BasicProvider, TokenProvider
from .github import GitHubProvider
from .gitlab import GitLabProvider
from .registry import ProviderRegistry, registry

__all__ = [
    "BasicProvider",
    "Credentials",
    "GitHubProvider",
    "GitLabProvider",
    "GitProvider",
    "ProviderRegistry",
    "TokenProvider",
    "registry",
]
