//! Forks: a new repository that lists the packs of another, in one transaction. No byte is copied but the tail's.

use std::sync::Arc;

use bytes::Bytes;

use crate::audit::{self, Origin};
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, Work};
use crate::publish::MAX_REF_NAME_BYTES;
use crate::repos::{MAX_REPO_NAME_BYTES, RepoRow};
use crate::{Catalog, CatalogError, text};

/// A fork to make.
///
/// The new repository has the source's packs and tail as they are when it is made, which hold all that the source
/// held at any generation since objects were last dropped. So refs and objects that were chosen on a view of one of
/// these are still whole.
#[derive(Clone, Debug)]
pub struct Fork {
    /// The repository to fork; it must not be deleted.
    pub source: RepoId,
    /// The organisation of both.
    pub org: OrgId,
    /// Name of the new one.
    pub name: String,
    /// Short name of the branch its HEAD points to.
    pub default_branch: String,
    /// The refs it begins with.
    pub refs: Vec<NewRef>,
    /// Objects that the source has not, encoded as for a publish.
    pub tail: Option<Bytes>,
    /// Who did it, for the reflog.
    pub who: String,
    /// Where it came from, for the audit log.
    pub origin: Option<Arc<Origin>>,
    /// What the reflog says of each ref.
    pub message: String,
    /// When.
    pub at_ms: i64,
    /// The generation of the view on which refs and objects were chosen.
    pub checked_at: i64,
}

/// A ref of a new repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewRef {
    /// Full name, such as `refs/heads/main`; no two are the same.
    pub name: Vec<u8>,
    /// Where it points.
    pub target: Vec<u8>,
    /// What that peels to if it is a tag object.
    pub peeled: Option<Vec<u8>>,
}

/// Why there is no fork.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The source is deleted or never was.
    #[error("the repository to fork is gone")]
    SourceGone,
    /// The organisation has a repository of that name.
    #[error("repository `{name}` exists already")]
    Exists {
        /// The name that was asked for.
        name: String,
    },
    /// The source has dropped objects since the view on which the fork was chosen.
    #[error("the repository to fork has changed")]
    Stale,
    /// The catalog failed.
    #[error("could not fork")]
    Catalog(#[from] CatalogError),
}

impl Catalog {
    /// Makes a fork: all of it or nothing, and durable when this returns.
    pub async fn fork(&self, fork: Fork) -> Result<RepoRow, ForkError> {
        let fork = storable(fork)?;
        let name = fork.name.clone();
        match self.submit(fork.source, Work::Fork(fork)).await? {
            Done::RepoCreated(repo) => Ok(repo),
            Done::SourceGone => Err(ForkError::SourceGone),
            Done::Stale => Err(ForkError::Stale),
            _ => Err(ForkError::Exists { name }),
        }
    }
}

fn storable(mut fork: Fork) -> Result<Fork, CatalogError> {
    text::check("repository name", &fork.name, MAX_REPO_NAME_BYTES)?;
    text::check("default branch", &fork.default_branch, MAX_REPO_NAME_BYTES)?;
    for new in &fork.refs {
        text::check_length("ref name", &new.name, MAX_REF_NAME_BYTES)?;
    }
    fork.origin.as_deref().map_or(Ok(()), audit::check_origin)?;
    fork.who = text::storable(fork.who);
    fork.message = text::reflog_message(fork.message);
    Ok(fork)
}
