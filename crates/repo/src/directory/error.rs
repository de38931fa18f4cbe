//! What can go wrong with a bare repository on disk.

use std::io;
use std::path::{Path, PathBuf};

use packhouse_object::{LooseError, ObjectId, WritePackFileError};

use crate::error::RepoError;

/// A folder could not be opened, or made, as a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder is no Git repository.
    #[error("`{}` is no Git repository: {reason}", path.display())]
    NoRepository {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// The folder belongs to a working copy, whose index and files would be left behind by a ref that moves.
    #[error("`{}` belongs to a working copy; only bare repositories can be opened", path.display())]
    WorkingCopy {
        /// The folder.
        path: PathBuf,
    },
    /// The repository is stored in a way that is not known here.
    #[error("`{}` uses {feature}, which is not supported", path.display())]
    Unsupported {
        /// The folder.
        path: PathBuf,
        /// What it uses.
        feature: String,
    },
    /// A new repository was asked for where something is already.
    #[error("`{}` exists and is not an empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The repository's config file does not follow the format.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Config {
        /// The config file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io {
            action,
            path,
            source,
        }
    }
}

/// A read or a write of a bare repository failed for a reason of its own form of storage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Another program, `git` for one, held a lock for as long as was waited. If none is running, one that was
    /// killed left the file, and it may be removed.
    #[error("`{}` exists: another program holds this lock, or was killed and left it; remove the file if no `git` is at work in this repository (waited {waited_ms} ms)", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// How long was waited.
        waited_ms: u64,
    },
    /// Another process had its turn to write for as long as was waited, and is not seen at work: it was stopped, or is
    /// gone and one that it started has the lock file still open.
    #[error("`{}` is still locked after {waited_ms} ms, by {holder}: end that process, or let it go on", lock.display())]
    TurnTaken {
        /// The lock file.
        lock: PathBuf,
        /// Who has it locked.
        holder: String,
        /// How long was waited.
        waited_ms: u64,
    },
    /// The caller gave up while a lock of others was waited for.
    #[error("cancelled while `{}` was waited for", lock.display())]
    GivenUp {
        /// The lock file.
        lock: PathBuf,
    },
    /// This thread waits for its turn to write, and was asked to write by what runs meanwhile, such as the handler of a
    /// signal.
    #[error("this thread waits for `{}` already: a handler of signals that runs meanwhile cannot write to this repository", lock.display())]
    WaitsAlready {
        /// The lock file.
        lock: PathBuf,
    },
    /// The repository was removed since it was opened.
    #[error("`{}` is no Git repository any more: it was removed meanwhile; make it again", path.display())]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// A ref cannot be `a` while another is `a/b`.
    #[error("ref `{name}` cannot exist beside ref `{existing}`")]
    NameConflict {
        /// The ref to be written.
        name: String,
        /// The ref in its way.
        existing: String,
    },
    /// One change edits the same ref twice, perhaps through a symbolic ref.
    #[error("ref `{name}` is edited twice in one change")]
    EditedTwice {
        /// The ref.
        name: String,
    },
    /// A ref would point to an object that is not in the repository.
    #[error("ref `{name}` cannot point to {target}: there is no such object")]
    NoSuchTarget {
        /// The ref.
        name: String,
        /// The missing object.
        target: ObjectId,
    },
    /// A file that should hold a ref, a list of them, or a pack, holds something else.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `HEAD` names a commit instead of a branch.
    #[error("`{}` is detached: it names a commit, not a branch", head.display())]
    DetachedHead {
        /// The `HEAD` file.
        head: PathBuf,
    },
    /// The repository was opened for reading, or cannot be written.
    #[error("`{}` can only be read: {reason}", path.display())]
    ReadOnly {
        /// The repository.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A ref moved while objects that no ref led to before were removed, and what it needs could not be stored once more.
    #[error(
        "the ref moved, but what it names may be removed by the `git gc --prune=now` that is or was at work, and could not be stored once more; run `git fsck`, and write it again"
    )]
    AtRisk(#[source] Box<RepoError>),
    /// Objects could not be written as a pack.
    #[error("could not store objects as a pack")]
    WritePack(#[source] WritePackFileError),
    /// An object could not be written as a file.
    #[error("could not store an object as a file")]
    WriteLoose(#[source] LooseError),
    /// A file could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl DirectoryError {
    /// The same error for others who waited for the same; `None` if it is not about waiting.
    pub(crate) fn again(&self) -> Option<DirectoryError> {
        match self {
            DirectoryError::Locked { lock, waited_ms } => Some(DirectoryError::Locked {
                lock: lock.clone(),
                waited_ms: *waited_ms,
            }),
            DirectoryError::TurnTaken {
                lock,
                holder,
                waited_ms,
            } => Some(DirectoryError::TurnTaken {
                lock: lock.clone(),
                holder: holder.clone(),
                waited_ms: *waited_ms,
            }),
            _ => None,
        }
    }

    pub(super) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> DirectoryError {
        let path = path.to_owned();
        move |source| DirectoryError::Io {
            action,
            path,
            source,
        }
    }
}
