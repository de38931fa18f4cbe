//! Commits: list, describe.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /repos/commits`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListCommitsQuery {
    /// Branch, tag or commit to start at; the default branch if absent. Also taken as `ref`.
    #[param(nullable = false)]
    #[serde(alias = "ref")]
    pub branch: Option<String>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Commits per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
    /// Whether `branch` is an ephemeral branch. Also taken as `ref_is_ephemeral`.
    #[param(nullable = false)]
    #[serde(alias = "ref_is_ephemeral")]
    pub ephemeral: Option<bool>,
    /// Only commits that change this file or folder.
    #[param(nullable = false)]
    pub path: Option<String>,
}

/// Answer of `GET /repos/commits`, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedCommits {
    /// One page.
    pub commits: Vec<CommitInfo>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// One commit.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CommitInfo {
    /// Its id.
    pub sha: String,
    /// Ids of its parents, first parent first.
    pub parent_shas: Vec<String>,
    /// Message without the newline at its end.
    pub message: String,
    /// Who wrote it.
    pub author_name: String,
    /// Address of who wrote it.
    pub author_email: String,
    /// Who committed it.
    pub committer_name: String,
    /// Address of who committed it.
    pub committer_email: String,
    /// When it was committed, RFC 3339 in UTC with whole seconds.
    pub date: String,
    /// The signature, of a signed commit only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub signature: Option<String>,
    /// What was signed, of a signed commit only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub payload: Option<String>,
}

/// Query of `GET /repos/commit`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct GetCommitQuery {
    /// Branch, tag, commit or abbreviated commit; steps from it as in `main~2` or `v1^2`. Also taken as `ref`.
    #[serde(alias = "ref")]
    pub sha: String,
}

/// Answer of `GET /repos/commit`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FoundCommit {
    /// The commit.
    pub commit: CommitInfo,
}
