"""The audit log."""

from __future__ import annotations

from typing import List, Optional, TypedDict


class _AuditEntryFields(TypedDict):
    id: str
    kind: str
    at: str
    who: str


class AuditEntry(_AuditEntryFields, total=False):
    """A change that was made."""

    address: str
    request_id: str
    repo_id: str
    target: str
    before: str
    after: str
    message: str
    detail: dict[str, str]


class ListAuditResult(TypedDict):
    """A page of changes. With a filter there may be few or none although there are more."""

    entries: List[AuditEntry]
    next_cursor: Optional[str]
    has_more: bool
