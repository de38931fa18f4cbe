//! What is asked of a cherry-pick or a revert, and what came of it.

use std::sync::Arc;

use packhouse_object::{BString, ObjectId, RefName, Signature};

use crate::receive::RefPolicy;
use crate::view::Namespace;

/// What is done with the commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayKind {
    /// What they changed is changed on the target too.
    CherryPick,
    /// What they changed is undone on the target.
    Revert,
}

/// Which commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayCommits {
    /// The one that a revision names.
    One(String),
    /// Those that `to` reaches and `from` does not.
    Range {
        /// A revision.
        from: String,
        /// A revision.
        to: String,
    },
}

/// Commits to make again, or to undo.
pub struct Replay {
    /// What is done.
    pub kind: ReplayKind,
    /// With which commits. A range is picked oldest first and reverted newest first.
    pub commits: ReplayCommits,
    /// Where their names are looked up.
    pub namespace: Namespace,
    /// The branch that moves.
    pub target: RefName,
    /// Which parent a merge is compared with, counted from 1.
    pub mainline: Option<u32>,
    /// Make a commit also where nothing is left to change.
    pub allow_empty: bool,
    /// Name the picked commit at the end of the message.
    pub record_origin: bool,
    /// Where the target must be.
    pub expected_target: Option<ObjectId>,
    /// The message, as it is stored; for one commit only. If missing: that of the picked commit, or one that names the
    /// reverted commit.
    pub message: Option<BString>,
    /// Who wrote the change. If missing: the author of the picked commit; a revert needs one.
    pub author: Option<Signature>,
    /// Who commits it; if missing, the given author, or the author of the picked commit, at the time of `now`.
    pub committer: Option<Signature>,
    /// Seconds since the epoch: when commits are made whose committer is taken from the picked commit.
    pub now: i64,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// The most bytes that all merged texts may have together: they are in memory until they are stored.
    pub merged_bytes: u64,
    /// Who asked, for the reflog.
    pub who: String,
}

/// Commits that were made again, or undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Where the target was.
    pub old: ObjectId,
    /// Where it is; the same, if nothing was left to change.
    pub new: ObjectId,
    /// The tree it has there.
    pub tree: ObjectId,
    /// The commits, in the order they were taken.
    pub commits: Vec<ReplayedCommit>,
}

/// What became of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayedCommit {
    /// The commit that was picked or reverted.
    pub source: ObjectId,
    /// The commit that was made; `None`: nothing was left to change.
    pub made: Option<ObjectId>,
}
