//! Where each resource lives.
//!
//! The token's `repo` claim names the repository of a call. Version 1 does not name it again; the newer paths below
//! `/api/repos/{repo}` do, and [`of_named_repo`] says which they are.

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
/// Describe one branch (`GET`).
pub const BRANCH: &str = "/api/v1/repos/branch";
/// Create or promote a branch (`POST`).
pub const CREATE_BRANCH: &str = "/api/v1/repos/branches/create";
/// List (`GET`), create (`POST`) and delete (`DELETE`) tags.
pub const TAGS: &str = "/api/v1/repos/tags";
/// Describe one tag (`GET`).
pub const TAG: &str = "/api/v1/repos/tag";
/// Read (`GET`), write (`POST`) and delete (`DELETE`) a note.
pub const NOTES: &str = "/api/v1/repos/notes";
/// List the refs that hold notes (`GET`).
pub const NOTES_REFS: &str = "/api/v1/repos/notes/refs";
/// List commits (`GET`).
pub const COMMITS: &str = "/api/v1/repos/commits";
/// Describe one commit (`GET`).
pub const COMMIT: &str = "/api/v1/repos/commit";
/// What a branch changes (`GET`).
pub const BRANCH_DIFF: &str = "/api/v1/repos/branches/diff";
/// What a commit changes (`GET`).
pub const DIFF: &str = "/api/v1/repos/diff";
/// Tell which commit each line of a file came from (`GET`).
pub const BLAME: &str = "/api/v1/repos/blame";
/// Commit files sent as newline-delimited JSON (`POST`).
pub const COMMIT_PACK: &str = "/api/v1/repos/commit-pack";
/// Have a repository fetch what is new in its upstream (`POST`).
pub const PULL_UPSTREAM: &str = "/api/v1/repos/pull-upstream";
/// Change how a repository follows its upstream (`PATCH`), and detach it (`DELETE`).
pub const BASE: &str = "/api/v1/repos/base";
/// Store (`POST`), replace (`PUT`) and forget (`DELETE`) a credential for an upstream.
pub const GIT_CREDENTIALS: &str = "/api/v1/repos/git-credentials";
/// List the jobs of an organisation (`GET`).
pub const JOBS: &str = "/api/v1/jobs";
/// List the jobs of one repository (`GET`).
pub const REPO_JOBS: &str = "/api/v1/repos/jobs";
/// What was done in an organisation (`GET`).
pub const AUDIT: &str = "/api/v1/audit";
/// What was done to one repository (`GET`).
pub const REPO_AUDIT: &str = "/api/v1/repos/audit";
/// Register a key for SSH (`POST`) and list them (`GET`).
pub const SSH_KEYS: &str = "/api/v1/ssh-keys";
/// Revoke one such key (`DELETE`).
pub const SSH_KEY: &str = "/api/v1/ssh-keys/{fingerprint}";
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
/// Describe (`GET`) and delete (`DELETE`) one repository that the path names.
pub const NAMED_REPO: &str = "/api/repos/{repo}";
/// Replace (`PUT`) and forget (`DELETE`) the credential that the path names.
pub const NAMED_GIT_CREDENTIAL: &str = "/api/repos/{repo}/git-credentials/{id}";
/// Delete one tag that the path names (`DELETE`).
pub const NAMED_TAG: &str = "/api/repos/{repo}/tags/{name}";

/// The path of the same resource where the path names the repository, as SDKs from 1.18 on ask for it. `None` for paths
/// that have no such form. The repository's name is one segment of it, with `/` as `%2F`.
///
/// ```
/// use packhouse_api::paths;
///
/// assert_eq!(paths::of_named_repo(paths::FILE).as_deref(), Some("/api/repos/{repo}/file"));
/// assert_eq!(paths::of_named_repo(paths::OPENAPI), None);
/// ```
pub fn of_named_repo(path: &str) -> Option<String> {
    match path {
        REPOS => Some("/api/repos".to_owned()),
        // The name alone is the path.
        DELETE_REPO => None,
        _ => {
            let resource = path.strip_prefix(REPOS)?.strip_prefix('/')?;
            Some(format!("{NAMED_REPO}/{resource}"))
        }
    }
}
