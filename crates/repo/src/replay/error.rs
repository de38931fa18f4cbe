//! Why commits were not picked or reverted.

use bstr::BString;
use packhouse_object::{ObjectId, ReadError, RefName};

use super::select::MAX_COMMITS;
use crate::branch_merge::some_of;
use crate::error::RepoError;
use crate::merge::MergeError;
use crate::new_commit::NewCommitError;

/// Commits were not picked or reverted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The target does not exist.
    #[error("target branch `{name}` does not exist")]
    TargetMissing {
        /// The branch.
        name: BString,
    },
    /// A revision names no commit.
    #[error("no commit `{rev}`")]
    CommitMissing {
        /// As the caller wrote it.
        rev: String,
    },
    /// The target is not where the caller expects it.
    #[error("`{name}` is at {found}, not at {expected}")]
    HeadMoved {
        /// The target.
        name: RefName,
        /// What the caller expects.
        expected: ObjectId,
        /// Where it is.
        found: ObjectId,
    },
    /// The change of a commit does not fit the target.
    #[error("commit {commit} is in conflict with the target: {}", some_of(.paths))]
    Conflict {
        /// The commit.
        commit: ObjectId,
        /// What the three-way merge came from; `None`: from nothing.
        base: Option<ObjectId>,
        /// The paths, in their order, each once.
        paths: Vec<BString>,
    },
    /// A merge, and it was not said what it is compared with.
    #[error(
        "commit {commit} is a merge of {parents}: say with which of its parents it is compared"
    )]
    MainlineMissing {
        /// The commit.
        commit: ObjectId,
        /// How many parents it has.
        parents: usize,
    },
    /// A parent that the commit does not have.
    #[error("commit {commit} has no parent {mainline}; it has {parents}")]
    NoSuchParent {
        /// The commit.
        commit: ObjectId,
        /// Which parent was asked for.
        mainline: u32,
        /// How many it has.
        parents: usize,
    },
    /// The range is too long.
    #[error("the range has more than {MAX_COMMITS} commits")]
    TooMany,
    /// A message was given for a range.
    #[error("one message cannot be the message of every commit of a range")]
    MessageForRange,
    /// A revert needs an author.
    #[error("a revert needs an author")]
    AuthorMissing,
    /// The caller may not do this.
    #[error("{reason}")]
    Denied {
        /// As git would show it.
        reason: String,
    },
    /// The trees could not be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<ReadError> for ReplayError {
    fn from(error: ReadError) -> Self {
        ReplayError::Repo(error.into())
    }
}

impl From<NewCommitError> for ReplayError {
    fn from(error: NewCommitError) -> Self {
        match error {
            NewCommitError::Collision(error) => ReplayError::Merge(error.into()),
            NewCommitError::Read(error) => error.into(),
        }
    }
}
