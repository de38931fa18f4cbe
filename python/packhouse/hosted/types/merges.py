"""Merges, cherry-picks and reverts."""

from __future__ import annotations

from typing import List, Literal, TypedDict

from .commits import CommitSignature

MergeStrategy = Literal["merge", "ff_only", "ff_prefer"]
MergeResultLabel = Literal["merge_commit", "fast_forward", "no_op", "squash", "unknown"]
PreviewMergeStatus = Literal["clean", "conflicted"]
PreviewMergeResultLabel = Literal["merge_commit", "fast_forward", "no_op"]


class MergeBranchesOptions(TypedDict, total=False):
    """What to merge, and how."""

    source_branch: str
    source_is_ephemeral: bool
    target_branch: str
    target_is_ephemeral: bool
    expected_target_sha: str
    commit_message: str
    author: CommitSignature
    committer: CommitSignature
    strategy: MergeStrategy
    allow_unrelated_histories: bool
    squash: bool


class MergeSourceResult(TypedDict):
    """What was merged."""

    branch: str
    ephemeral: bool
    sha: str


class MergeTargetResult(TypedDict):
    """What it was merged into."""

    branch: str
    ephemeral: bool
    old_sha: str
    new_sha: str


class _MergeBranchesResultFields(TypedDict):
    result: MergeResultLabel
    commit_sha: str
    tree_sha: str
    source: MergeSourceResult
    target: MergeTargetResult
    promoted_commits: int


class MergeBranchesResult(_MergeBranchesResultFields, total=False):
    """How a merge ended."""

    merge_base_sha: str


class _PreviewMergeBlobFields(TypedDict):
    truncated: bool
    binary: bool


class PreviewMergeBlob(_PreviewMergeBlobFields, total=False):
    """A file of a conflict."""

    oid: str
    content: str


class PreviewMergeConflict(TypedDict):
    """A path in conflict."""

    path: str
    result: PreviewMergeBlob
    base: PreviewMergeBlob
    ours: PreviewMergeBlob
    theirs: PreviewMergeBlob


class PreviewMergeFilteredConflict(TypedDict):
    """A path in conflict that is not shown."""

    path: str
    reason: str


class _PreviewMergeResultFields(TypedDict):
    status: PreviewMergeStatus
    result: PreviewMergeResultLabel
    source_branch: str
    target_branch: str
    source_tip_sha: str
    target_tip_sha: str
    conflict_paths: List[str]
    conflicts: List[PreviewMergeConflict]
    filtered_conflicts: List[PreviewMergeFilteredConflict]


class PreviewMergeResult(_PreviewMergeResultFields, total=False):
    """What a merge would come to."""

    merge_base_sha: str


class _ReplayedCommitFields(TypedDict):
    source_sha: str
    result: Literal["committed", "empty"]


class ReplayedCommit(_ReplayedCommitFields, total=False):
    """What became of a commit that was picked or reverted."""

    commit_sha: str


class ReplayResult(TypedDict):
    """How a cherry-pick or revert ended."""

    result: Literal["committed", "no_op"]
    commit_sha: str
    tree_sha: str
    target: MergeTargetResult
    commits: List[ReplayedCommit]
