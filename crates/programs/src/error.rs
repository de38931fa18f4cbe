//! Why a program did not do what it was called for.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use packhouse_repo::RepoError;
use packhouse_repo::directory::OpenError;
use packhouse_wire::WireError;

/// A program failed. The words are git's where it has some.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// There is no repository where one was named.
    #[error("'{}' does not appear to be a git repository", .0.display())]
    NoRepository(PathBuf),
    /// The repository belongs to somebody else, and nothing says that this is well.
    #[error(
        "detected dubious ownership in repository at '{}'\nTo add an exception for this directory, call:\n\n\t\
         git config --global --add safe.directory {}", .0.display(), .0.display()
    )]
    Dubious(PathBuf),
    /// The repository cannot be used as it is.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// The repository could not be read or written.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// The conversation with the client ended early. The client was told what it may know.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A file could not be read or written.
    #[error("could not {action} '{}'", path.display())]
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

impl ProgramError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProgramError {
        let path = path.to_owned();
        move |source| ProgramError::Io {
            action,
            path,
            source,
        }
    }
}

/// The message of an error with those of what caused it.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
