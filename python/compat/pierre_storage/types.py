"""Shapes of options and results: those of ``packhouse.hosted.types``, and what the vendor's module has besides."""

from __future__ import annotations

from packhouse.hosted import CommitBuilder, Repo
from packhouse.hosted import types as _types
from packhouse.hosted.types import *  # noqa: F403

__all__ = ["CommitBuilder", "Repo"]
__all__ += _types.__all__
