//! Branches: list, create, delete.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /repos/branches`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListBranchesQuery {
    /// `next_cursor` of the page before, or the `cursor` of any branch: the list goes on after it.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Branches per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
    /// Whether to list ephemeral branches instead.
    #[param(nullable = false)]
    pub ephemeral: Option<bool>,
}

/// Answer of `GET /repos/branches`, oldest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedBranches {
    /// One page.
    pub branches: Vec<BranchInfo>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// One branch.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BranchInfo {
    /// Pass it as `cursor` to go on after this branch.
    pub cursor: String,
    /// Short name.
    pub name: String,
    /// Commit it is at.
    pub head_sha: String,
    /// When it was created here, RFC 3339 in UTC.
    pub created_at: String,
}

/// Query of `GET /repos/branch`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct GetBranchQuery {
    /// Short name.
    pub name: String,
    /// Whether it is an ephemeral branch.
    #[param(nullable = false)]
    pub ephemeral: Option<bool>,
}

/// Answer of `GET /repos/branch`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FoundBranch {
    /// The branch.
    pub branch: BranchDetails,
}

/// One branch, outside of a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BranchDetails {
    /// Short name.
    pub name: String,
    /// Commit it is at.
    pub head_sha: String,
    /// When it was created here, RFC 3339 in UTC.
    pub created_at: String,
}

/// Body of `POST /repos/branches/create`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CreateBranch {
    /// Branch to start from. One of `base_branch` and `base_ref` is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<String>,
    /// Branch, tag, full ref or commit to start from; goes before `base_branch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ref: Option<String>,
    /// Short name of the branch to create or move forward.
    pub target_branch: String,
    /// Whether the base is an ephemeral branch.
    #[serde(default)]
    pub base_is_ephemeral: bool,
    /// Whether to create an ephemeral branch.
    #[serde(default)]
    pub target_is_ephemeral: bool,
    /// Whether a target that is not behind the base may be moved all the same.
    #[serde(default)]
    pub force: bool,
}

/// Answer of `POST /repos/branches/create`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CreatedBranch {
    /// For a person.
    pub message: String,
    /// Short name.
    pub target_branch: String,
    /// Whether it is ephemeral.
    pub target_is_ephemeral: bool,
    /// Commit it is at.
    pub commit_sha: String,
}

/// Body of `DELETE /repos/branches`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct DeleteBranch {
    /// Short name; also taken as `target_branch`.
    #[serde(alias = "target_branch")]
    pub name: String,
    /// Whether it is an ephemeral branch; also taken as `target_is_ephemeral`.
    #[serde(default, alias = "target_is_ephemeral")]
    pub ephemeral: bool,
}

/// Answer of `DELETE /repos/branches`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeletedBranch {
    /// Short name.
    pub name: String,
    /// The same again, under its newer name.
    #[serde(default)]
    #[schema(required = true)]
    pub target_branch: String,
    /// For a person.
    pub message: String,
    /// Whether it was ephemeral.
    #[serde(default)]
    #[schema(required = true)]
    pub ephemeral: bool,
}
