//! What a cache tells of its entries.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheType {
    /// A URL.
    Git,
    /// A directory of this machine, plain or a Git repository.
    Local,
}

/// What is known of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStatus {
    /// Complete, and brought up to date within the time that the configuration says.
    Fresh,
    /// Complete, but not brought up to date for longer than that.
    Stale,
    /// The copy is not at its place; something else may be, which is not the cache's.
    Missing,
    /// The last time it was to be brought up to date failed. What was there before, if anything, still is.
    Error,
}

impl CacheType {
    /// `git` or `local`.
    pub fn as_str(self) -> &'static str {
        match self {
            CacheType::Git => "git",
            CacheType::Local => "local",
        }
    }
}

impl CacheStatus {
    /// `fresh`, `stale`, `missing` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            CacheStatus::Fresh => "fresh",
            CacheStatus::Stale => "stale",
            CacheStatus::Missing => "missing",
            CacheStatus::Error => "error",
        }
    }
}

impl fmt::Display for CacheType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of a cache, as it was when it was asked for. Times are UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which is that of its folder in the cache.
    pub name: String,
    /// What it is a copy of: a URL without user and password, or an absolute path.
    pub source_url: String,
    /// Where it comes from.
    pub cache_type: CacheType,
    /// Its working tree: the folder [`name`](Entry::name) in the cache's.
    pub cache_path: PathBuf,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was known to be what the source is, last.
    pub last_updated: Timestamp,
    /// When it was added, refreshed or got, last.
    pub last_accessed: Timestamp,
    /// What the working tree and the history behind it take; `None` before the first copy.
    pub size_bytes: Option<u64>,
    /// What is known of the copy.
    pub status: CacheStatus,
    /// Why it could not be brought up to date the last time, if it could not.
    pub error_message: Option<String>,
    /// What a reader should know of the copy: files of Git LFS that are pointers, files that were left out.
    pub notes: Vec<String>,
    /// The commit that is checked out.
    pub local_commit_hash: Option<String>,
    /// The branch that is checked out.
    pub local_branch: Option<String>,
    /// Where the remote's default branch was when it was asked last.
    pub remote_commit_hash: Option<String>,
    /// The remote's default branch when it was asked last.
    pub remote_branch: Option<String>,
    /// Whether the two commits differ; `None` for what has no commits.
    pub has_upstream_changes: Option<bool>,
    /// How they differ, in words.
    pub upstream_changes_summary: Option<String>,
    /// When the remote was asked last.
    pub last_diff_check: Option<Timestamp>,
}

/// An entry with what the remote says now, if it was asked.
#[derive(Clone, Debug)]
pub struct Details {
    /// The entry.
    pub entry: Entry,
    /// Whether its working tree is there.
    pub exists: bool,
    /// Whether it is older than the configuration allows.
    pub is_stale: bool,
    /// What the remote says now, or why it does not. `None`: it has no remote, or was asked in the last five minutes.
    pub current: Option<Result<Upstream, String>>,
}

/// How an entry stands to its remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The commit that is checked out.
    pub local_commit_hash: Option<String>,
    /// The branch that is checked out.
    pub local_branch: Option<String>,
    /// Where the remote's default branch is.
    pub remote_commit_hash: Option<String>,
    /// The remote's default branch.
    pub remote_branch: Option<String>,
    /// Whether the two commits differ.
    pub has_changes: bool,
    /// How they differ, in words.
    pub summary: Option<String>,
    /// When the remote was asked.
    pub checked_at: Timestamp,
}

/// A cache in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// All entries.
    pub total_entries: u64,
    /// Those of URLs.
    pub git_entries: u64,
    /// Those of directories.
    pub local_entries: u64,
    /// Those that are fresh.
    pub fresh_entries: u64,
    /// Those that are stale.
    pub stale_entries: u64,
    /// Those whose copy is not at its place.
    pub missing_entries: u64,
    /// Those that could not be brought up to date.
    pub error_entries: u64,
    /// What entries, their histories and checkouts take, with replaced trees that may still be read and histories that are
    /// served. A history that several share counts once.
    pub total_size_bytes: u64,
    /// The most that they may.
    pub max_size_bytes: u64,
}

/// A cache at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// All entries, in the order of their names.
    pub entries: Vec<Entry>,
    /// The same in numbers.
    pub stats: Stats,
}

impl Stats {
    /// Whether the cache takes all that it may.
    pub fn is_full(&self) -> bool {
        self.total_size_bytes >= self.max_size_bytes
    }
}

/// What became of everything in a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// How many entries were removed.
    pub removed: u64,
    /// What else stays on the disk, and who uses it: replaced trees, and histories that are being served.
    pub in_use: Vec<String>,
}

/// A working tree at a commit. It stays until it is removed, or its entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// What it is removed by.
    pub id: String,
    /// The entry it was made from.
    pub entry: String,
    /// The working tree.
    pub path: PathBuf,
    /// The commit that is checked out.
    pub commit: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What a reader should know of it, as with [`Entry::notes`].
    pub notes: Vec<String>,
}
