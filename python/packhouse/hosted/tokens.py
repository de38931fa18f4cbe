"""Tokens: what they allow, and how to make one by hand."""

from __future__ import annotations

from typing import Iterable, Optional, Union

from packhouse import _native

from .types import RefPolicy

#: How long a token is good if nothing else is asked for, in seconds: a year.
DEFAULT_TTL = 31_536_000


def encode_refs_claim(refs: list[RefPolicy]) -> list[list[Union[str, list[str]]]]:
    """Ref policies as they stand in a token: a pair of pattern and operations for each."""
    return [[pattern, ops] for pattern, ops in pairs(refs)]


def generate_jwt(
    key_pem: str,
    issuer: str,
    repo_id: str,
    scopes: Optional[list[str]] = None,
    ttl: int = DEFAULT_TTL,
    ops: Optional[list[str]] = None,
    refs: Optional[list[RefPolicy]] = None,
) -> str:
    """A signed token for one repository: ES256, RS256 or EdDSA, as the key is.

    ``scopes`` are ``git:write`` and ``git:read`` unless given, ``ttl`` is in seconds.

    Raises ValueError if the key is not a private key in PEM of one of these kinds.
    """
    return _native.generate_jwt(
        key_pem=key_pem,
        issuer=issuer,
        repo_id=repo_id,
        scopes=["git:write", "git:read"] if scopes is None else list(scopes),
        ttl=ttl,
        refs=pairs(refs),
        ops=list(ops or []),
    )


def pairs(refs: Optional[Iterable[RefPolicy]]) -> list[tuple[str, list[str]]]:
    """Policies as the engine takes them."""
    return [(policy["pattern"], [str(op) for op in policy.get("ops", [])]) for policy in refs or []]
