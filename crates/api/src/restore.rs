//! `POST /repos/restore-commit`: one commit that brings back the files of another.

use crate::commit_pack::Person;
use crate::object::{object, optional_object};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body: one JSON object, sent as JSON or as the only line of newline-delimited JSON.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RestoreCommit {
    /// What to restore, and where.
    #[serde(deserialize_with = "object")]
    pub metadata: RestoreMetadata,
}

/// What to restore, and where.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct RestoreMetadata {
    /// Branch to move, short name.
    pub target_branch: String,
    /// Commit whose files the branch gets: its id, or any other revision.
    #[serde(alias = "base_ref")]
    pub target_commit_sha: String,
    /// Message of the commit; one that names the restored commit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_message: Option<String>,
    /// Who wrote it.
    #[serde(deserialize_with = "object")]
    pub author: Person,
    /// Who commits it; the author if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub committer: Option<Person>,
    /// Commit that the branch must be at.
    #[serde(
        default,
        alias = "expected_target_sha",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_head_sha: Option<String>,
    /// Whether the branch, and a branch that names the commit, is an ephemeral one.
    #[serde(default, alias = "target_is_ephemeral")]
    pub ephemeral: bool,
}
