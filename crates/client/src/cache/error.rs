//! Why a call of a cache failed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packhouse_catalog::CatalogError;
use packhouse_repo::store::StoreError;
use rustix::io::Errno;

use crate::mirror::MirrorError;
use crate::remote::{RemoteError, with_reasons};

/// A call failed. Cloneable, because one attempt answers many callers. No password is in its text.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// There is no entry of this name.
    #[error("Cache entry not found: {name}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// There is an entry, but its working tree is not at its place.
    #[error("Cache path does not exist: {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The source is nothing that can be cached.
    #[error("Invalid source: {source_url}: {reason}")]
    InvalidSource {
        /// The source, without passwords.
        source_url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The name is none that an entry can have.
    #[error("Invalid name: {name:?}: {reason}")]
    InvalidName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The name is that of an entry of another source.
    #[error("the name '{name}' belongs to {source_url}; choose another name, or remove that entry")]
    NameTaken {
        /// The name.
        name: String,
        /// What has it.
        source_url: String,
    },
    /// Something that this cache did not make is where the entry is, or would be.
    #[error("'{}' was not made by this cache and is left alone; move it away or choose another name", path.display())]
    Occupied {
        /// The place.
        path: PathBuf,
    },
    /// A revision names nothing.
    #[error("Unknown revision: {revision} in {name}")]
    NoSuchRevision {
        /// The revision.
        revision: String,
        /// The entry.
        name: String,
    },
    /// The server wants other credentials, or some.
    #[error(
        "Authentication failed for '{url}'; check the credentials, or register a provider that has some"
    )]
    AuthenticationFailed {
        /// The remote.
        url: String,
    },
    /// There is no such repository, or none that the caller may know of.
    #[error("Repository not found: '{url}' ({reason})")]
    RepositoryNotFound {
        /// The remote.
        url: String,
        /// How that is known.
        reason: String,
    },
    /// A submodule could not be had, and the rest is not copied without it.
    #[error(
        "submodule '{name}' at '{}': {source}; without submodules, by `submodule.recurse=false`, the rest can be had",
        path.display()
    )]
    Submodule {
        /// What its author calls it.
        name: String,
        /// Where it is in the copy.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Arc<CacheError>,
    },
    /// The remote has no default branch any more.
    #[error("'{url}' has no default branch any more; the last copy is kept")]
    NoDefaultBranch {
        /// The remote.
        url: String,
    },
    /// The remote could not be asked, or did not do what was asked.
    #[error("{}", with_reasons(&**.0))]
    Remote(Arc<RemoteError>),
    /// The entry does not fit, even when all others that are not in use make room.
    #[error(
        "'{name}' does not fit: the cache would take at least {needed_bytes} bytes of the {max_bytes} that it may; raise the limit, or remove what is in use"
    )]
    Full {
        /// The entry.
        name: String,
        /// What the cache would take, as far as that is known.
        needed_bytes: u64,
        /// What it may.
        max_bytes: u64,
    },
    /// The disk is full.
    #[error(
        "no space left on the disk of '{}'; nothing was changed; make room there, or remove entries of the cache",
        path.display()
    )]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The entry is in use, by a lease or a call of this process or another.
    #[error("'{name}' is in use: {by}")]
    InUse {
        /// The entry.
        name: String,
        /// How, and by which process if that is known.
        by: String,
    },
    /// A setting makes no sense.
    #[error("{reason}")]
    Config {
        /// Which one, and why.
        reason: String,
    },
    /// A mirror or a working tree could not be read or written.
    #[error("{}", with_reasons(&**.0))]
    Store(Arc<StoreError>),
    /// The catalog of entries is damaged.
    #[error("the catalog of the cache, '{}', is damaged; whoever opens the cache next mends it", path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
    },
    /// The catalog of entries could not be read or written.
    #[error("the catalog of the cache failed: {}", with_reasons(.0))]
    Catalog(CatalogError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The source did not come to rest while it was copied.
    #[error("{}: {reason}", path.display())]
    Changing {
        /// What changes.
        path: PathBuf,
        /// How that is known.
        reason: &'static str,
    },
    /// The caller asked to end.
    #[error("cancelled")]
    Cancelled,
}

impl CacheError {
    /// Whether the same call fails again until the source is another, whenever it is made.
    pub fn is_lasting(&self) -> bool {
        match self {
            CacheError::Remote(error) => error.is_lasting(),
            CacheError::Submodule { source, .. } => source.is_lasting(),
            _ => false,
        }
    }

    /// An error of the system about a file.
    pub(super) fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> CacheError {
        move |source| {
            let path = path.as_ref().to_owned();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    CacheError::NoSpace { path }
                }
                _ => CacheError::File {
                    path,
                    source: Arc::new(source),
                },
            }
        }
    }

    /// A source that changes while it is copied.
    pub(super) fn changing(path: impl Into<PathBuf>) -> CacheError {
        CacheError::Changing {
            path: path.into(),
            reason: "it changes while it is copied",
        }
    }

    /// The system's own error behind an error, if that is a full disk.
    fn full_disk(error: &(dyn std::error::Error + 'static), path: &Path) -> Option<CacheError> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref::<io::Error>()
                && matches!(
                    io.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                )
            {
                let path = path.to_owned();
                return Some(CacheError::NoSpace { path });
            }
            next = error.source();
        }
        None
    }

    /// What a remote's error comes to; `root` is named if the disk is full.
    pub(super) fn remote(root: &Path) -> impl FnOnce(RemoteError) -> CacheError {
        move |error| match error {
            RemoteError::Cancelled => CacheError::Cancelled,
            RemoteError::AuthenticationFailed { url } => CacheError::AuthenticationFailed { url },
            RemoteError::RepositoryNotFound { url, reason } => {
                CacheError::RepositoryNotFound { url, reason }
            }
            error => CacheError::full_disk(&error, root)
                .unwrap_or_else(|| CacheError::Remote(Arc::new(error))),
        }
    }

    /// What a store's error comes to; `root` is named if the disk is full.
    pub(super) fn store(root: &Path) -> impl FnOnce(StoreError) -> CacheError {
        move |error| match error {
            StoreError::Cancelled => CacheError::Cancelled,
            error => CacheError::full_disk(&error, root)
                .unwrap_or_else(|| CacheError::Store(Arc::new(error))),
        }
    }

    /// What a mirror's error comes to.
    pub(super) fn mirror(root: &Path) -> impl FnOnce(MirrorError) -> CacheError {
        move |error| match error {
            MirrorError::Remote(error) => CacheError::remote(root)(error),
            MirrorError::Store(error) => CacheError::store(root)(error),
            MirrorError::File { path, source } => match Errno::from_io_error(&source) {
                Some(Errno::LOOP) => CacheError::Occupied { path },
                _ => CacheError::file(path)(source),
            },
            error => CacheError::Config {
                reason: error.to_string(),
            },
        }
    }
}
