//! Forks and snapshots: a repository that begins with what another one has.
//!
//! A fork lists the source's packs, so it costs a few rows whatever the size of the source, and nothing of it is
//! lost when the source is deleted. A snapshot is a fork with one new commit that has no history.

use bytes::Bytes;
use packhouse_catalog::{Fork, ForkError as CatalogForkError, NewAuditEntry, NewRef, RepoRow};
use packhouse_object::{
    BString, Commit, NewObject, ObjectId, ObjectKind, ReadError, RefName, Signature, commit_links,
};

use crate::error::RepoError;
use crate::hosted::{Engine, Hosted, now_ms, tail};
use crate::view::{Namespace, View};

/// Tails above this many bytes are folded into a pack before they are copied, so that the next forks share it.
const COPIED_TAIL_BYTES: u64 = 256 << 10;

/// How often a fork is begun again since its source has dropped objects meanwhile.
const ATTEMPTS: u32 = 8;

/// Full names of the refs that a fork of everything begins with. Ephemeral branches stay behind.
const FORKED: [&[u8]; 3] = [b"refs/heads/", b"refs/tags/", b"refs/notes/"];

/// A fork to make.
#[derive(Clone, Debug)]
pub struct ForkRequest {
    /// Name of the new repository.
    pub name: String,
    /// The branch its HEAD points to; the source's, if it does not say.
    pub default_branch: Option<RefName>,
    /// The commit to begin at: any revision [`View::resolve`] knows. The new repository then has its default branch
    /// there and no other ref. `None`: it has every branch, tag and note of the source.
    pub at: Option<String>,
    /// A commit without parents to put in the place of the history.
    pub snapshot: Option<InitialCommit>,
    /// Who asked, for the reflog.
    pub who: String,
    /// What the audit log says of it, and where it came from.
    pub audit: Option<NewAuditEntry>,
}

/// The one commit of a snapshot; its tree is that of the commit it is taken from.
#[derive(Clone, Debug)]
pub struct InitialCommit {
    /// The message, as it is stored.
    pub message: BString,
    /// Who wrote it, and when.
    pub author: Signature,
    /// Who committed it, and when.
    pub committer: Signature,
}

/// There is no fork.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// The source has no such commit.
    #[error("repository `{source_name}` has no branch, tag or commit `{at}`")]
    CommitMissing {
        /// The source.
        source_name: String,
        /// As the caller wrote it.
        at: String,
    },
    /// A repository has the name already.
    #[error("repository `{name}` already exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// The source was deleted.
    #[error("repository `{name}` not found")]
    SourceGone {
        /// The source.
        name: String,
    },
    /// The default branch cannot be created beside a ref that is a folder of it, or in it.
    #[error("branch `{name}` cannot exist beside `{by}`")]
    NameTaken {
        /// The branch.
        name: RefName,
        /// The ref in the way.
        by: RefName,
    },
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<ReadError> for ForkError {
    fn from(error: ReadError) -> Self {
        ForkError::Repo(error.into())
    }
}

impl Hosted {
    /// Makes a fork of `source` in its organisation: all of it or nothing, and durable when this returns.
    pub async fn fork(&self, source: &RepoRow, request: ForkRequest) -> Result<RepoRow, ForkError> {
        let catalog = match &request.audit {
            Some(entry) => self.engine.catalog.audited(entry.clone()),
            None => self.engine.catalog.clone(),
        };
        let mut at_least = source.generation;
        for _ in 0..ATTEMPTS {
            let view = self.engine.view_to_fork(source, at_least).await?;
            let view_generation = view.generation();
            let (from, asked, now) = (source.clone(), request.clone(), now_ms());
            let fork = tokio::task::spawn_blocking(move || plan(&view, &from, asked, now))
                .await
                .map_err(|_| RepoError::Stopped)??;
            return match catalog.fork(fork).await {
                Ok(made) => Ok(made),
                // What it was to begin with may be gone.
                Err(CatalogForkError::Stale) => {
                    at_least = view_generation.saturating_add(1);
                    continue;
                }
                Err(CatalogForkError::Exists { name }) => Err(ForkError::Exists { name }),
                Err(CatalogForkError::SourceGone) => Err(ForkError::SourceGone {
                    name: source.name.clone(),
                }),
                Err(CatalogForkError::Catalog(error)) => Err(RepoError::from(error).into()),
            };
        }
        Err(ForkError::Repo(RepoError::Contended {
            name: "a ref of the repository".to_owned(),
            attempts: ATTEMPTS,
        }))
    }
}

impl Engine {
    /// The view that a fork begins with, after a fold where the tail is too long to be copied many times.
    async fn view_to_fork(
        &self,
        source: &RepoRow,
        at_least: i64,
    ) -> Result<std::sync::Arc<View>, ForkError> {
        let gone = |error| match error {
            RepoError::Gone => ForkError::SourceGone {
                name: source.name.clone(),
            },
            error => error.into(),
        };
        let slot = self.slot(source.id, source.org);
        let state = slot.state(self, at_least).await.map_err(gone)?;
        if state.tail_bytes() <= COPIED_TAIL_BYTES {
            return Ok(state.view);
        }
        // Another node may be folding it: then the tail is copied after all.
        self.fold_slot(&slot).await.map_err(gone)?;
        Ok(slot.newest(self).await.map_err(gone)?.view)
    }
}

/// What the catalog is to write.
fn plan(view: &View, source: &RepoRow, request: ForkRequest, now: i64) -> Result<Fork, ForkError> {
    let ForkRequest {
        name,
        default_branch,
        at,
        snapshot,
        who,
        audit,
    } = request;
    let head = default_branch.unwrap_or_else(|| view.head().clone());
    let start = begin_at(view, source, at.as_deref())?;
    let mut objects = Vec::new();
    let refs = match (snapshot, start) {
        (Some(commit), Some(start)) => {
            let commit = initial_commit(view, start, commit)?;
            let target = commit.id;
            objects.push(commit);
            vec![new_ref(&head, target, None)]
        }
        (None, Some(start)) if at.is_some() => vec![new_ref(&head, start, None)],
        (Some(_), None) => Vec::new(),
        (None, start) => all_refs(view, &head, start)?,
    };
    let default_branch = head.branch_short().map(ToString::to_string);
    Ok(Fork {
        source: source.id,
        org: source.org,
        name,
        default_branch: default_branch.unwrap_or_else(|| source.default_branch.clone()),
        refs,
        tail: (!objects.is_empty()).then(|| tail::encode(&objects)),
        who,
        origin: audit.and_then(|entry| entry.origin),
        message: format!("fork: from {}", source.name),
        at_ms: now,
        checked_at: view.generation(),
    })
}

/// The commit that was asked for, or that of the source's HEAD. `None`: HEAD names no commit yet.
fn begin_at(
    view: &View,
    source: &RepoRow,
    at: Option<&str>,
) -> Result<Option<ObjectId>, ForkError> {
    let found = view.resolve(at.unwrap_or("HEAD"), Namespace::Default)?;
    match (found, at) {
        (None, Some(at)) => Err(ForkError::CommitMissing {
            source_name: source.name.clone(),
            at: at.to_owned(),
        }),
        (found, _) => Ok(found.map(|found| found.id)),
    }
}

/// Every ref of the source, and the default branch at the source's HEAD if the source has none of that name.
fn all_refs(
    view: &View,
    head: &RefName,
    start: Option<ObjectId>,
) -> Result<Vec<NewRef>, ForkError> {
    let mut refs: Vec<NewRef> = FORKED
        .iter()
        .flat_map(|prefix| view.refs().prefixed(prefix))
        .map(|(name, value)| new_ref(name, value.target, value.peeled))
        .collect();
    if let Some(start) = start.filter(|_| view.refs().get(head).is_none()) {
        if let Some(by) = view.refs().in_the_way(head) {
            return Err(ForkError::NameTaken {
                name: head.clone(),
                by,
            });
        }
        refs.push(new_ref(head, start, None));
    }
    Ok(refs)
}

fn new_ref(name: &RefName, target: ObjectId, peeled: Option<ObjectId>) -> NewRef {
    NewRef {
        name: name.as_bytes().to_vec(),
        target: target.as_slice().to_vec(),
        peeled: peeled.map(|id| id.as_slice().to_vec()),
    }
}

fn initial_commit(
    view: &View,
    start: ObjectId,
    commit: InitialCommit,
) -> Result<NewObject, ForkError> {
    let bytes = view.database().bytes_of(start, ObjectKind::Commit)?;
    let (tree, _, _) = commit_links(&bytes).map_err(|error| ReadError::decode(start, error))?;
    let commit = Commit {
        tree,
        parents: Vec::new(),
        author: commit.author,
        committer: commit.committer,
        extra_headers: Vec::new(),
        message: commit.message,
    };
    NewObject::new(ObjectKind::Commit, Bytes::from(commit.encode())).map_err(|error| {
        RepoError::Damaged {
            what: "commit".to_owned(),
            reason: error.to_string(),
        }
        .into()
    })
}
