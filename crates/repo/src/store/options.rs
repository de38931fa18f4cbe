//! How a store is opened, and what it writes into commits.

/// Who commits: author, committer and the reflog's person of every write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
}

impl Default for Identity {
    /// `gitstore <gitstore@localhost>`.
    fn default() -> Self {
        Identity {
            name: "gitstore".to_owned(),
            email: "gitstore@localhost".to_owned(),
        }
    }
}

impl std::fmt::Display for Identity {
    /// `Name <email>`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} <{}>", self.name, self.email)
    }
}

/// What a write survives once it has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Power loss and `kill -9`.
    #[default]
    Full,
    /// `kill -9`; after power loss the newest writes may be gone or damaged. For scratch data.
    Relaxed,
}

/// How messages are worded where the caller gives none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Messages {
    /// `Write hello.txt`, `Remove old.txt`, `Batch: …`.
    #[default]
    Classic,
    /// `+ hello.txt`, `- old.txt`, `Batch: +2 ~1`.
    Compact,
}

/// What [`Store::open`](super::Store::open) does about a path where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Create {
    /// It is an error.
    #[default]
    Never,
    /// Makes a bare repository, with this branch if one is named, whose first commit is empty.
    /// A repository that is there already is opened as it is.
    IfMissing {
        /// The branch; `None` leaves the repository without refs.
        branch: Option<String>,
    },
    /// As above, but it is an error if anything is at the path.
    New {
        /// The branch; `None` leaves the repository without refs.
        branch: Option<String>,
    },
}

/// How a store is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// What to do where nothing is.
    pub create: Create,
    /// Who commits.
    pub identity: Identity,
    /// What a write survives.
    pub durability: Durability,
    /// How automatic messages are worded.
    pub messages: Messages,
    /// The zlib level of new objects, 0 to 9 or -1 for that of zlib, kept as `core.compression` in the repository; `None`
    /// leaves it as it is.
    pub compression: Option<i32>,
    /// Files of this many bytes and more are not deltified by `git`: `core.bigFileThreshold` of the repository;
    /// `None` leaves it as it is.
    pub big_file_threshold: Option<u64>,
    /// Refuse every write.
    pub read_only: bool,
}

/// What -1 means to zlib.
const ZLIB_LEVEL: u32 = 6;

impl StoreOptions {
    /// The zlib level of new objects, if it was chosen.
    pub(super) fn level(&self) -> Option<u32> {
        let level = self.compression?;
        Some(u32::try_from(level).unwrap_or(ZLIB_LEVEL))
    }
}

/// Told how long work gets on, and asked whether to go on.
pub trait StoreProgress: Sync {
    /// `done` of `total` steps are behind; `None` while the total is not known.
    fn step(&self, done: u64, total: Option<u64>) {
        let _ = (done, total);
    }

    /// Whether the work should end with [`StoreError::Cancelled`](super::StoreError::Cancelled).
    fn cancelled(&self) -> bool {
        false
    }
}

/// Shows nothing and never cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl StoreProgress for NoProgress {}
