//! What can go wrong at a bucket.

use std::path::{Path, PathBuf};

use crate::{Key, KeyError};

/// The cause below a [`BucketError`]: an I/O error here, an HTTP error there.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a bucket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// There is no such object.
    #[error("no object `{key}` in the bucket")]
    NotFound {
        /// The key asked for.
        key: Key,
    },
    /// The range is inverted or ends after the object does. Nothing is ever cut short.
    #[error("bytes {start}..{end} are not within `{key}`, which has {size}")]
    Range {
        /// The key asked for.
        key: Key,
        /// First byte asked for.
        start: u64,
        /// The byte after the last one asked for.
        end: u64,
        /// Bytes the object has.
        size: u64,
    },
    /// More bytes were asked for than are held in memory at once: read in ranges, or to a file.
    #[error("{size} bytes of `{key}` are more than the {limit} that are read into memory at once")]
    TooLarge {
        /// The key asked for.
        key: Key,
        /// Bytes the answer would have.
        size: u64,
        /// [`READ_LIMIT`](crate::READ_LIMIT).
        limit: u64,
    },
    /// The store failed. A write that failed may have taken effect.
    #[error("could not {action} `{key}`")]
    Object {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object it was tried on.
        key: Key,
        /// What the store said.
        source: BoxError,
    },
    /// A listing broke off.
    #[error("could not list `{prefix}`")]
    List {
        /// The prefix asked for.
        prefix: String,
        /// What the store said.
        source: BoxError,
    },
    /// A file of the caller, not of the bucket, failed.
    #[error("could not {action} file {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bucket's address cannot be understood.
    #[error("bucket address `{address}`: {reason}")]
    Address {
        /// The address as given, without a secret that was in it.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The bucket could not be opened at all.
    #[error("could not open bucket {bucket}")]
    Open {
        /// The bucket, as [`Bucket::describe`](crate::Bucket::describe) would name it.
        bucket: String,
        /// Why.
        source: BoxError,
    },
    /// The text is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl BucketError {
    pub(crate) fn object(action: &'static str, key: &Key, source: impl Into<BoxError>) -> Self {
        BucketError::Object {
            action,
            key: key.clone(),
            source: source.into(),
        }
    }

    pub(crate) fn list(prefix: &str, source: impl Into<BoxError>) -> Self {
        BucketError::List {
            prefix: prefix.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| BucketError::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether this says that the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, BucketError::NotFound { .. })
    }
}
