//! Branches created, moved forward and deleted by name.

use std::sync::Arc;

use packhouse_object::{ObjectId, ReadError, RefName, is_ancestor};

use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::new_commits::NewCommits;
use crate::receive::{RefChange, RefPolicy};
use crate::repository::Repository;
use crate::view::{Namespace, View};

/// A branch to create, or to move forward to its base.
pub struct CreateBranch {
    /// The commit to start at: any revision [`View::resolve`] knows.
    pub base: String,
    /// Where the revision is looked up.
    pub base_namespace: Namespace,
    /// The branch.
    pub target: RefName,
    /// Move an existing branch even if that loses commits.
    pub force: bool,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who asked, for the reflog.
    pub who: String,
}

/// A branch to delete.
pub struct DeleteBranch {
    /// The branch.
    pub name: RefName,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who asked, for the reflog.
    pub who: String,
}

/// A branch that is now where the caller wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatedBranch {
    /// Where it points.
    pub commit: ObjectId,
    /// Whether it did not exist before.
    pub created: bool,
}

/// A branch was not changed.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// The base names no commit.
    #[error("base `{base}` does not exist")]
    BaseMissing {
        /// As the caller wrote it.
        base: String,
    },
    /// The branch does not exist.
    #[error("branch `{name}` does not exist")]
    Missing {
        /// The branch.
        name: RefName,
    },
    /// The branch exists with commits that the base does not have.
    #[error("branch `{name}` already exists at {found}, which the base does not contain")]
    Exists {
        /// The branch.
        name: RefName,
        /// Where it is.
        found: ObjectId,
    },
    /// The branch cannot be created beside a ref that is a folder of it, or in it.
    #[error("branch `{name}` cannot exist beside `{by}`")]
    NameTaken {
        /// The branch.
        name: RefName,
        /// The ref in the way.
        by: RefName,
    },
    /// `HEAD` points to the branch.
    #[error("branch `{name}` is the default branch and cannot be deleted")]
    IsDefault {
        /// The branch.
        name: RefName,
    },
    /// The caller may not do this.
    #[error("{reason}")]
    Denied {
        /// As git would show it.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<ReadError> for BranchError {
    fn from(error: ReadError) -> Self {
        BranchError::Repo(error.into())
    }
}

impl Repository {
    /// Creates a branch, or moves one forward. A branch that is there already is left as it is.
    pub async fn create_branch(&self, request: CreateBranch) -> Result<CreatedBranch, BranchError> {
        let who = request.who.clone();
        written(
            self.publish(&who, Vec::new(), move |view| prepare_create(view, &request))
                .await,
        )
    }

    /// Deletes a branch and answers where it was.
    pub async fn delete_branch(&self, request: DeleteBranch) -> Result<ObjectId, BranchError> {
        let who = request.who.clone();
        written(
            self.publish(&who, Vec::new(), move |view| prepare_delete(view, &request))
                .await,
        )
    }
}

fn written<T>(result: Result<(T, Arc<View>), PublishError<BranchError>>) -> Result<T, BranchError> {
    match result {
        Ok((value, _)) => Ok(value),
        Err(PublishError::Refused(error)) => Err(error),
        Err(PublishError::Repo(error)) => Err(error.into()),
    }
}

fn prepare_create(
    view: &View,
    request: &CreateBranch,
) -> Result<(Change, CreatedBranch), BranchError> {
    let resolved = view.resolve(&request.base, request.base_namespace)?;
    let commit = resolved
        .ok_or_else(|| BranchError::BaseMissing {
            base: request.base.clone(),
        })?
        .id;
    let old = view.refs().get(&request.target).map(|entry| entry.target);
    let change = match old {
        None => {
            if let Some(by) = view.refs().in_the_way(&request.target) {
                return Err(BranchError::NameTaken {
                    name: request.target.clone(),
                    by,
                });
            }
            RefChange::Create
        }
        Some(found) if found == commit => {
            return Ok((
                Change::default(),
                CreatedBranch {
                    commit,
                    created: false,
                },
            ));
        }
        Some(found) if is_ancestor(view.database(), found, commit)? => RefChange::FastForward,
        Some(_) if request.force => RefChange::Force,
        Some(found) => {
            return Err(BranchError::Exists {
                name: request.target.clone(),
                found,
            });
        }
    };
    let commits = NewCommits::new(view, view.database(), old, commit);
    request
        .policy
        .allows_commits(&request.target, change, &commits)?
        .map_err(|reason| BranchError::Denied { reason })?;
    let message = format!("branch: Created from {}", request.base);
    let edit = RefEdit {
        name: request.target.clone(),
        old,
        new: Some(commit),
        message,
    };
    Ok((
        Change {
            objects: Vec::new(),
            edits: vec![edit],
        },
        CreatedBranch {
            commit,
            created: old.is_none(),
        },
    ))
}

fn prepare_delete(view: &View, request: &DeleteBranch) -> Result<(Change, ObjectId), BranchError> {
    let entry = view
        .refs()
        .get(&request.name)
        .ok_or_else(|| BranchError::Missing {
            name: request.name.clone(),
        })?;
    if view.head() == &request.name {
        return Err(BranchError::IsDefault {
            name: request.name.clone(),
        });
    }
    request
        .policy
        .allows(&request.name, RefChange::Delete)
        .map_err(|reason| BranchError::Denied { reason })?;
    let edit = RefEdit {
        name: request.name.clone(),
        old: Some(entry.target),
        new: None,
        message: "branch: deleted".to_owned(),
    };
    Ok((
        Change {
            objects: Vec::new(),
            edits: vec![edit],
        },
        entry.target,
    ))
}
