"""Notes."""

from __future__ import annotations

from typing import List, Optional, TypedDict


class NoteReadResult(TypedDict):
    """A note."""

    sha: str
    note: str
    ref_sha: str


class _NoteWriteResultPayloadFields(TypedDict):
    success: bool
    status: str


class NoteWriteResultPayload(_NoteWriteResultPayloadFields, total=False):
    """How a change of a note went."""

    message: str


class _NoteWriteResultFields(TypedDict):
    sha: str
    target_ref: str
    new_ref_sha: str
    result: NoteWriteResultPayload


class NoteWriteResult(_NoteWriteResultFields, total=False):
    """A note that was changed."""

    base_commit: str


class NotesRefInfo(TypedDict):
    """A ref that holds notes."""

    cursor: str
    ref: str
    sha: str


class ListNotesRefsResult(TypedDict):
    """A page of refs that hold notes."""

    refs: List[NotesRefInfo]
    next_cursor: Optional[str]
    has_more: bool
    prefix: str
