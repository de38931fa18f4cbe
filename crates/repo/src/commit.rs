//! One commit made from edits by path.
//!
//! Which commit becomes the parent is decided on the newest state, in the write itself; the rules are those of
//! section 3.6 of the hosted API.

use bytes::Bytes;
use packhouse_object::{
    BString, Commit, EditTreeError, FinishedPack, NewObject, ObjectId, ObjectKind, PathEdit,
    ReadError, RefName, Signature, commit_links, edit_tree,
};

use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::repository::Repository;
use crate::view::View;

/// A commit to make.
#[derive(Debug)]
pub struct CommitRequest {
    /// The branch that moves, or is created.
    pub target: RefName,
    /// Where the branch starts if it does not exist yet.
    pub base: Option<RefName>,
    /// What the branch (or, if it does not exist, its base) must point to.
    pub expected_head: Option<ObjectId>,
    /// What changes in the tree. May be empty: a commit with its parent's tree.
    pub edits: Vec<PathEdit>,
    /// Blobs that the edits name and the repository may not have.
    pub blobs: Vec<NewObject>,
    /// Packs with more of such blobs.
    pub packs: Vec<FinishedPack>,
    /// The message, as it is stored.
    pub message: BString,
    /// Who wrote the change, and when.
    pub author: Signature,
    /// Who made the commit, and when.
    pub committer: Signature,
    /// Who asked, for the reflog.
    pub who: String,
}

/// A commit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The commit.
    pub commit: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// Where the branch was; `None`: the commit created it.
    pub old: Option<ObjectId>,
    /// Bytes stored for it: undeflated objects of a small commit, pack bytes of a large one.
    pub stored_bytes: u64,
}

/// A commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The branch, or its base, is not where the caller expects it.
    #[error("`{}` is at {}, not at {expected}", name, found.map_or_else(|| "no commit".to_owned(), |id| id.to_string()))]
    HeadMoved {
        /// The branch that was compared.
        name: RefName,
        /// What the caller expects.
        expected: ObjectId,
        /// Where it is.
        found: Option<ObjectId>,
    },
    /// The branch does not exist, no base was given, and the repository is not empty.
    #[error("branch `{name}` does not exist; name a base branch to create it from")]
    BranchMissing {
        /// The branch.
        name: RefName,
    },
    /// The base does not exist.
    #[error("base branch `{name}` does not exist")]
    BaseMissing {
        /// The base.
        name: RefName,
    },
    /// The branch cannot be created beside a ref that is a folder of it, or in it.
    #[error("branch `{name}` cannot exist beside `{by}`")]
    NameTaken {
        /// The branch.
        name: RefName,
        /// The ref in the way.
        by: RefName,
    },
    /// The edits do not fit the tree.
    #[error(transparent)]
    Edit(#[from] EditTreeError),
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> Self {
        CommitError::Repo(error.into())
    }
}

impl Repository {
    /// Makes one commit on the newest state of the branch. Either all of it is visible afterwards, or nothing.
    pub async fn commit(&self, request: CommitRequest) -> Result<CommitOutcome, CommitError> {
        let CommitRequest { packs, who, .. } = &request;
        let who = who.clone();
        let pack_bytes: u64 = packs.iter().map(|pack| pack.pack_bytes).sum();
        let mut request = request;
        let packs = std::mem::take(&mut request.packs);
        let written = self
            .publish(&who, packs, move |view| {
                let (change, mut outcome) = prepare(view, &request)?;
                outcome.stored_bytes = pack_bytes + change.object_bytes() as u64;
                Ok((change, outcome))
            })
            .await;
        match written {
            Ok((outcome, _)) => Ok(outcome),
            Err(PublishError::Refused(error)) => Err(error),
            Err(PublishError::Repo(error)) => Err(error.into()),
        }
    }
}

fn prepare(view: &View, request: &CommitRequest) -> Result<(Change, CommitOutcome), CommitError> {
    let old = view.refs().get(&request.target).map(|entry| entry.target);
    let parent = parent(view, request, old)?;
    let database = view.database();
    let parent_tree = match parent {
        Some(id) => {
            let bytes = database.bytes_of(id, ObjectKind::Commit)?;
            Some(
                commit_links(&bytes)
                    .map_err(|error| ReadError::decode(id, error))?
                    .0,
            )
        }
        None => None,
    };
    let mut objects = Vec::new();
    for blob in &request.blobs {
        if !database.contains(&blob.id)? {
            objects.push(blob.clone());
        }
    }
    let mut trees = Vec::new();
    // The packs of the request are in the database: any of the blobs may be a file that is judged.
    let complete = database.with_objects(objects.iter().cloned());
    let tree = edit_tree(&complete, parent_tree, &request.edits, &mut trees)?;
    for new_tree in trees {
        // The database knows the empty tree by heart; git wants it stored where something names it.
        if new_tree.id.is_empty_tree() || !database.contains(&new_tree.id)? {
            objects.push(new_tree);
        }
    }
    let commit = Commit {
        tree,
        parents: parent.into_iter().collect(),
        author: request.author.clone(),
        committer: request.committer.clone(),
        extra_headers: Vec::new(),
        message: request.message.clone(),
    };
    let commit =
        NewObject::new(ObjectKind::Commit, Bytes::from(commit.encode())).map_err(|error| {
            RepoError::Damaged {
                what: "commit".to_owned(),
                reason: error.to_string(),
            }
        })?;
    let id = commit.id;
    objects.push(commit);
    let edit = RefEdit {
        name: request.target.clone(),
        old,
        new: Some(id),
        message: reflog_line(&request.message, old.is_none()),
    };
    let outcome = CommitOutcome {
        commit: id,
        tree,
        old,
        stored_bytes: 0,
    };
    Ok((
        Change {
            objects,
            edits: vec![edit],
        },
        outcome,
    ))
}

/// The commit to build on; `None` for the first commit of an empty repository.
fn parent(
    view: &View,
    request: &CommitRequest,
    old: Option<ObjectId>,
) -> Result<Option<ObjectId>, CommitError> {
    if let Some(tip) = old {
        expect_head(request, &request.target, Some(tip))?;
        return Ok(Some(tip));
    }
    if let Some(by) = view.refs().in_the_way(&request.target) {
        return Err(CommitError::NameTaken {
            name: request.target.clone(),
            by,
        });
    }
    match &request.base {
        Some(base) => {
            let tip = view.refs().get(base).map(|entry| entry.target);
            let tip = tip.ok_or_else(|| CommitError::BaseMissing { name: base.clone() })?;
            expect_head(request, base, Some(tip))?;
            Ok(Some(tip))
        }
        None if view.refs().is_empty() => {
            expect_head(request, &request.target, None)?;
            Ok(None)
        }
        None => Err(CommitError::BranchMissing {
            name: request.target.clone(),
        }),
    }
}

fn expect_head(
    request: &CommitRequest,
    name: &RefName,
    found: Option<ObjectId>,
) -> Result<(), CommitError> {
    match request.expected_head {
        Some(expected) if found != Some(expected) => Err(CommitError::HeadMoved {
            name: name.clone(),
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

/// What git writes into its reflog for a commit.
fn reflog_line(message: &BString, first: bool) -> String {
    let subject = message
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let subject = String::from_utf8_lossy(subject);
    if first {
        format!("commit (initial): {subject}")
    } else {
        format!("commit: {subject}")
    }
}
