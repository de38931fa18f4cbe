//! The objects of a commit that is being made.

use packhouse_object::{
    CollisionError, Commit, Database, NewObject, ObjectId, ObjectKind, ReadError,
};

use crate::branch_merge::MergeBranchError;
use crate::error::RepoError;

/// A commit could not be made into an object.
#[derive(Debug)]
pub(crate) enum NewCommitError {
    Collision(CollisionError),
    Read(ReadError),
}

/// Adds a commit to the objects that its tree brought, and leaves of these what the store does not have.
pub(crate) fn add_commit(
    database: &Database,
    commit: Commit,
    objects: &mut Vec<NewObject>,
) -> Result<ObjectId, NewCommitError> {
    let mut missing = Vec::with_capacity(objects.len() + 1);
    for object in objects.drain(..) {
        // The database knows the empty tree by heart; git wants it stored where something names it.
        if object.id.is_empty_tree()
            || !database
                .contains(&object.id)
                .map_err(NewCommitError::Read)?
        {
            missing.push(object);
        }
    }
    *objects = missing;
    let commit =
        NewObject::new(ObjectKind::Commit, commit.encode()).map_err(NewCommitError::Collision)?;
    let id = commit.id;
    objects.push(commit);
    Ok(id)
}

impl From<NewCommitError> for MergeBranchError {
    fn from(error: NewCommitError) -> Self {
        match error {
            NewCommitError::Collision(error) => error.into(),
            NewCommitError::Read(error) => MergeBranchError::Repo(RepoError::Read(error)),
        }
    }
}
