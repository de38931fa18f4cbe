//! `base_repo`, `/repos/pull-upstream` and `/repos/base`: following a repository elsewhere.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use packhouse_api::{
    BaseRepo, BaseRepoInfo, ChangeBase, ErrorBody, ErrorCode, PullUpstream, PushInfo, SyncInfo,
    SyncStatus, UpstreamMessage,
};
use packhouse_catalog::{
    CreateRepoError, FirstSync, NewAuditEntry, NewUpstream, RepoRow, UpstreamRow,
};
use packhouse_object::RefName;
use packhouse_repo::RefChange;
use serde_json::json;

use super::git_credentials;
use super::input::{parse_json, read_body, read_json, shown};
use super::time;
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::upstream::{Auth, PlaceError, SYNC, place_of, sync_job};

/// Creates the repository `id` as one that follows `base`.
pub(super) async fn create(
    state: &AppState,
    caller: &Caller,
    id: &str,
    default_branch: &str,
    base: &BaseRepo,
) -> Result<(), ApiError> {
    let upstreams = &state.upstreams;
    let place = place_of(base, upstreams.options(), upstreams.egress()).map_err(refused)?;
    let given = base.auth.clone().unwrap_or_default();
    let login = match (place.auth, given.token) {
        (Auth::Token, Some(token)) => {
            git_credentials::check(given.username.as_deref(), &token)?;
            Some((uuid::Uuid::new_v4().to_string(), given.username, token))
        }
        _ => None,
    };
    let upstream = NewUpstream {
        provider: place.provider,
        owner: place.owner,
        name: place.name,
        url: place.url,
        auth: place.auth.as_str().to_owned(),
        follow_head: base.default_branch.is_none(),
        push_through: base.push_through == Some(true),
    };
    let now_ms = state.jobs.now_ms();
    let org = caller.org();
    if login.is_some() && upstreams.options().keys.is_none() {
        return Err(crate::upstream::CredentialError::NoKey.into());
    }
    let first = |repo| FirstSync {
        job: sync_job(org, repo, None, now_ms),
        credential: login.map(|(id, user, password)| {
            upstreams
                .seal(id, (org, repo), user, password)
                .expect("that there is a key was checked")
        }),
    };
    let detail = json!({
        "default_branch": default_branch, "provider": upstream.provider, "url": upstream.url, "auth": upstream.auth,
    });
    let entry = NewAuditEntry {
        detail: Some(detail.to_string()),
        ..caller.audit_entry("repo.create", id)
    };
    let catalog = state.hosted.catalog().audited(entry);
    let created = catalog
        .create_following(org, id, default_branch, upstream, first)
        .await;
    created.map_err(|error| match error {
        CreateRepoError::Exists { .. } => ApiError::new(
            ErrorCode::RepositoryExists,
            format!("repository `{id}` already exists"),
        ),
        error => ApiError::failed(&error),
    })?;
    state.jobs.wake();
    Ok(())
}

fn refused(error: PlaceError) -> ApiError {
    let code = match error {
        PlaceError::Invalid(_) => ErrorCode::Invalid,
        PlaceError::NoGitHubApp => ErrorCode::NotConfigured,
    };
    ApiError::new(code, error.to_string())
}

/// Has the repository that the token names fetch what is new in its upstream. It is done afterwards, in the background.
#[utoipa::path(
    post, path = "/api/v1/repos/pull-upstream", operation_id = "pull_upstream", tag = "upstreams", request_body = Option<PullUpstream>,
    responses(
        (status = 202, body = UpstreamMessage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn pull(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<UpstreamMessage>), ApiError> {
    caller.need(Scope::GitWrite)?;
    // Where branches and tags go is what the upstream says. One that is named makes no difference: requests that wait
    // together are served by a sync of everything.
    caller.may_change_all_refs(RefChange::Force)?;
    let (row, _) = following(&state, &caller).await?;
    let body = read_body(body, state.limits.json_bytes).await?;
    let request: PullUpstream = if body.is_empty() {
        PullUpstream::default()
    } else {
        parse_json(&body)?
    };
    let only = request
        .ref_name
        .as_deref()
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(full_name)
        .transpose()?;
    let entry = NewAuditEntry {
        repo: Some(row.id),
        detail: only.as_ref().map(|only| json!({ "ref": only }).to_string()),
        ..caller.audit_entry("upstream.pull", &row.name)
    };
    let job = sync_job(caller.org(), row.id, only, state.jobs.now_ms());
    state.jobs.enqueue_audited(job, entry).await?;
    let message = UpstreamMessage {
        repo_id: row.name,
        message: "sync started; `GET /repo` and `GET /repos/jobs` tell how it goes".to_owned(),
    };
    Ok((StatusCode::ACCEPTED, Json(message)))
}

/// Changes how the repository that the token names follows its upstream: whether what is written here goes there.
#[utoipa::path(
    patch, path = "/api/v1/repos/base", operation_id = "change_upstream", tag = "upstreams", request_body = ChangeBase,
    responses(
        (status = 200, body = UpstreamMessage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<UpstreamMessage>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    let request: ChangeBase = read_json(body, state.limits.json_bytes).await?;
    if request.push_through {
        // What differs moves, here and there.
        caller.may_change_all_refs(RefChange::Force)?;
    }
    let (row, _) = following(&state, &caller).await?;
    if row.syncing {
        return Err(state.sync_in_progress(&row).await?);
    }
    let catalog = state.hosted.catalog();
    let on = request.push_through;
    // What was deleted here before is not deleted there: it comes back, as it does without pushing.
    let mut forget = Vec::new();
    if on {
        let view = state.hosted.at(&row).view().await?;
        for (name, _) in catalog.upstream_refs(row.id).await? {
            let here = RefName::parse(&name).is_ok_and(|name| view.refs().get(&name).is_some());
            if !here {
                forget.push(name);
            }
        }
    }
    let entry = NewAuditEntry {
        detail: Some(json!({ "push_through": on }).to_string()),
        ..caller.audit_entry("upstream.change", &row.name)
    };
    let audited = catalog.audited(entry);
    if audited.set_push_through(row.id, on, forget).await? && on {
        let job = sync_job(caller.org(), row.id, None, state.jobs.now_ms());
        state.jobs.enqueue(job).await?;
    }
    let message = match on {
        true => "what is written here goes to the upstream as well",
        false => "what is written here stays here",
    };
    Ok(Json(UpstreamMessage {
        repo_id: row.name,
        message: message.to_owned(),
    }))
}

/// Detaches the repository that the token names from its upstream. Branches and tags stay as they are.
#[utoipa::path(
    delete, path = "/api/v1/repos/base", operation_id = "detach_upstream", tag = "upstreams",
    responses(
        (status = 200, body = UpstreamMessage), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn detach(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<UpstreamMessage>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    let (row, _) = following(&state, &caller).await?;
    let catalog = state.hosted.catalog();
    let entry = caller.audit_entry("upstream.detach", &row.name);
    if !catalog.audited(entry).detach_upstream(row.id).await? {
        return Err(no_upstream(&row.name));
    }
    catalog.forget_job(SYNC, &row.id.to_string()).await?;
    Ok(Json(UpstreamMessage {
        repo_id: row.name,
        message: "the repository follows its upstream no longer".to_owned(),
    }))
}

async fn following(state: &AppState, caller: &Caller) -> Result<(RepoRow, UpstreamRow), ApiError> {
    let name = caller.repo()?;
    let catalog = state.hosted.catalog();
    let row = catalog.repo(caller.org(), name).await?.ok_or_else(|| {
        ApiError::new(
            ErrorCode::RepositoryNotFound,
            format!("repository `{name}` not found"),
        )
    })?;
    match catalog.upstream(row.id).await? {
        Some(upstream) => Ok((row, upstream)),
        None => Err(no_upstream(name)),
    }
}

fn no_upstream(name: &str) -> ApiError {
    ApiError::invalid(format!("repository `{name}` has no upstream"))
}

/// A branch by its short name, or a branch or tag by its full one.
fn full_name(name: &str) -> Result<String, ApiError> {
    let parsed = if name.starts_with("refs/") {
        RefName::parse(name)
    } else {
        RefName::branch(name)
    };
    let parsed = parsed.map_err(|error| ApiError::invalid(format!("`ref`: {error}")))?;
    if !packhouse_repo::is_followed(&parsed) {
        return Err(ApiError::invalid(format!(
            "`ref`: `{}` is neither a branch nor a tag",
            shown(name)
        )));
    }
    Ok(parsed.to_string())
}

/// The upstream of a repository as answers show it.
pub(super) fn base_repo(row: &UpstreamRow) -> BaseRepoInfo {
    let upstream = row.upstream.clone();
    BaseRepoInfo {
        provider: upstream.provider,
        owner: upstream.owner,
        name: upstream.name,
        url: upstream.url,
        push_through: upstream.push_through,
    }
}

/// How it is with what goes there; `None` if nothing does.
pub(super) async fn push_info(
    state: &AppState,
    row: &UpstreamRow,
) -> Result<Option<PushInfo>, ApiError> {
    if !row.upstream.push_through {
        return Ok(None);
    }
    let catalog = state.hosted.catalog();
    let status = match &row.push_error {
        Some(_) => SyncStatus::Failed,
        None if catalog.has_moved_since(row.repo, row.push_done).await? => SyncStatus::Pending,
        None => SyncStatus::Ok,
    };
    Ok(Some(PushInfo {
        status,
        pushed_at: row.pushed_at_ms.map(|ms| time::rfc3339(ms / 1000)),
        error: row.push_error.clone(),
    }))
}

/// How its syncs went.
pub(super) fn sync_info(repo: &RepoRow, row: &UpstreamRow) -> SyncInfo {
    let at = |ms: i64| time::rfc3339(ms / 1000);
    let has_failed = row.failed_at_ms.is_some() && row.failed_at_ms >= row.succeeded_at_ms;
    SyncInfo {
        status: match (repo.syncing, has_failed) {
            (true, _) => SyncStatus::Pending,
            (false, true) => SyncStatus::Failed,
            (false, false) => SyncStatus::Ok,
        },
        run_count: row.runs,
        started_at: row.started_at_ms.map(at),
        succeeded_at: row.succeeded_at_ms.map(at),
        error: row.error.clone(),
    }
}
