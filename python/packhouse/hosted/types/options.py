"""Options of the client, and policies in tokens."""

from __future__ import annotations

from typing import List, Optional, TypedDict


class Op(str):
    """What a ref policy forbids or demands."""


OP_NO_FORCE_PUSH = Op("no-force-push")
OP_NO_PUSH = Op("no-push")
OP_VERIFY_SIG = Op("verify-sig")
Ops = List[str]


class RefPolicy(TypedDict, total=False):
    """What is allowed with refs that match a pattern. An empty list of ``ops`` allows everything."""

    pattern: str
    ops: List[str]


Refs = List[RefPolicy]


class GitStorageOptions(TypedDict, total=False):
    """How to reach the server, and as whom. ``name`` and one of ``key`` and ``token`` are needed."""

    name: str
    key: str
    token: str
    api_base_url: Optional[str]
    storage_base_url: Optional[str]
    api_version: Optional[int]
    default_ttl: Optional[int]
    attempts: Optional[int]
    timeout: Optional[float]
    certificates: Optional[bytes]
