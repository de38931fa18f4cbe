"""Notes, as ``gitstore.notes``."""

from packhouse.store import NoteDict, NoteNamespace, NotesBatch

__all__ = ["NoteDict", "NoteNamespace", "NotesBatch"]
