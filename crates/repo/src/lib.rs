//! A Git repository as programs use it: views to read, changes to publish, over two kinds of store.
//!
//! What always holds:
//! - a [`View`] is one repository at one generation and never changes;
//! - a write is one set of objects and one ref transaction, visible together and durable when acknowledged;
//! - a ref moves by compare-and-set, so no update is overwritten unseen;
//! - every object that a visible object names is there too (submodule commits excepted).

mod ahead;
mod archive;
mod blame;
mod branch;
mod branch_merge;
mod change;
mod commit;
pub mod diff;
pub mod directory;
mod error;
mod export;
mod files;
mod fsck;
pub mod given_up;
mod grep;
pub mod hosted;
mod import;
pub mod line_diff;
mod log;
pub mod merge;
mod new_commit;
mod new_commits;
mod notes;
pub mod patch;
mod path_filter;
mod path_lookup;
mod quota;
mod quoted_name;
mod receive;
mod ref_text;
mod reflog;
mod refs;
pub mod renames;
mod replay;
mod repository;
mod restore;
mod revision;
mod same_files;
pub mod store;
mod sync;
mod tag;
pub mod under_way;
mod view;

pub use archive::{Archive, ArchiveError, ArchiveFilter, ArchiveForm};
pub use blame::{
    Blame, BlameError, BlameGroup, BlameQuery, BlameSource, LinePatternError, MAX_BLAME_BYTES,
    RangeError, blame,
};
pub use branch::{BranchError, CreateBranch, CreatedBranch, DeleteBranch};
pub use branch_merge::{
    MergeBounds, MergeBranch, MergeBranchError, MergeKind, MergePreview, MergeSource,
    MergeStrategy, MergedBranch, preview_merge,
};
pub use change::{Change, RefEdit};
pub use commit::{CommitError, CommitOnto, CommitOutcome, CommitRequest, NewTree, Parent};
pub use error::{PublishError, RepoError};
pub use export::{CopyError, ExportError, ExportReport, copy_objects, export};
pub use files::{FileEntry, FileList, ListFiles, list_files};
pub use fsck::{FsckProblem, FsckReport, fsck};
pub use grep::{
    GrepError, GrepFile, GrepLine, GrepPage, GrepPlace, GrepQuery, Interrupt, MAX_PATTERN_BYTES,
    MAX_SHOWN_LINE_BYTES, PassedOver, PassedOverReason, Pattern, PatternError, TextCache, grep,
};
pub use hosted::{
    DropReport, FoldLimits, FoldReport, ForkError, ForkRequest, Hosted, HostedOptions,
    InitialCommit, RepackHow, RepackReport, SweepOptions, SweepPlan, SweepReport, SweepWatch,
};
pub use import::{ImportError, ImportReport, import};
pub use log::{LogEntry, LogPage, LogQuery, log, log_by_index};
pub use new_commits::{CheckSignature, Looked, NewCommits};
pub use notes::{NoteAction, NoteError, NoteOutcome, NoteRequest, note};
pub use packhouse_catalog::{is_read_only, is_storage_full};
pub use path_filter::{MAX_FILTER_ITEMS, MAX_GLOB_BYTES, PathFilter, PathFilterError};
pub use quota::{OverQuota, Quota, QuotaOf, Room};
pub use quoted_name::{quoted_name, unquoted_name};
pub use receive::{Command, CommandStatus, Push, RefChange, RefPolicy};
pub use ref_text::{ref_bytes, ref_text};
pub use reflog::{ReflogEntry, ReflogPage};
pub use refs::{Ref, Refs};
pub use replay::{Replay, ReplayCommits, ReplayError, ReplayKind, Replayed, ReplayedCommit};
pub use repository::{Backend, Prepare, Refused, Repository};
pub use sync::{RefTargets, SyncRequest, Synced, is_followed};
pub use tag::{CreateTag, DeleteTag, TagError};
pub use view::{Namespace, Resolved, View, display_name};

/// The guide's page for Rust, so that its programs run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/src/rust.md")]
struct GuidePage;
