"""Batches, as ``gitstore.batch``."""

from packhouse.store import Batch

__all__ = ["Batch"]
