"""Excludes, as ``gitstore._exclude``."""

from packhouse.store import ExcludeFilter

__all__ = ["ExcludeFilter"]
