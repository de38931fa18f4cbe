//! JSON types, paths and error codes of the HTTP API, shared by the server and its clients.
//!
//! One file per resource. The types here are the wire contract and nothing else: no HTTP library, no
//! database, no rule of behaviour. Every type serialises to exactly the fields that the code.storage SDKs read; a
//! field that is optional on the wire is left out, never `null`, except where a type says so. A client may lack the
//! fields of answers that other servers of this API do not send: they are `serde(default)`, and required all the same.
//!
//! ```
//! use packhouse_api::{ErrorBody, ErrorCode};
//!
//! let body = ErrorBody::new(ErrorCode::RepositoryNotFound, "repository `team/site` not found");
//! assert_eq!(ErrorCode::RepositoryNotFound.http_status(), 404);
//! assert_eq!(body.code, "repository_not_found");
//! ```

mod archive;
mod audit;
mod blame;
mod branches;
mod commit_pack;
mod commits;
mod diffs;
mod error;
mod events;
mod files;
mod git_credentials;
mod grep;
mod jobs;
mod merge;
mod notes;
mod object;
pub mod paths;
mod replay;
mod repos;
mod restore;
mod ssh_keys;
mod webhooks;

pub use archive::{ArchiveFormat, ArchiveOptions, ArchiveRequest};
mod tags;

pub use audit::{AuditEntryInfo, AuditQuery, ListedAuditEntries, RepoAuditQuery};
pub use blame::{BlameLine, BlameQuery, BlamedFile};
pub use branches::{
    BranchDetails, BranchInfo, CreateBranch, CreatedBranch, DeleteBranch, DeletedBranch,
    FoundBranch, GetBranchQuery, ListBranchesQuery, ListedBranches,
};
pub use commit_pack::{
    BlobChunk, BlobChunkLine, CommitMetadata, CommitResponse, CommitSummary, DiffChunk,
    DiffChunkLine, FileChange, FileOperation, MetadataLine, Person, RefUpdate,
};
pub use commits::{CommitInfo, FoundCommit, GetCommitQuery, ListCommitsQuery, ListedCommits};
pub use diffs::{
    BranchDiff, BranchDiffQuery, CommitDiff, CommitDiffQuery, DiffFile, DiffStats, FilteredFile,
};
pub use error::{ErrorBody, ErrorCode, ResultStatus};
pub use events::{EventRepository, EventsQuery, PushEvent};
pub use files::{
    EntryKind, FileEntry, FileMetadata, FileQuery, FilesMetadata, FilesMetadataQuery, LastCommit,
    ListFilesQuery, ListedFiles,
};
pub use git_credentials::{
    CreateGitCredential, DeleteGitCredential, DeletedGitCredential, GitCredentialInfo,
    GitCredentialLogin, UpdateGitCredential,
};
pub use grep::{
    GrepContext, GrepFileFilters, GrepFileMatch, GrepLimits, GrepLine, GrepLineType,
    GrepPagination, GrepPattern, GrepQueryInfo, GrepRepoInfo, GrepRequest, GrepResponse,
    GrepSkipReason, GrepSkippedFile,
};
pub use jobs::{JobInfo, JobStatus, ListJobsQuery, ListedJobs};
pub use merge::{
    FilteredConflict, MergeBranches, MergeConflict, MergeErrorBody, MergePreview,
    MergePreviewStatus, MergeResult, MergeSide, MergeSource, MergeStrategy, MergeTarget,
    MergedBranches, PreviewMergeQuery,
};
pub use notes::{
    DeleteNote, FoundNote, GetNoteQuery, ListNotesRefsQuery, ListedNotesRefs, NoteAction,
    NoteResult, NotesRefInfo, RefusedNote, WriteNote, WrittenNote,
};
pub use replay::{ReplayCommits, ReplayResult, ReplayedCommit, ReplayedCommits, ReplayedResult};
pub use repos::{
    BaseRepo, BaseRepoAuth, BaseRepoInfo, ChangeBase, CreateRepo, CreateRepoQuery, CreatedRepo,
    DeletedRepo, InitialCommit, ListReposQuery, ListedRepos, PullUpstream, PushInfo, RepoDetails,
    RepoInfo, SyncInfo, SyncStatus, UpstreamMessage,
};
pub use restore::{RestoreCommit, RestoreMetadata};
pub use ssh_keys::{AddSshKey, ListSshKeysQuery, ListedSshKeys, RevokedSshKey, SshKey};
pub use tags::{
    CreateTag, CreatedTag, DeleteTag, DeletedTag, FoundTag, GetTagQuery, ListTagsQuery, ListedTags,
    TagInfo,
};
pub use webhooks::{
    CreateWebhook, DeletedWebhook, ListDeliveriesQuery, ListWebhooksQuery, ListedDeliveries,
    ListedWebhooks, ReplayWebhook, ReplayedWebhook, Webhook, WebhookDelivery, WebhookDeliveryState,
};
