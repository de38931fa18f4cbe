//! Why a branch was not merged.

use bstr::BString;
use packhouse_object::{CollisionError, ObjectId, ReadError, RefName};

use crate::error::RepoError;
use crate::merge::MergeError;

/// A branch was not merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeBranchError {
    /// The source names no commit.
    #[error("source `{name}` does not exist")]
    SourceMissing {
        /// As the caller wrote it.
        name: BString,
    },
    /// The target does not exist.
    #[error("target branch `{name}` does not exist")]
    TargetMissing {
        /// The branch.
        name: BString,
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
    /// Both sides changed the same.
    #[error("{} in conflict: {}", count(.paths.len()), some_of(.paths))]
    Conflict {
        /// The paths, in their order, each once.
        paths: Vec<BString>,
        /// The best common ancestor, the newest if there are several.
        base: Option<ObjectId>,
    },
    /// Only a fast-forward was allowed, and the target has commits of its own.
    #[error(
        "a fast-forward is not possible: `{target}` has commits that `{source_name}` does not have"
    )]
    NotFastForward {
        /// The target.
        target: BString,
        /// The source.
        source_name: BString,
        /// The best common ancestor, the newest if there are several.
        base: Option<ObjectId>,
    },
    /// A commit has to be made, and there is no message for it.
    #[error("a merge commit has to be made, and it needs a message")]
    MessageMissing,
    /// A commit has to be made, and nobody is its author.
    #[error("a merge commit has to be made, and it needs an author")]
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

impl From<ReadError> for MergeBranchError {
    fn from(error: ReadError) -> Self {
        MergeBranchError::Repo(error.into())
    }
}

impl From<CollisionError> for MergeBranchError {
    fn from(error: CollisionError) -> Self {
        MergeBranchError::Merge(error.into())
    }
}

fn count(paths: usize) -> String {
    match paths {
        1 => "1 path is".to_owned(),
        many => format!("{many} paths are"),
    }
}

/// The first few, for a person: all of them are in the error itself.
pub(crate) fn some_of(paths: &[BString]) -> String {
    const SHOWN: usize = 5;
    let quoted = |path: &BString| format!("`{path}`");
    let mut text: Vec<String> = paths.iter().take(SHOWN).map(quoted).collect();
    if paths.len() > SHOWN {
        text.push("…".to_owned());
    }
    text.join(", ")
}
