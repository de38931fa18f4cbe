//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use bstr::BString;
use packhouse_object::{CollisionError, ForkedCopy, ReadError, SpoolError, WritePackFileError};
use rustix::io::Errno;

use crate::directory::{DirectoryError, OpenError};
use crate::error::RepoError;

/// An operation on a store was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing is at the path.
    #[error("no such file or folder: {path}")]
    NotFound {
        /// The path.
        path: BString,
    },
    /// A file was expected.
    #[error("is a folder: {path}")]
    IsADirectory {
        /// The path.
        path: BString,
    },
    /// A folder was expected, perhaps on the way to the path.
    #[error("is not a folder, or lies below a file: {path}")]
    NotADirectory {
        /// The path.
        path: BString,
    },
    /// Something is there already.
    #[error("exists already: {path}")]
    Exists {
        /// The path.
        path: BString,
    },
    /// The snapshot is not the newest state of a branch that can be written.
    #[error("Cannot {verb} read-only snapshot{}", of_ref(.ref_name.as_deref()))]
    ReadOnly {
        /// What was attempted: `write to`, `batch on`, `undo on` or `redo on`.
        verb: &'static str,
        /// The snapshot's ref.
        ref_name: Option<String>,
    },
    /// Someone else has written the branch since the snapshot was taken.
    #[error("Branch '{branch}' has advanced since this snapshot")]
    Stale {
        /// The branch.
        branch: String,
    },
    /// There is no such branch.
    #[error("no such branch: {name}")]
    NoSuchBranch {
        /// The name asked for.
        name: String,
    },
    /// There is no such tag.
    #[error("no such tag: {name}")]
    NoSuchTag {
        /// The name asked for.
        name: String,
    },
    /// Neither a branch nor a tag nor a commit is called so.
    #[error("Unknown ref: {name}")]
    NoSuchRef {
        /// The name asked for.
        name: String,
    },
    /// There is no such object.
    #[error("no such object: {id}")]
    NoSuchObject {
        /// The id asked for.
        id: String,
    },
    /// There is no note of an object.
    #[error("no note of object: {id}")]
    NoSuchNote {
        /// The object asked for.
        id: String,
    },
    /// A tag is never moved.
    #[error("Tag '{name}' already exists")]
    TagExists {
        /// The tag.
        name: String,
    },
    /// A path that no file can have.
    #[error("{reason}{}", of_path(.path))]
    BadPath {
        /// As the caller gave it.
        path: BString,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that no ref can have.
    #[error("Invalid ref name: '{name}' ({reason})")]
    BadRefName {
        /// As the caller gave it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that makes no sense.
    #[error("{reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// A message template asks for something that is not known.
    #[error("unknown placeholder in the message: {name}")]
    UnknownPlaceholder {
        /// The placeholder.
        name: String,
    },
    /// A message template that nothing can be filled into.
    #[error("{reason}")]
    BadTemplate {
        /// What is wrong with it.
        reason: String,
    },
    /// A local file that is to be copied is not there.
    #[error("Local file not found: {}", path.display())]
    LocalNotFound {
        /// The file.
        path: PathBuf,
    },
    /// A local folder was expected.
    #[error("Not a directory: {}", path.display())]
    LocalNotADirectory {
        /// What is there instead, if anything.
        path: PathBuf,
    },
    /// A file of a snapshot that is to be copied is not there.
    #[error("File not found in repo: {path}")]
    SourceNotFound {
        /// The path.
        path: BString,
    },
    /// A folder of a snapshot was expected.
    #[error("Not a directory in repo: {path}")]
    SourceNotADirectory {
        /// The path.
        path: BString,
    },
    /// What is to be copied or moved would stay where it is.
    #[error("Source and destination are the same: {path}")]
    SamePlace {
        /// The path.
        path: BString,
    },
    /// What is to be copied or moved would come to be in itself.
    #[error("'{path}' cannot be {done} into itself: '{place}'")]
    IntoItself {
        /// What it is, or what of it is on the way to the place.
        path: BString,
        /// Where it would be.
        place: BString,
        /// `copied` or `moved`.
        done: &'static str,
    },
    /// Folders are only removed or moved on request.
    #[error("{path} is a directory (use recursive=True)")]
    NeedsRecursive {
        /// The folder.
        path: BString,
    },
    /// A file outside the store could not be read or written.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Data that is to be stored could not be read from where it comes.
    #[error("could not read what is to be stored")]
    Source(#[source] io::Error),
    /// What was asked for could not be written where the caller wants it.
    #[error("could not write what was asked for")]
    Output(#[source] io::Error),
    /// The operation cannot be done now.
    #[error("{reason}")]
    Failed {
        /// Why.
        reason: String,
    },
    /// The caller gave up, or its progress asked to end.
    #[error("cancelled")]
    Cancelled,
    /// The repository could not be opened or made.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The repository could not be read or written.
    #[error(transparent)]
    Repo(RepoError),
}

fn of_ref(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" (ref '{name}')"))
}

fn of_path(path: &BString) -> String {
    match path.is_empty() {
        true => String::new(),
        false => format!(": '{path}'"),
    }
}

/// What kind of error it is: exceptions and exit codes are chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Something is not there: `FileNotFoundError`.
    NotFound,
    /// Something is there already: `FileExistsError`.
    Exists,
    /// `IsADirectoryError`.
    IsADirectory,
    /// `NotADirectoryError`.
    NotADirectory,
    /// It may not be done: `PermissionError`.
    Permission,
    /// A name is not known: `KeyError`.
    Key,
    /// A value makes no sense: `ValueError`.
    Value,
    /// A value has the wrong type: `TypeError`.
    Type,
    /// The branch has moved on: `StaleSnapshotError`.
    Stale,
    /// It cannot be done now: `RuntimeError`.
    Runtime,
    /// The system said no: `OSError`.
    Os,
    /// The repository is damaged, locked or of an unknown form: `GitError`.
    Git,
}

impl StoreErrorKind {
    /// The kind of an error of the system from deep inside of others, if it says all there is to say: a disk that is full
    /// or broken, or a file that is for others, is no damage to a repository.
    pub fn of_system(error: &io::Error) -> Option<StoreErrorKind> {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Some(StoreErrorKind::Permission),
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem => Some(StoreErrorKind::Os),
            _ if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Some(StoreErrorKind::Os),
            _ => None,
        }
    }
}

impl StoreError {
    /// What kind of error it is.
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            StoreError::NotFound { .. }
            | StoreError::LocalNotFound { .. }
            | StoreError::SourceNotFound { .. } => StoreErrorKind::NotFound,
            StoreError::Exists { .. } => StoreErrorKind::Exists,
            StoreError::IsADirectory { .. } | StoreError::NeedsRecursive { .. } => {
                StoreErrorKind::IsADirectory
            }
            StoreError::NotADirectory { .. }
            | StoreError::LocalNotADirectory { .. }
            | StoreError::SourceNotADirectory { .. } => StoreErrorKind::NotADirectory,
            StoreError::ReadOnly { .. }
            | StoreError::Repo(RepoError::Directory(DirectoryError::ReadOnly { .. })) => {
                StoreErrorKind::Permission
            }
            StoreError::Stale { .. } => StoreErrorKind::Stale,
            StoreError::NoSuchBranch { .. }
            | StoreError::NoSuchTag { .. }
            | StoreError::NoSuchRef { .. }
            | StoreError::NoSuchObject { .. }
            | StoreError::NoSuchNote { .. }
            | StoreError::TagExists { .. }
            | StoreError::UnknownPlaceholder { .. } => StoreErrorKind::Key,
            StoreError::BadPath { .. }
            | StoreError::BadRefName { .. }
            | StoreError::SamePlace { .. }
            | StoreError::IntoItself { .. }
            | StoreError::BadTemplate { .. }
            | StoreError::Invalid { .. } => StoreErrorKind::Value,
            StoreError::Local { source, .. }
            | StoreError::Source(source)
            | StoreError::Output(source) => of_io(source),
            StoreError::Failed { .. }
            | StoreError::Cancelled
            | StoreError::Repo(RepoError::Directory(DirectoryError::WaitsAlready { .. })) => {
                StoreErrorKind::Runtime
            }
            StoreError::Open(OpenError::Io { source, .. }) => of_io(source),
            StoreError::Open(OpenError::NotEmpty { .. }) => StoreErrorKind::Exists,
            StoreError::Repo(
                RepoError::Io { source, .. }
                | RepoError::Directory(DirectoryError::Io { source, .. }),
            ) if of_io(source) == StoreErrorKind::Permission => StoreErrorKind::Permission,
            StoreError::Repo(
                RepoError::Io { .. }
                | RepoError::Directory(DirectoryError::Io { .. } | DirectoryError::Gone { .. }),
            ) => StoreErrorKind::Os,
            StoreError::Open(_) | StoreError::Repo(_) => {
                let of_system = self.io().and_then(StoreErrorKind::of_system);
                of_system.unwrap_or(StoreErrorKind::Git)
            }
        }
    }

    /// The system's own error behind this one, if there is one.
    pub fn io(&self) -> Option<&io::Error> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref() {
                return Some(io);
            }
            next = error.source();
        }
        None
    }

    /// Turns the system's error about a file outside the store into one that names it.
    pub fn local<P: AsRef<Path>>(path: P) -> impl FnOnce(io::Error) -> StoreError + use<P> {
        move |source| StoreError::Local {
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// An error for a value that makes no sense.
    pub fn invalid(reason: impl Into<String>) -> StoreError {
        StoreError::Invalid {
            reason: reason.into(),
        }
    }
}

fn of_io(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => StoreErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => StoreErrorKind::Exists,
        io::ErrorKind::IsADirectory => StoreErrorKind::IsADirectory,
        io::ErrorKind::NotADirectory => StoreErrorKind::NotADirectory,
        io::ErrorKind::PermissionDenied => StoreErrorKind::Permission,
        _ => StoreErrorKind::Os,
    }
}

impl From<RepoError> for StoreError {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::Directory(DirectoryError::GivenUp { .. }) => StoreError::Cancelled,
            error => StoreError::Repo(error),
        }
    }
}

impl From<DirectoryError> for StoreError {
    fn from(error: DirectoryError) -> Self {
        RepoError::from(error).into()
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        StoreError::Repo(error.into())
    }
}

impl From<WritePackFileError> for StoreError {
    fn from(error: WritePackFileError) -> Self {
        match error {
            WritePackFileError::Source(source) => StoreError::Source(source),
            error => StoreError::Repo(error.into()),
        }
    }
}

impl From<ForkedCopy> for StoreError {
    fn from(error: ForkedCopy) -> Self {
        StoreError::Failed {
            reason: format!("this write cannot go on: {error}"),
        }
    }
}

impl From<CollisionError> for StoreError {
    fn from(error: CollisionError) -> Self {
        WritePackFileError::from(error).into()
    }
}

impl From<SpoolError> for StoreError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::Io(error) => WritePackFileError::from(error).into(),
            SpoolError::Collision(error) => error.into(),
        }
    }
}
