//! `/repos/git-credentials`: what proves to an upstream who we are. Stored sealed, never shown.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use http::StatusCode;
use packhouse_api::{
    CreateGitCredential, DeleteGitCredential, DeletedGitCredential, ErrorBody, ErrorCode,
    GitCredentialInfo, GitCredentialLogin, UpdateGitCredential,
};
use packhouse_catalog::{CredentialRow, RepoId};
use packhouse_repo::RefChange;

use super::input::{read_json, shown};
use super::time;
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::upstream::{sync_job, uses_credential};

/// Longest user or password.
const MAX_SECRET_BYTES: usize = 16 << 10;
/// What tokens name that are for no repository in particular.
const ORG: &str = "org";

/// Stores the credential for the upstream of the repository that the token names.
#[utoipa::path(
    post, path = "/api/v1/repos/git-credentials", operation_id = "create_git_credential", tag = "upstreams", request_body = CreateGitCredential,
    responses(
        (status = 201, body = GitCredentialInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<GitCredentialInfo>), ApiError> {
    caller.need(Scope::RepoWrite)?;
    begins_sync(&caller)?;
    let request: CreateGitCredential = read_json(body, state.limits.json_bytes).await?;
    let name = caller.repo()?;
    if !request.repo_id.is_empty() && request.repo_id != name {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            format!(
                "the token is for another repository than `{}`",
                shown(&request.repo_id)
            ),
        ));
    }
    check(request.username.as_deref(), &request.password)?;
    let catalog = state.hosted.catalog();
    let row = catalog.repo(caller.org(), name).await?.ok_or_else(|| {
        ApiError::new(
            ErrorCode::RepositoryNotFound,
            format!("repository `{name}` not found"),
        )
    })?;
    let now_ms = state.jobs.now_ms();
    let credential = state.upstreams.seal(
        uuid::Uuid::new_v4().to_string(),
        (row.org, row.id),
        request.username,
        request.password,
    )?;
    let id = credential.id.clone();
    let audited = catalog.audited(caller.audit_entry("git_credential.create", &id));
    if !audited.create_credential(credential, now_ms).await? {
        return Err(ApiError::new(
            ErrorCode::CredentialExists,
            format!("repository `{name}` has a credential already; replace it, or delete it first"),
        ));
    }
    sync_again(&state, &caller, row.id).await?;
    let created_at = time::rfc3339(now_ms / 1000);
    Ok((
        StatusCode::CREATED,
        Json(GitCredentialInfo { id, created_at }),
    ))
}

/// Replaces a credential.
#[utoipa::path(
    put, path = "/api/v1/repos/git-credentials", operation_id = "update_git_credential", tag = "upstreams", request_body = UpdateGitCredential,
    responses(
        (status = 200, body = GitCredentialInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
    )
)]
pub(crate) async fn update(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<GitCredentialInfo>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    let request: UpdateGitCredential = read_json(body, state.limits.json_bytes).await?;
    replace(&state, &caller, request).await
}

/// Replaces the credential that the path names.
#[utoipa::path(
    put, path = "/api/repos/{repo}/git-credentials/{id}", operation_id = "update_named_git_credential",
    tag = "upstreams", request_body = GitCredentialLogin,
    params(
        ("repo" = String, Path, description = "The repository that the token names."),
        ("id" = String, Path, description = "Id of the credential."),
    ),
    responses(
        (status = 200, body = GitCredentialInfo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 412, body = ErrorBody),
    )
)]
pub(crate) async fn update_named(
    State(state): State<AppState>,
    caller: Caller,
    params: RawPathParams,
    body: Body,
) -> Result<Json<GitCredentialInfo>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    let GitCredentialLogin { password, username } =
        read_json(body, state.limits.json_bytes).await?;
    let id = named_id(&params)?;
    let request = UpdateGitCredential {
        id,
        password,
        username,
    };
    replace(&state, &caller, request).await
}

async fn replace(
    state: &AppState,
    caller: &Caller,
    request: UpdateGitCredential,
) -> Result<Json<GitCredentialInfo>, ApiError> {
    begins_sync(caller)?;
    check(request.username.as_deref(), &request.password)?;
    let found = find(state, caller, &request.id).await?;
    let (org, repo) = (found.credential.org, found.credential.repo);
    let sealed = state.upstreams.seal(
        request.id.clone(),
        (org, repo),
        request.username,
        request.password,
    )?;
    let entry = caller.audit_entry("git_credential.update", &request.id);
    let catalog = state.hosted.catalog().audited(entry);
    if !catalog
        .update_credential(sealed, state.jobs.now_ms())
        .await?
    {
        return Err(not_found(&request.id));
    }
    sync_again(state, caller, repo).await?;
    Ok(Json(GitCredentialInfo {
        id: request.id,
        created_at: time::rfc3339(found.created_at_ms / 1000),
    }))
}

/// Forgets a credential.
#[utoipa::path(
    delete, path = "/api/v1/repos/git-credentials", operation_id = "delete_git_credential", tag = "upstreams", request_body = DeleteGitCredential,
    responses(
        (status = 200, body = DeletedGitCredential), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<DeletedGitCredential>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    let request: DeleteGitCredential = read_json(body, state.limits.json_bytes).await?;
    forget(&state, &caller, request.id).await
}

/// Forgets the credential that the path names.
#[utoipa::path(
    delete, path = "/api/repos/{repo}/git-credentials/{id}", operation_id = "delete_named_git_credential",
    tag = "upstreams",
    params(
        ("repo" = String, Path, description = "The repository that the token names."),
        ("id" = String, Path, description = "Id of the credential."),
    ),
    responses(
        (status = 200, body = DeletedGitCredential), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn delete_named(
    State(state): State<AppState>,
    caller: Caller,
    params: RawPathParams,
) -> Result<Json<DeletedGitCredential>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    let id = named_id(&params)?;
    forget(&state, &caller, id).await
}

/// The credential's id in the path.
fn named_id(params: &RawPathParams) -> Result<String, ApiError> {
    let id = params.iter().find(|(key, _)| *key == "id");
    let (_, id) = id.ok_or_else(|| ApiError::internal("a route without the id of a credential"))?;
    Ok(id.to_owned())
}

async fn forget(
    state: &AppState,
    caller: &Caller,
    id: String,
) -> Result<Json<DeletedGitCredential>, ApiError> {
    let found = find(state, caller, &id).await?;
    let entry = caller.audit_entry("git_credential.delete", &id);
    let catalog = state.hosted.catalog().audited(entry);
    if !catalog.delete_credential(found.credential.repo).await? {
        return Err(not_found(&id));
    }
    Ok(Json(DeletedGitCredential {
        id,
        message: "credential deleted".to_owned(),
    }))
}

/// Refuses who may not have refs moved to where an upstream has them.
fn begins_sync(caller: &Caller) -> Result<(), ApiError> {
    caller.may_change_all_refs(RefChange::Force)
}

/// The credential of that id, if the token is for its organisation and for no other repository than its own.
async fn find(state: &AppState, caller: &Caller, id: &str) -> Result<CredentialRow, ApiError> {
    let catalog = state.hosted.catalog();
    let found = catalog
        .credential(id)
        .await?
        .filter(|row| row.credential.org == caller.org())
        .ok_or_else(|| not_found(id))?;
    let row = catalog.repo_by_id(found.credential.repo).await?;
    let row = row.filter(|row| row.deleted_at_ms.is_none());
    let row = row.ok_or_else(|| not_found(id))?;
    match caller.repo() {
        Ok(name) if name != ORG && name != row.name => Err(not_found(id)),
        _ => Ok(found),
    }
}

/// A repository that waits for its credential syncs as soon as it has a new one.
async fn sync_again(state: &AppState, caller: &Caller, repo: RepoId) -> Result<(), ApiError> {
    let upstream = state.hosted.catalog().upstream(repo).await?;
    if upstream.is_some_and(|row| uses_credential(&row)) {
        let job = sync_job(caller.org(), repo, None, state.jobs.now_ms());
        state.jobs.enqueue(job).await?;
    }
    Ok(())
}

fn not_found(id: &str) -> ApiError {
    ApiError::new(
        ErrorCode::CredentialNotFound,
        format!("no credential `{}`", shown(id)),
    )
}

/// Refuses what could not be sent to an upstream.
pub(super) fn check(username: Option<&str>, password: &str) -> Result<(), ApiError> {
    for (field, text) in [
        ("username", username.unwrap_or("x")),
        ("password", password),
    ] {
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > MAX_SECRET_BYTES {
            "is too long"
        } else if text.contains(|c: char| c.is_control()) {
            "has control characters in it"
        } else if field == "username" && text.contains(':') {
            "has a colon in it"
        } else {
            continue;
        };
        return Err(ApiError::invalid(format!("`{field}` {problem}")));
    }
    Ok(())
}
