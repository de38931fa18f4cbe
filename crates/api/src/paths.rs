//! Where each resource lives. A repository is never named in a path of the API: the token's `repo` claim names it.

/// Prefix of version 1 of the API.
pub const V1: &str = "/api/v1";
/// Create (`POST`) and list (`GET`) repositories.
pub const REPOS: &str = "/api/v1/repos";
/// Describe one repository (`GET`).
pub const REPO: &str = "/api/v1/repo";
/// Delete one repository (`DELETE`).
pub const DELETE_REPO: &str = "/api/v1/repos/delete";
/// Read one file (`GET`, `HEAD`).
pub const FILE: &str = "/api/v1/repos/file";
/// List files (`GET`).
pub const FILES: &str = "/api/v1/repos/files";
/// List files with the commit that changed each last (`GET`).
pub const FILES_METADATA: &str = "/api/v1/repos/files/metadata";
/// Search the files of a commit (`POST`).
pub const GREP: &str = "/api/v1/repos/grep";
/// Get the files of a commit in one file (`POST`).
pub const ARCHIVE: &str = "/api/v1/repos/archive";
/// List (`GET`) and delete (`DELETE`) branches.
pub const BRANCHES: &str = "/api/v1/repos/branches";
/// Create or promote a branch (`POST`).
pub const CREATE_BRANCH: &str = "/api/v1/repos/branches/create";
/// List commits (`GET`).
pub const COMMITS: &str = "/api/v1/repos/commits";
/// Describe one commit (`GET`).
pub const COMMIT: &str = "/api/v1/repos/commit";
/// What a branch changes (`GET`).
pub const BRANCH_DIFF: &str = "/api/v1/repos/branches/diff";
/// What a commit changes (`GET`).
pub const DIFF: &str = "/api/v1/repos/diff";
/// Commit files sent as newline-delimited JSON (`POST`).
pub const COMMIT_PACK: &str = "/api/v1/repos/commit-pack";
/// Have a repository fetch what is new in its upstream (`POST`).
pub const PULL_UPSTREAM: &str = "/api/v1/repos/pull-upstream";
/// Detach a repository from its upstream (`DELETE`).
pub const BASE: &str = "/api/v1/repos/base";
/// Store (`POST`), replace (`PUT`) and forget (`DELETE`) a credential for an upstream.
pub const GIT_CREDENTIALS: &str = "/api/v1/repos/git-credentials";
/// List the jobs of an organisation (`GET`).
pub const JOBS: &str = "/api/v1/jobs";
/// List the jobs of one repository (`GET`).
pub const REPO_JOBS: &str = "/api/v1/repos/jobs";
/// Subscribe to events (`POST`) and list subscriptions (`GET`).
pub const WEBHOOKS: &str = "/api/v1/webhooks";
/// Describe (`GET`) and delete (`DELETE`) one subscription.
pub const WEBHOOK: &str = "/api/v1/webhooks/{id}";
/// What was delivered to one subscription (`GET`).
pub const DELIVERIES: &str = "/api/v1/webhooks/{id}/deliveries";
/// Deliver one event again (`POST`).
pub const REDELIVER: &str = "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver";
/// Deliver everything after an event again (`POST`).
pub const REPLAY: &str = "/api/v1/webhooks/{id}/replay";
/// Events as they happen (`GET`, server-sent events).
pub const EVENTS: &str = "/api/v1/events";
/// Commit a diff sent as newline-delimited JSON (`POST`).
pub const DIFF_COMMIT: &str = "/api/v1/repos/diff-commit";
/// Commit the files of an earlier commit (`POST`).
pub const RESTORE_COMMIT: &str = "/api/v1/repos/restore-commit";
/// Merge a branch into another (`POST`).
pub const MERGE: &str = "/api/v1/repos/merge";
/// What a merge would come to (`GET`).
pub const MERGE_PREVIEW: &str = "/api/v1/repos/merge/preview";
/// Make commits again on another branch (`POST`).
pub const CHERRY_PICK: &str = "/api/v1/repos/cherry-pick";
/// Undo commits (`POST`).
pub const REVERT: &str = "/api/v1/repos/revert";
/// The OpenAPI document of this API (`GET`, no token needed).
pub const OPENAPI: &str = "/api/openapi.json";
