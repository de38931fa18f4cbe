"""Repositories."""

from __future__ import annotations

from packhouse.hosted import Repo

__all__ = ["Repo"]
