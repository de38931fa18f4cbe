//! Failures of the store itself, apart from refusals of a particular request.

use packhouse_bucket::BucketError;
use packhouse_catalog::CatalogError;
use packhouse_object::{BuildHistoryError, PackError, ReadError, WritePackFileError};

use crate::directory::DirectoryError;
use crate::quota::OverQuota;

/// The repository could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// The repository was deleted, or never was.
    #[error("repository does not exist any more")]
    Gone,
    /// Others kept moving the same refs for as long as was waited.
    #[error("ref `{name}` is being moved by others; gave up after {attempts} attempts")]
    Contended {
        /// The ref.
        name: String,
        /// How often the write was prepared anew.
        attempts: u32,
    },
    /// The repository may not have so many bytes.
    #[error(transparent)]
    OverQuota(#[from] OverQuota),
    /// A file that a write would make is too large.
    #[error("a file has {bytes} bytes, over the limit of {limit} bytes for one file")]
    FileTooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that is taken.
        limit: u64,
    },
    /// No ref reached an object that the write builds on, and it was dropped while the write was on its way. With all that
    /// it needs it can be sent again.
    #[error("object {id}, which no branch or tag reached, was removed meanwhile")]
    Vanished {
        /// The object.
        id: packhouse_object::ObjectId,
    },
    /// An object could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A pack could not be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A pack could not be written.
    #[error(transparent)]
    WritePack(#[from] WritePackFileError),
    /// Packs could not be written anew.
    #[error("could not repack")]
    Repack(#[source] std::sync::Arc<dyn std::error::Error + Send + Sync>),
    /// The index of the history could not be made.
    #[error(transparent)]
    History(#[from] BuildHistoryError),
    /// A bare repository on disk cannot be read or written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The bucket failed.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A stored row does not have the documented form.
    #[error("stored {what} is damaged: {reason}")]
    Damaged {
        /// Which row.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the store could not be read or written.
    #[error("{action} {path}")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// One failure that several writes of a group share. [`RepoError::Gone`], [`RepoError::Contended`] and
    /// [`RepoError::Stopped`] are never shared: each write gets its own.
    #[error(transparent)]
    Shared(std::sync::Arc<RepoError>),
    /// The store is shutting down, or a task of it failed.
    #[error("the store stopped while the request was under way")]
    Stopped,
}

impl RepoError {
    /// Whether the write may have been made all the same: its COMMIT was not confirmed.
    pub fn is_unconfirmed(&self) -> bool {
        match self {
            RepoError::Catalog(error) => matches!(error, CatalogError::Unconfirmed { .. }),
            RepoError::Shared(error) => error.is_unconfirmed(),
            _ => false,
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
        source: std::io::Error,
    ) -> RepoError {
        RepoError::Io {
            action,
            path: path.display().to_string(),
            source,
        }
    }

    /// The same failure once more, for another write that it ends.
    pub(crate) fn share(error: &std::sync::Arc<RepoError>) -> RepoError {
        match **error {
            // Callers handle these apart, and do not look into a shared one.
            RepoError::Gone => RepoError::Gone,
            RepoError::Stopped => RepoError::Stopped,
            RepoError::Contended { ref name, attempts } => RepoError::Contended {
                name: name.clone(),
                attempts,
            },
            _ => RepoError::Shared(error.clone()),
        }
    }
}

/// A write was not made.
#[derive(Debug)]
pub enum PublishError<E> {
    /// The write itself was refused on the newest state; nothing was stored.
    Refused(E),
    /// The store failed.
    Repo(RepoError),
}

impl<E> From<RepoError> for PublishError<E> {
    fn from(error: RepoError) -> Self {
        PublishError::Repo(error)
    }
}
