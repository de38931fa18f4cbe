//! Commits made again on another branch (cherry-pick), or undone on it (revert).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::commit_pack::Person;
use crate::merge::MergeTarget;
use crate::object::optional_object;

/// Body of `POST /repos/cherry-pick` and `POST /repos/revert`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct ReplayCommits {
    /// Branch that moves, short name.
    pub target_branch: String,
    /// Whether the target is an ephemeral branch.
    #[serde(default)]
    pub target_is_ephemeral: bool,
    /// Commit, or any revision. One of `commit` and `range` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `A..B`: the commits that revision B reaches and A does not. Picked oldest first, reverted newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Whether the names in `commit` and `range` are those of ephemeral branches.
    #[serde(default)]
    pub source_is_ephemeral: bool,
    /// Parent that a merge is compared with, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mainline: Option<u32>,
    /// Whether a commit is made also where nothing is left to change.
    #[serde(default)]
    pub allow_empty: bool,
    /// Whether the message names the picked commit at its end.
    #[serde(default)]
    pub record_origin: bool,
    /// Commit that the target must be at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_target_sha: Option<String>,
    /// Message, for one commit only. If absent: that of the picked commit, or one that names the reverted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_message: Option<String>,
    /// Who wrote the change. If absent: the author of the picked commit; a revert needs one.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub author: Option<Person>,
    /// Who commits it; the author if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub committer: Option<Person>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayResult {
    /// Commits were made.
    Committed,
    /// Nothing was left to change; the target did not move.
    NoOp,
}

/// What became of one commit.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayedResult {
    /// A commit was made for it.
    Committed,
    /// Nothing was left to change.
    Empty,
}

/// Answer of `POST /repos/cherry-pick` and `POST /repos/revert`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ReplayedCommits {
    /// How it ended.
    pub result: ReplayResult,
    /// Commit that the target is at now.
    pub commit_sha: String,
    /// Id of its tree.
    pub tree_sha: String,
    /// The branch.
    pub target: MergeTarget,
    /// What became of each commit, in the order they were taken.
    pub commits: Vec<ReplayedCommit>,
}

/// One commit that was picked or reverted.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ReplayedCommit {
    /// Its id.
    pub source_sha: String,
    /// Commit that was made for it; absent if nothing was left to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub commit_sha: Option<String>,
    /// What became of it.
    pub result: ReplayedResult,
}
