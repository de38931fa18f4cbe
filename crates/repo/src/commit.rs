//! One commit put onto a branch.
//!
//! Which commit becomes the parent is decided on the newest state, in the write itself; the rules are those of
//! section 3.6 of the hosted API. What tree the commit gets is worked out there too, by whoever calls
//! [`Repository::commit_onto`]: from edits by path, from another commit, from a patch.

use bytes::Bytes;
use packhouse_object::{
    BString, Commit, Database, EditTreeError, FinishedPack, NewObject, ObjectId, ObjectKind,
    PathEdit, ReadError, RefName, Signature, commit_links, edit_tree,
};

use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::patch::PatchError;
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

/// Where a commit goes and what it says, apart from its tree.
#[derive(Clone, Debug)]
pub struct CommitOnto {
    /// The branch that moves, or is created.
    pub target: RefName,
    /// Where the branch starts if it does not exist yet.
    pub base: Option<RefName>,
    /// What the branch (or, if it does not exist, its base) must point to.
    pub expected_head: Option<ObjectId>,
    /// The message, as it is stored.
    pub message: BString,
    /// Who wrote the change, and when.
    pub author: Signature,
    /// Who made the commit, and when.
    pub committer: Signature,
    /// Who asked, for the reflog.
    pub who: String,
}

/// What the caller of [`Repository::commit_onto`] makes of the commit that it builds on.
#[derive(Clone, Debug)]
pub struct NewTree {
    /// The tree of the commit. It is in the view, or among `objects`.
    pub tree: ObjectId,
    /// Objects that the tree needs. Those the view has are not stored again.
    pub objects: Vec<NewObject>,
    /// The message in place of the one in [`CommitOnto`], where only the state tells what to say.
    pub message: Option<BString>,
}

/// The commit that is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub commit: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
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
    /// The commit that the new one is to be like does not exist.
    #[error("no branch, tag or commit `{rev}`")]
    RevisionMissing {
        /// As the caller wrote it.
        rev: String,
    },
    /// The edits do not fit the tree.
    #[error(transparent)]
    Edit(#[from] EditTreeError),
    /// The patch is malformed, or does not fit the files.
    #[error(transparent)]
    Patch(Box<PatchError>),
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
        let onto = CommitOnto {
            target: request.target,
            base: request.base,
            expected_head: request.expected_head,
            message: request.message,
            author: request.author,
            committer: request.committer,
            who: request.who,
        };
        let (edits, blobs) = (request.edits, request.blobs);
        self.commit_onto(onto, request.packs, move |view, parent| {
            edited_tree(
                view.database(),
                parent.map(|parent| parent.tree),
                &edits,
                &blobs,
            )
        })
        .await
    }

    /// Makes one commit, with the tree that `make_tree` gives it, on the newest state of the branch.
    ///
    /// `make_tree` gets the view, which has the objects of `packs`, and the commit to build on (`None`: the first
    /// one). It is called again when others were faster, so it must not have effects of its own.
    pub async fn commit_onto(
        &self,
        onto: CommitOnto,
        packs: Vec<FinishedPack>,
        mut make_tree: impl FnMut(&View, Option<Parent>) -> Result<NewTree, CommitError>
        + Send
        + 'static,
    ) -> Result<CommitOutcome, CommitError> {
        let who = onto.who.clone();
        let pack_bytes: u64 = packs.iter().map(|pack| pack.pack_bytes).sum();
        let written = self
            .publish(&who, packs, move |view| {
                let (change, mut outcome) = prepare(view, &onto, &mut make_tree)?;
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

fn prepare(
    view: &View,
    onto: &CommitOnto,
    make_tree: &mut impl FnMut(&View, Option<Parent>) -> Result<NewTree, CommitError>,
) -> Result<(Change, CommitOutcome), CommitError> {
    let database = view.database();
    let old = view.refs().get(&onto.target).map(|entry| entry.target);
    let parent = match parent_of(view, onto)? {
        Some(commit) => {
            let tree = tree_of(database, commit)?;
            Some(Parent { commit, tree })
        }
        None => None,
    };
    let made = make_tree(view, parent)?;
    let mut objects = Vec::with_capacity(made.objects.len() + 1);
    for object in made.objects {
        // The database knows the empty tree by heart; git wants it stored where something names it.
        if object.id.is_empty_tree() || !database.contains(&object.id)? {
            objects.push(object);
        }
    }
    let message = made.message.unwrap_or_else(|| onto.message.clone());
    let line = reflog_line(&message, old.is_none());
    let commit = Commit {
        tree: made.tree,
        parents: parent.iter().map(|parent| parent.commit).collect(),
        author: onto.author.clone(),
        committer: onto.committer.clone(),
        extra_headers: Vec::new(),
        message,
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
        name: onto.target.clone(),
        old,
        new: Some(id),
        message: line,
    };
    let outcome = CommitOutcome {
        commit: id,
        tree: made.tree,
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

/// The tree that `edits` make of `root`; `blobs` are those they name that the database may not have.
pub(crate) fn edited_tree(
    database: &Database,
    root: Option<ObjectId>,
    edits: &[PathEdit],
    blobs: &[NewObject],
) -> Result<NewTree, CommitError> {
    let mut objects = blobs.to_vec();
    // Any of the blobs may be a file that is judged.
    let complete = database.with_objects(objects.iter().cloned());
    let tree = edit_tree(&complete, root, edits, &mut objects)?;
    Ok(NewTree {
        tree,
        objects,
        message: None,
    })
}

/// The tree of a commit.
pub(crate) fn tree_of(database: &Database, commit: ObjectId) -> Result<ObjectId, ReadError> {
    let bytes = database.bytes_of(commit, ObjectKind::Commit)?;
    let links = commit_links(&bytes).map_err(|error| ReadError::decode(commit, error))?;
    Ok(links.0)
}

/// The commit to build on; `None` for the first commit of an empty repository.
pub(crate) fn parent_of(view: &View, onto: &CommitOnto) -> Result<Option<ObjectId>, CommitError> {
    if let Some(tip) = view.refs().get(&onto.target).map(|entry| entry.target) {
        expect_head(onto, &onto.target, Some(tip))?;
        return Ok(Some(tip));
    }
    if let Some(by) = view.refs().in_the_way(&onto.target) {
        return Err(CommitError::NameTaken {
            name: onto.target.clone(),
            by,
        });
    }
    match &onto.base {
        Some(base) => {
            let tip = view.refs().get(base).map(|entry| entry.target);
            let tip = tip.ok_or_else(|| CommitError::BaseMissing { name: base.clone() })?;
            expect_head(onto, base, Some(tip))?;
            Ok(Some(tip))
        }
        None if view.refs().is_empty() => {
            expect_head(onto, &onto.target, None)?;
            Ok(None)
        }
        None => Err(CommitError::BranchMissing {
            name: onto.target.clone(),
        }),
    }
}

fn expect_head(
    onto: &CommitOnto,
    name: &RefName,
    found: Option<ObjectId>,
) -> Result<(), CommitError> {
    match onto.expected_head {
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
