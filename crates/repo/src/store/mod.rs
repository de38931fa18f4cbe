//! The embedded store: a versioned file system in an ordinary bare Git repository, without a server and without `git`.
//!
//! What always holds:
//! - a [`Snapshot`] never changes: it is the tree of one commit, and writing gives another snapshot;
//! - a write is one commit on the branch the snapshot came from, made only if the branch is still where the snapshot
//!   was taken ([`StoreError::Stale`] otherwise), whoever else is writing, threads, processes or `git` itself;
//! - what a write stores is durable before its ref moves (see [`Durability`]);
//! - a write that changes nothing makes no commit and gives the same snapshot back.
//!
//! Paths are bytes; every call blocks. A [`Store`] and a [`Snapshot`] are cheap to clone and can be used by many threads.
//!
//! ```
//! use packhouse_repo::store::{
//!     CommitOptions, Create, LogFilter, Store, StoreError, StoreOptions, WriteOptions,
//! };
//!
//! # fn main() -> Result<(), StoreError> {
//! # let folder = tempfile::tempdir().expect("a temporary folder can be made");
//! let options = StoreOptions {
//!     create: Create::IfMissing { branch: Some("main".to_owned()) },
//!     ..StoreOptions::default()
//! };
//! let store = Store::open(folder.path().join("data.git"), options)?;
//!
//! // Every write is a commit, and gives the snapshot after it.
//! let empty = store.branches().get("main")?;
//! let first = empty.write("config/app.toml", b"debug = true\n", &WriteOptions::default())?;
//! assert_eq!(first.message(), "Write config/app.toml");
//! assert!(!empty.exists("config/app.toml")?);
//!
//! // Several changes as one commit.
//! let mut batch = first.batch(CommitOptions::default())?;
//! batch.write("a.txt", b"1", None)?;
//! batch.write("b.txt", b"2", None)?;
//! batch.remove("config/app.toml")?;
//! let second = batch.commit()?;
//! assert_eq!(second.read("b.txt", 0, None)?, b"2");
//!
//! // Whoever writes on an old snapshot is told.
//! let late = first.write("c.txt", b"3", &WriteOptions::default());
//! assert!(matches!(late, Err(StoreError::Stale { .. })));
//!
//! // What was is still there, under a name if it is to stay.
//! store.tags().set("v1", &first)?;
//! assert_eq!(second.undo(1)?.commit(), first.commit());
//! assert_eq!(second.log(LogFilter::default())?.count(), 3);
//! # Ok(())
//! # }
//! ```

mod archive;
mod batch;
mod contents;
mod copy;
mod create;
mod disk_glob;
mod empty_branch;
mod error;
mod exclude;
mod file_type;
mod fnmatch;
mod follow;
mod gc;
mod glob;
mod group;
mod history;
mod judge;
mod log;
mod merge;
mod message;
mod moved_to;
mod notes;
mod open;
mod options;
mod pack;
mod path;
mod provisional;
mod read;
mod read_ahead;
mod reader;
mod reflog;
mod refs;
mod report;
mod retry;
pub(crate) mod scan;
mod sink;
mod snapshot;
mod spool;
mod survey;
mod taken_over;
mod template;
mod tree_edit;
mod tree_index;
mod walk;
mod write;

pub use archive::{ArchiveFormat, ArchiveIn, ArchiveLimits};
pub use batch::{Batch, BatchWriter};
pub use copy::{CopyBetween, CopyIn, CopyOut, FileMade, Remove, Rename, SyncIn, SyncOut};
pub use disk_glob::disk_glob;
pub use empty_branch::FirstBranch;
pub use error::{StoreError, StoreErrorKind};
pub use exclude::{ExcludeFilter, Wildmatch};
pub use file_type::FileType;
pub use gc::{GcOptions, GcReport};
pub use glob::GlobMatches;
pub use log::{Log, LogFilter};
pub use merge::{MergeOptions, MergeOutcome};
pub use message::{auto_message, format_message};
pub use notes::Notes;
pub use open::Store;
pub use options::{
    Create, Durability, Identity, Messages, NoProgress, StoreOptions, StoreProgress,
};
pub use path::{join, normalize, normalize_file};
pub use provisional::Provisional;
pub use read::{Entry, Stat};
pub use reader::FileReader;
pub use reflog::ReflogLine;
pub use refs::{RefKind, RefMap};
pub use report::{ChangeAction, ChangeError, ChangeKind, ChangeReport, FileEntry};
pub use retry::{pause, retry_write};
pub use sink::BlobSink;
pub use snapshot::Snapshot;
pub use walk::{FileWalk, Listed, Listing, Walk, WalkDir};
pub use write::{CommitOptions, Edits, FileWriter, NewContent, WriteOptions};
