"""The version of the API of this package, and who sends its requests."""

from __future__ import annotations

from packhouse.hosted.version import AGENT

#: The release of the SDK for code.storage whose calls these are.
PACKAGE_VERSION = "1.17.1"


def get_user_agent() -> str:
    """What the server is told: the name and version of packhouse."""
    return AGENT


__all__ = ["PACKAGE_VERSION", "get_user_agent"]
