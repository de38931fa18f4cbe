"""Shapes of options and results, for type checkers and editors."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, AsyncIterable, Iterable, List, Literal, Optional, TypedDict, Union


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


class GitFileMode(str, Enum):
    """What a file of a commit is."""

    REGULAR = "100644"
    EXECUTABLE = "100755"
    SYMLINK = "120000"
    SUBMODULE = "160000"


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


class PublicGitHubBaseRepoAuth(TypedDict):
    """How a public upstream is read: without credentials."""

    auth_type: Literal["public"]


class GitHubBaseRepo(TypedDict, total=False):
    """A repository of GitHub to follow."""

    provider: Literal["github"]
    owner: str
    name: str
    default_branch: Optional[str]
    auth: PublicGitHubBaseRepoAuth


class ForkBaseRepo(TypedDict, total=False):
    """A repository of this server to fork, or to take a snapshot of."""

    id: str
    ref: Optional[str]
    sha: Optional[str]
    operation: Literal["fork", "snapshot"]


class GenericGitBaseRepo(TypedDict, total=False):
    """A repository of another host to follow."""

    provider: str
    owner: str
    name: str
    default_branch: Optional[str]
    upstream_host: Optional[str]
    url: Optional[str]
    auth: dict[str, Any]


BaseRepo = Union[GitHubBaseRepo, ForkBaseRepo, GenericGitBaseRepo]

TreeEntryType = Literal["blob", "tree", "symlink", "submodule"]
MergeStrategy = Literal["merge", "ff_only", "ff_prefer"]
MergeResultLabel = Literal["merge_commit", "fast_forward", "no_op", "squash", "unknown"]
PreviewMergeStatus = Literal["clean", "conflicted"]
PreviewMergeResultLabel = Literal["merge_commit", "fast_forward", "no_op"]


class DeleteRepoResult(TypedDict):
    """A repository that was deleted."""

    repo_id: str
    message: str


class CreateGitCredentialResult(TypedDict):
    """A credential that was stored."""

    id: str


class GitCredential(TypedDict, total=False):
    """A stored credential, as far as it is shown."""

    id: str
    created_at: Optional[str]


class RepoBaseInfo(TypedDict):
    """The upstream of a repository."""

    provider: str
    owner: str
    name: str


class RepoInfo(TypedDict, total=False):
    """A repository of a list."""

    repo_id: str
    url: str
    default_branch: str
    created_at: str
    base_repo: RepoBaseInfo


class ListReposResult(TypedDict):
    """A page of repositories."""

    repos: List[RepoInfo]
    next_cursor: Optional[str]
    has_more: bool


class TreeEntry(TypedDict):
    """An entry of a folder."""

    path: str
    type: TreeEntryType
    mode: str


class ListFilesResult(TypedDict, total=False):
    """Files of a commit: all of them, or a page."""

    paths: List[str]
    ref: str
    entries: List[TreeEntry]
    next_cursor: Optional[str]
    has_more: bool


class FileWithMetadata(TypedDict, total=False):
    """A file, and the commit that changed it last."""

    path: str
    mode: str
    size: int
    last_commit_sha: str
    type: TreeEntryType


class CommitMetadata(TypedDict):
    """A commit that changed a file last."""

    author: str
    date: datetime
    raw_date: str
    message: str


class ListFilesWithMetadataResult(TypedDict, total=False):
    """A page of files with the commits that changed them last."""

    files: List[FileWithMetadata]
    commits: dict[str, CommitMetadata]
    ref: str
    next_cursor: Optional[str]
    has_more: bool


class FileRequestHeaders(TypedDict, total=False):
    """Which part of a file is wanted, and under which conditions."""

    range: str
    if_match: str
    if_none_match: str
    if_modified_since: str
    if_unmodified_since: str
    if_range: str


class FileMetadata(TypedDict, total=False):
    """What the headers of a file say."""

    status_code: int
    blob_sha: str
    last_commit_sha: str
    size: int
    etag: str
    last_modified: datetime
    raw_last_modified: str
    accept_ranges: str
    content_range: str
    content_type: str


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


class _BlameLineFields(TypedDict):
    line_number: int
    commit_sha: str
    original_line_number: int
    original_path: str
    author_name: str
    author_email: str
    author_time: datetime
    raw_author_time: str
    committer_name: str
    committer_email: str
    committer_time: datetime
    raw_committer_time: str
    summary: str


class BlameLine(_BlameLineFields, total=False):
    """A line of a file, and the commit that it came from."""

    previous_commit_sha: str


class BlameResult(TypedDict):
    """The lines of a file."""

    ref: str
    path: str
    commit_sha: str
    lines: List[BlameLine]


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


class GrepLine(TypedDict):
    """A line that matches, or is near one."""

    line_number: int
    text: str
    type: str


class GrepFileMatch(TypedDict):
    """A file with matches."""

    path: str
    lines: List[GrepLine]


class GrepQueryResult(TypedDict):
    """What was searched for."""

    pattern: str
    case_sensitive: bool


class GrepRepoInfo(TypedDict):
    """Where it was searched for."""

    ref: str
    commit: str


class _GrepResultFields(TypedDict):
    query: GrepQueryResult
    repo: GrepRepoInfo
    matches: List[GrepFileMatch]
    has_more: bool


class GrepResult(_GrepResultFields, total=False):
    """A page of matches."""

    next_cursor: Optional[str]


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


class _WebhookFields(TypedDict):
    id: str
    url: str
    events: List[str]
    created_at: str


class Webhook(_WebhookFields, total=False):
    """A subscription to events."""

    repo_id: str
    secret: str


class ListWebhooksResult(TypedDict):
    """A page of webhooks."""

    webhooks: List[Webhook]
    next_cursor: Optional[str]
    has_more: bool


class DeletedWebhook(TypedDict):
    """A webhook that was deleted."""

    id: str
    message: str


class _WebhookDeliveryFields(TypedDict):
    id: str
    event_id: str
    event: str
    repo_id: str
    state: Literal["delivered", "retrying", "failed"]
    attempts: int
    attempted_at: str
    duration_ms: int
    request_body: str


class WebhookDelivery(_WebhookDeliveryFields, total=False):
    """What became of an event at a webhook."""

    response_status: int
    response_body: str
    failure: str


class ListDeliveriesResult(TypedDict):
    """A page of deliveries."""

    deliveries: List[WebhookDelivery]
    next_cursor: Optional[str]
    has_more: bool


class Event(TypedDict):
    """Something that happened to a repository."""

    id: str
    type: str
    data: Any


class _JobFields(TypedDict):
    id: str
    kind: str
    status: Literal["waiting", "running", "done", "failed"]
    attempts: int
    requested_at: str


class Job(_JobFields, total=False):
    """Work in the background."""

    repo_id: str
    started_at: str
    finished_at: str
    next_attempt_at: str
    error: str


class ListJobsResult(TypedDict):
    """A page of jobs."""

    jobs: List[Job]
    next_cursor: Optional[str]
    has_more: bool


class WebhookValidationOptions(TypedDict, total=False):
    """How a delivery is checked."""

    max_age_seconds: int


class WebhookPushEvent(TypedDict):
    """A ref that moved."""

    type: Literal["push"]
    repository: dict[str, str]
    ref: str
    before: str
    after: str
    customer_id: str
    pushed_at: datetime
    raw_pushed_at: str


class ParsedWebhookSignature(TypedDict):
    """The parts of a signature."""

    timestamp: str
    signature: str


class WebhookUnknownEvent(TypedDict):
    """Another event."""

    type: str
    raw: Any


WebhookEventPayload = Union[WebhookPushEvent, WebhookUnknownEvent]


class WebhookValidationResult(TypedDict, total=False):
    """Whether a delivery is valid, and what it says."""

    valid: bool
    error: Optional[str]
    event_type: Optional[str]
    timestamp: Optional[int]
    payload: WebhookEventPayload


#: Where the bytes of a file come from. Text is sent as UTF-8; what can be iterated yields bytes.
FileSource = Union[str, bytes, bytearray, memoryview, Iterable[bytes], AsyncIterable[bytes]]
