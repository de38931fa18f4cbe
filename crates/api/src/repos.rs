//! Repositories: create, describe, list, delete.

use crate::commit_pack::Person;
use crate::object::optional_object;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /repos`. The id of the new repository is the token's `repo` claim.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CreateRepo {
    /// Branch that HEAD names; `main` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub default_branch: Option<String>,
    /// Where the repository comes from.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub base_repo: Option<BaseRepo>,
    /// The one commit of a snapshot.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub initial_commit: Option<InitialCommit>,
}

/// The one commit of a repository that is a snapshot of another.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct InitialCommit {
    /// Message; a line that names the source if absent.
    #[serde(
        default,
        alias = "commit_message",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub message: Option<String>,
    /// Who wrote it; the server if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub author: Option<Person>,
    /// Who commits it; the author if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub committer: Option<Person>,
}

/// Query of `POST /repos`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct CreateRepoQuery {
    /// Branch that HEAD names, where the body does not say.
    #[param(nullable = false)]
    pub default_branch: Option<String>,
}

/// An upstream to follow or a repository to fork.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BaseRepo {
    /// `github`, `gitlab`, `bitbucket`, `gitea`, `forgejo`, `codeberg`, `sr.ht`, `git` for any other host, or `code` for
    /// a repository of this server.
    pub provider: String,
    /// Organisation or user there. For a repository of this server: the organisation of the token, or nothing.
    #[serde(default)]
    pub owner: String,
    /// Repository there.
    #[serde(default)]
    pub name: String,
    /// The host it is on, such as `git.example.com`, where that is not the provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub upstream_host: Option<String>,
    /// The whole URL, for `git`, in place of host, owner and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub url: Option<String>,
    /// Branch to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub default_branch: Option<String>,
    /// Of a repository of this server: `fork`, which is also meant if it is absent, or `snapshot`. Either has every object of
    /// its source: whoever can read it and knows the id of a commit can read that commit, whatever `ref` and `sha` say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub operation: Option<String>,
    /// Of a fork: the branch or tag to begin at. Without it and `sha`, the fork has every branch and tag.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub git_ref: Option<String>,
    /// Of a fork: the commit to begin at; counts more than `ref`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sha: Option<String>,
    /// What allows reading it.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub auth: Option<BaseRepoAuth>,
    /// Of an upstream: whether branches and tags that are written here go there as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub push_through: Option<bool>,
}

/// How to prove to an upstream who we are.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
pub struct BaseRepoAuth {
    /// `public`: not at all. `credential`: by the stored credential of the repository, once there is one.
    /// `github_app`: as the GitHub App that this server is set up with. `token`: by `token`, which is stored as the
    /// repository's credential. If absent: `token` if there is one, else `github_app` at GitHub and `credential` elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub auth_type: Option<String>,
    /// A token or password for the upstream; for a fork, a token for the repository that is forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token: Option<String>,
    /// The user that the token is of, where the host wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub username: Option<String>,
}

impl std::fmt::Debug for BaseRepoAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BaseRepoAuth")
            .field("auth_type", &self.auth_type)
            .finish_non_exhaustive()
    }
}

/// The upstream of a repository, in answers.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BaseRepoInfo {
    /// What kind of host it is on.
    pub provider: String,
    /// Organisation or user there.
    pub owner: String,
    /// Repository there.
    pub name: String,
    /// Where Git fetches it.
    pub url: String,
    /// Whether branches and tags that are written here go there as well.
    pub push_through: bool,
}

/// How the syncs of a repository with its upstream went.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct SyncInfo {
    /// `pending` until the first sync is done, then `ok`, or `failed` if the last one failed.
    pub status: SyncStatus,
    /// Syncs that were begun.
    pub run_count: i64,
    /// When the last one began, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub started_at: Option<String>,
    /// When one last succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub succeeded_at: Option<String>,
    /// Why the last one failed, or what it had to leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// How it is with what goes to the upstream of a repository.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct PushInfo {
    /// `pending` while branches or tags were written that the upstream does not have yet, `failed` if some of them could
    /// not go there, else `ok`.
    pub status: SyncStatus,
    /// When they last went there, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pushed_at: Option<String>,
    /// Why some of them could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// How something with an upstream goes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// It is not done yet.
    Pending,
    /// The last one succeeded.
    Ok,
    /// The last one failed.
    Failed,
}

/// Body of `POST /repos/pull-upstream`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct PullUpstream {
    /// The branch or tag to sync alone: a short branch name or a full ref name.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ref_name: Option<String>,
}

/// Body of `PATCH /repos/base`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct ChangeBase {
    /// Whether branches and tags that are written here go to the upstream as well.
    pub push_through: bool,
}

/// Answer of `POST /repos/pull-upstream` (202), and of `PATCH` and `DELETE /repos/base`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct UpstreamMessage {
    /// Id of the repository.
    pub repo_id: String,
    /// For a person.
    pub message: String,
}

/// Answer of `POST /repos`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CreatedRepo {
    /// Id of the new repository.
    pub repo_id: String,
    /// The id again, under its newer name.
    pub repo_name: String,
    /// Where Git clones it; no credentials in it.
    pub http_url: String,
    /// For a person.
    pub message: String,
}

/// Answer of `GET /repo`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RepoDetails {
    /// Id of the repository.
    #[serde(default)]
    #[schema(required = true)]
    pub repo_id: String,
    /// The id again, under its newer name.
    #[serde(default)]
    #[schema(required = true)]
    pub repo_name: String,
    /// Branch that HEAD names.
    pub default_branch: String,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// The upstream it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub base_repo: Option<BaseRepoInfo>,
    /// How its syncs went, if it follows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sync: Option<SyncInfo>,
    /// How it is with what goes there, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub push: Option<PushInfo>,
}

/// Query of `GET /repos`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListReposQuery {
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Repositories per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
    /// Part of the id, in any case.
    #[param(nullable = false)]
    pub q: Option<String>,
}

/// Answer of `GET /repos`, by id.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedRepos {
    /// One page.
    pub repos: Vec<RepoInfo>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// One repository of a list.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RepoInfo {
    /// Id of the repository.
    pub repo_id: String,
    /// Its path under the server: the id again.
    pub url: String,
    /// The id again, under its newer name.
    #[serde(default)]
    #[schema(required = true)]
    pub repo_name: String,
    /// Branch that HEAD names.
    pub default_branch: String,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// The upstream it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub base_repo: Option<BaseRepoInfo>,
}

/// Answer of `DELETE /repos/delete`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeletedRepo {
    /// Id of the repository.
    pub repo_id: String,
    /// For a person.
    pub message: String,
}
