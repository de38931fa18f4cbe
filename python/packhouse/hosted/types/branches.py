"""Branches and tags."""

from __future__ import annotations

from typing import List, Optional, TypedDict


class BranchInfo(TypedDict):
    """A branch of a list."""

    cursor: str
    name: str
    head_sha: str
    created_at: str


class BranchDetails(TypedDict):
    """A branch."""

    name: str
    head_sha: str
    created_at: str


class ListBranchesResult(TypedDict):
    """A page of branches."""

    branches: List[BranchInfo]
    next_cursor: Optional[str]
    has_more: bool


class _CreateBranchResultFields(TypedDict):
    message: str
    target_branch: str
    target_is_ephemeral: bool


class CreateBranchResult(_CreateBranchResultFields, total=False):
    """A branch that was created or moved."""

    commit_sha: str


class DeleteBranchResult(TypedDict):
    """A branch that was deleted."""

    name: str
    message: str
    ephemeral: bool


class TagInfo(TypedDict):
    """A tag."""

    cursor: str
    name: str
    sha: str


class ListTagsResult(TypedDict):
    """A page of tags."""

    tags: List[TagInfo]
    next_cursor: Optional[str]
    has_more: bool


class CreateTagResult(TypedDict):
    """A tag that was created."""

    name: str
    sha: str
    message: str


class DeleteTagResult(TypedDict):
    """A tag that was deleted."""

    name: str
    message: str
