"""The client."""

from __future__ import annotations

from packhouse.hosted import GitStorage, create_client

__all__ = ["GitStorage", "create_client"]
