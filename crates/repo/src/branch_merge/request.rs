//! What is asked of a merge, and what came of it.

use std::sync::Arc;

use packhouse_object::{BString, ObjectId, RefName, Signature};

use crate::merge::StopMerge;
use crate::receive::RefPolicy;
use crate::view::{Namespace, display_name};

/// What is merged.
#[derive(Clone, Debug)]
pub enum MergeSource {
    /// A branch.
    Branch(RefName),
    /// Any revision that [`crate::View::resolve`] knows.
    Revision {
        /// As the caller wrote it.
        rev: String,
        /// Where it is looked up.
        namespace: Namespace,
    },
}

impl MergeSource {
    /// What conflict marks and reflogs call it.
    pub(crate) fn display(&self) -> BString {
        match self {
            MergeSource::Branch(name) => display_name(name),
            MergeSource::Revision { rev, .. } => rev.as_str().into(),
        }
    }
}

/// When a merge makes a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeStrategy {
    /// Always, unless the source is merged already.
    #[default]
    Merge,
    /// Never: the target moves forward to the source, or nothing happens.
    FastForwardOnly,
    /// Only where the target cannot simply move forward.
    FastForwardPreferred,
}

/// A branch to merge into another.
pub struct MergeBranch {
    /// What is merged.
    pub source: MergeSource,
    /// The branch that moves.
    pub target: RefName,
    /// When a commit is made.
    pub strategy: MergeStrategy,
    /// Make one ordinary commit of all that the source has and the target has not.
    pub squash: bool,
    /// Merge histories that have nothing in common.
    pub allow_unrelated: bool,
    /// Where the target must be.
    pub expected_target: Option<ObjectId>,
    /// The message of the commit, as it is stored; only needed if one is made.
    pub message: Option<BString>,
    /// Who made the merge; only needed if a commit is made.
    pub author: Option<Signature>,
    /// Who commits it; the author if missing.
    pub committer: Option<Signature>,
    /// The most bytes that all merged texts may have together: they are in memory until they are stored.
    pub merged_bytes: u64,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who asked, for the reflog.
    pub who: String,
}

/// How far a merge goes.
#[derive(Clone, Debug)]
pub struct MergeBounds {
    /// The most bytes that all merged texts may have together.
    pub merged_bytes: u64,
    /// Says when nobody wants it any more.
    pub stop: Option<StopMerge>,
}

/// How a merge ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeKind {
    /// The target has it all already; it does not move.
    NoOp,
    /// The target moves forward to the source.
    FastForward,
    /// A commit follows both.
    MergeCommit,
    /// An ordinary commit has what the source changed.
    Squash,
}

/// A merge that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedBranch {
    /// How.
    pub kind: MergeKind,
    /// The commit that was merged.
    pub source: ObjectId,
    /// Where the target was.
    pub old: ObjectId,
    /// Where the target is.
    pub new: ObjectId,
    /// The tree it has there.
    pub tree: ObjectId,
    /// The best common ancestor, the newest if there are several.
    pub base: Option<ObjectId>,
    /// How many commits of the source the target did not have.
    pub promoted: u64,
}
