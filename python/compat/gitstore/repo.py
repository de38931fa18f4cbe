"""The store and its refs, as ``gitstore.repo``."""

from packhouse.store import (
    GitStore,
    MirrorDiff,
    RefChange,
    RefDict,
    ReflogEntry,
    Signature,
    resolve_credentials,
)

__all__ = [
    "GitStore",
    "MirrorDiff",
    "RefChange",
    "RefDict",
    "ReflogEntry",
    "Signature",
    "resolve_credentials",
]
