//! Merging one branch into another, and what that would come to.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::commit_pack::Person;
use crate::error::{ErrorBody, ErrorCode};
use crate::object::optional_object;

/// Body of `POST /repos/merge`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct MergeBranches {
    /// Branch to merge, short name. One of `source_branch` and `source_ref` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_branch: Option<String>,
    /// Branch, tag, full ref or commit to merge; goes before `source_branch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<String>,
    /// Whether the source is an ephemeral branch.
    #[serde(default)]
    pub source_is_ephemeral: bool,
    /// Branch that moves, short name.
    pub target_branch: String,
    /// Whether the target is an ephemeral branch.
    #[serde(default)]
    pub target_is_ephemeral: bool,
    /// When a commit is made.
    #[serde(default)]
    pub strategy: MergeStrategy,
    /// Make one ordinary commit of all that the source has and the target has not. Not with `ff_only`.
    #[serde(default)]
    pub squash: bool,
    /// Commit that the target must be at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_target_sha: Option<String>,
    /// Message of the commit; only needed if one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_message: Option<String>,
    /// Who made the merge; only needed if a commit is made.
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
    /// Whether histories that have nothing in common are merged.
    #[serde(default)]
    pub allow_unrelated_histories: bool,
}

/// When a merge makes a commit.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeStrategy {
    /// Always, unless the source is merged already.
    #[default]
    Merge,
    /// Never: the target moves forward to the source, or nothing happens.
    FfOnly,
    /// Only where the target cannot simply move forward.
    FfPrefer,
}

/// How a merge ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeResult {
    /// A commit follows both.
    MergeCommit,
    /// The target moved forward to the source.
    FastForward,
    /// The target had it all already.
    NoOp,
    /// An ordinary commit has what the source changed.
    Squash,
}

/// Answer of `POST /repos/merge`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MergedBranches {
    /// How it ended.
    pub result: MergeResult,
    /// Commit that the target is at now.
    pub commit_sha: String,
    /// Id of its tree.
    pub tree_sha: String,
    /// What was merged.
    pub source: MergeSource,
    /// What it was merged into.
    pub target: MergeTarget,
    /// How many commits of the source the target did not have.
    pub promoted_commits: u64,
    /// Best common ancestor, the newest if there are several; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merge_base_sha: Option<String>,
}

/// What was merged.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MergeSource {
    /// As the request named it.
    pub branch: String,
    /// The same again.
    #[serde(default)]
    #[schema(required = true)]
    #[serde(rename = "ref")]
    pub rev: String,
    /// Whether it is an ephemeral branch.
    pub ephemeral: bool,
    /// Commit it was at.
    pub sha: String,
}

/// What something was merged into.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MergeTarget {
    /// Short name.
    pub branch: String,
    /// Whether it is an ephemeral branch.
    pub ephemeral: bool,
    /// Where it was.
    pub old_sha: String,
    /// Where it is.
    pub new_sha: String,
}

/// Body of a merge that failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct MergeErrorBody {
    /// What failed, for a person.
    pub error: String,
    /// The same text again.
    pub message: String,
    /// What failed, for a program: a word of the error table.
    pub code: String,
    /// Paths in conflict, in their order; empty if it failed for another reason.
    pub conflict_paths: Vec<String>,
    /// Best common ancestor, the newest if there are several; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merge_base_sha: Option<String>,
    /// Commit whose change is in conflict; only of cherry-picks and reverts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conflict_commit_sha: Option<String>,
}

impl MergeErrorBody {
    /// The body for `code` with `message` in both text fields.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> MergeErrorBody {
        let ErrorBody {
            error,
            message,
            code,
        } = ErrorBody::new(code, message);
        MergeErrorBody {
            error,
            message,
            code,
            conflict_paths: Vec::new(),
            merge_base_sha: None,
            conflict_commit_sha: None,
        }
    }
}

/// Query of `GET /repos/merge/preview`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct PreviewMergeQuery {
    /// Branch that would be merged, short name. One of `source_branch` and `source_ref` is needed.
    #[param(nullable = false)]
    pub source_branch: Option<String>,
    /// Branch, tag, full ref or commit that would be merged; goes before `source_branch`.
    #[param(nullable = false)]
    pub source_ref: Option<String>,
    /// Whether the source is an ephemeral branch.
    #[param(nullable = false)]
    pub source_is_ephemeral: Option<bool>,
    /// Branch that would move, short name.
    pub target_branch: String,
    /// Whether the target is an ephemeral branch.
    #[param(nullable = false)]
    pub target_is_ephemeral: Option<bool>,
    /// Whether the contents of conflicts are wanted.
    #[param(nullable = false)]
    pub include_content: Option<bool>,
}

/// Answer of `GET /repos/merge/preview`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MergePreview {
    /// Whether anything is in conflict.
    pub status: MergePreviewStatus,
    /// How the merge would end; `merge_commit` also where it is in conflict.
    pub result: MergeResult,
    /// As the request named it.
    pub source_branch: String,
    /// Short name.
    pub target_branch: String,
    /// Commit that would be merged.
    pub source_tip_sha: String,
    /// Where the target is.
    pub target_tip_sha: String,
    /// Best common ancestor, the newest if there are several; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merge_base_sha: Option<String>,
    /// Every path in conflict, in their order.
    pub conflict_paths: Vec<String>,
    /// What is in conflict, as far as it is shown.
    pub conflicts: Vec<MergeConflict>,
    /// Paths in conflict that are not shown, and why.
    pub filtered_conflicts: Vec<FilteredConflict>,
}

/// Whether a merge is clean.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergePreviewStatus {
    /// Nothing is in conflict.
    Clean,
    /// Something is.
    Conflicted,
}

/// One path in conflict.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MergeConflict {
    /// Where it is in the merged tree.
    pub path: String,
    /// What kind of conflict: `content`, `add/add`, `modify/delete`, `rename/rename` and so on.
    #[serde(default)]
    #[schema(required = true)]
    pub kind: String,
    /// What stands there: a text with conflict marks, or the file of one side.
    pub result: MergeSide,
    /// What it was.
    pub base: MergeSide,
    /// What the target made of it.
    pub ours: MergeSide,
    /// What the source made of it.
    pub theirs: MergeSide,
}

/// A file of a conflict.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct MergeSide {
    /// Id of its blob (of its commit, for a submodule); absent if there is no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub oid: Option<String>,
    /// Its text, if it was asked for and it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub content: Option<String>,
    /// Whether `content` lacks the end of the text.
    pub truncated: bool,
    /// Whether it is no text.
    pub binary: bool,
}

/// A path in conflict that is not shown.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FilteredConflict {
    /// Where it is.
    pub path: String,
    /// Why: `max_conflict_files_exceeded` or `max_content_bytes_exceeded`.
    pub reason: String,
}
