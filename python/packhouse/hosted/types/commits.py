"""Commits and diffs."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import List, Optional, TypedDict


class DiffFileState(str, Enum):
    """What happened to a file of a diff."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    COPIED = "copied"
    TYPE_CHANGED = "type_changed"
    UNMERGED = "unmerged"
    UNKNOWN = "unknown"


class _CommitInfoFields(TypedDict):
    sha: str
    parent_shas: List[str]
    message: str
    author_name: str
    author_email: str
    committer_name: str
    committer_email: str
    date: datetime
    raw_date: str


class CommitInfo(_CommitInfoFields, total=False):
    """A commit."""

    signature: str
    payload: str


class ListCommitsResult(TypedDict):
    """A page of commits."""

    commits: List[CommitInfo]
    next_cursor: Optional[str]
    has_more: bool


class GetCommitResult(TypedDict):
    """One commit."""

    commit: CommitInfo


class DiffStats(TypedDict):
    """How much a diff changes."""

    files: int
    additions: int
    deletions: int
    changes: int


class FileDiff(TypedDict):
    """A file of a diff."""

    path: str
    state: DiffFileState
    raw_state: str
    old_path: Optional[str]
    raw: str
    bytes: int
    is_eof: bool
    additions: int
    deletions: int


class FilteredFile(TypedDict):
    """A file that a diff names without showing it."""

    path: str
    state: DiffFileState
    raw_state: str
    old_path: Optional[str]
    bytes: int
    is_eof: bool


class _GetBranchDiffResultFields(TypedDict):
    branch: str
    base: str
    stats: DiffStats
    files: List[FileDiff]
    filtered_files: List[FilteredFile]


class GetBranchDiffResult(_GetBranchDiffResultFields, total=False):
    """What a branch changes."""

    merge_base_sha: str


class _GetCommitDiffResultFields(TypedDict):
    sha: str
    stats: DiffStats
    files: List[FileDiff]
    filtered_files: List[FilteredFile]


class GetCommitDiffResult(_GetCommitDiffResultFields, total=False):
    """What a commit changes."""

    base_sha: str
    merge_base_sha: str


class CommitSignature(TypedDict):
    """Who wrote a commit."""

    name: str
    email: str


class CreateCommitOptions(TypedDict, total=False):
    """What a commit is to be."""

    target_branch: str
    commit_message: str
    author: CommitSignature
    expected_head_sha: Optional[str]
    base_branch: Optional[str]
    ephemeral: bool
    ephemeral_base: bool
    committer: Optional[CommitSignature]
    ttl: int


class RefUpdate(TypedDict):
    """What happened to a branch."""

    branch: str
    old_sha: str
    new_sha: str


class CommitResult(TypedDict):
    """A commit that was made."""

    commit_sha: str
    tree_sha: str
    target_branch: str
    pack_bytes: int
    blob_count: int
    ref_update: RefUpdate


class RestoreCommitResult(TypedDict):
    """A commit that brings back the files of another."""

    commit_sha: str
    tree_sha: str
    target_branch: str
    pack_bytes: int
    ref_update: RefUpdate
