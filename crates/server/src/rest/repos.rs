//! `/repos` and `/repo`: create, describe, list, delete repositories.

use std::collections::HashMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode, Uri};
use packhouse_api::{
    CreateRepo, CreateRepoQuery, CreatedRepo, DeletedRepo, ErrorBody, ErrorCode, ListReposQuery,
    ListedRepos, RepoDetails, RepoInfo,
};
use packhouse_catalog::{CreateRepoError, DeleteRepoError, NewAuditEntry, RepoRow};
use packhouse_repo::{Namespace, RefChange};
use serde_json::json;

use super::input::{self, Query, parse_json, read_body, shown};
use super::page::List;
use super::{fork, page, time, upstreams};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::upstream::SYNC;

const DEFAULT_BRANCH: &str = "main";
/// Longest repository id, in bytes.
const MAX_ID_BYTES: usize = 255;

/// Creates the repository that the token names.
#[utoipa::path(
    post, path = "/api/v1/repos", operation_id = "create_repository", tag = "repositories", params(CreateRepoQuery), request_body = Option<CreateRepo>,
    responses(
        (status = 201, body = CreatedRepo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 412, body = ErrorBody),
        (status = 501, body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(query): Query<CreateRepoQuery>,
    body: Body,
) -> Result<(StatusCode, Json<CreatedRepo>), ApiError> {
    caller.need(Scope::RepoWrite)?;
    let id = caller.repo()?;
    check_id(id)?;
    let body = read_body(body, state.limits.json_bytes).await?;
    let request: CreateRepo = if body.is_empty() {
        CreateRepo::default()
    } else {
        parse_json(&body)?
    };
    let named = [&request.default_branch, &query.default_branch];
    let named = named.into_iter().find_map(|name| name.as_deref());
    let branch = named
        .map(|name| input::branch("default_branch", name.trim(), Namespace::Default))
        .transpose()?;
    if request.base_repo.is_some() {
        // It begins with refs that others have made.
        caller.may_change_all_refs(RefChange::Create)?;
    }
    match &request.base_repo {
        Some(base) if fork::is_here(base) => {
            fork::create(&state, &caller, id, branch, &request, base).await?;
        }
        Some(base) => {
            let of_base = base.default_branch.as_deref();
            let branch = of_base.or(named).map_or(DEFAULT_BRANCH, str::trim);
            input::branch("default_branch", branch, Namespace::Default)?;
            upstreams::create(&state, &caller, id, branch, base).await?;
        }
        None => {
            let branch = named.map_or(DEFAULT_BRANCH, str::trim);
            create_empty(&state, &caller, id, branch).await?;
        }
    }
    let created = CreatedRepo {
        repo_id: id.to_owned(),
        repo_name: id.to_owned(),
        http_url: format!("{}/{id}.git", state.base_url(&uri, &headers)),
        message: "repository created".to_owned(),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

async fn create_empty(
    state: &AppState,
    caller: &Caller,
    id: &str,
    branch: &str,
) -> Result<(), ApiError> {
    let entry = NewAuditEntry {
        detail: Some(json!({ "default_branch": branch }).to_string()),
        ..caller.audit_entry("repo.create", id)
    };
    let created = state
        .hosted
        .catalog()
        .audited(entry)
        .create_repo(caller.org(), id, branch)
        .await;
    match created {
        Ok(_) => Ok(()),
        Err(CreateRepoError::Exists { .. }) => Err(ApiError::new(
            ErrorCode::RepositoryExists,
            format!("repository `{id}` already exists"),
        )),
        Err(error) => Err(ApiError::failed(&error)),
    }
}

/// Describes the repository that the token names.
#[utoipa::path(
    get, path = "/api/v1/repo", operation_id = "get_repository", tag = "repositories",
    responses(
        (status = 200, body = RepoDetails), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn find(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<RepoDetails>, ApiError> {
    caller.need(Scope::GitRead)?;
    let id = caller.repo()?;
    let row = state.hosted.catalog().repo(caller.org(), id).await?;
    let row = row.ok_or_else(|| not_found(id))?;
    let upstream = state.hosted.catalog().upstream(row.id).await?;
    let push = match &upstream {
        Some(upstream) => upstreams::push_info(&state, upstream).await?,
        None => None,
    };
    Ok(Json(RepoDetails {
        base_repo: upstream.as_ref().map(upstreams::base_repo),
        push,
        sync: upstream
            .as_ref()
            .map(|upstream| upstreams::sync_info(&row, upstream)),
        repo_id: row.name.clone(),
        repo_name: row.name,
        default_branch: row.default_branch,
        created_at: time::rfc3339(row.created_at_ms / 1000),
    }))
}

/// Lists the organisation's repositories by id.
#[utoipa::path(
    get, path = "/api/v1/repos", operation_id = "list_repositories", tag = "repositories", params(ListReposQuery),
    responses(
        (status = 200, body = ListedRepos), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListReposQuery>,
) -> Result<Json<ListedRepos>, ApiError> {
    caller.need(Scope::OrgRead)?;
    let limit = page::limit(query.limit, 20, 100);
    let part = query
        .q
        .as_deref()
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let list = List::of_org("repos", caller.org(), &[part.unwrap_or_default()]);
    let after = list.after_as(query.cursor.as_deref(), |name| {
        (!name.contains('\0')).then(|| name.to_owned())
    })?;
    let mut rows = state
        .hosted
        .catalog()
        .list_repos(caller.org(), part, after.as_deref(), limit as u32 + 1)
        .await?;
    let has_more = page::cut(&mut rows, limit);
    let last = rows.last().filter(|_| has_more);
    let next_cursor = last.map(|row| list.cursor(row.name.as_bytes()));
    let mut bases = HashMap::new();
    if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
        let catalog = state.hosted.catalog();
        let found = catalog.upstreams_between(caller.org(), &first.name, &last.name);
        bases.extend(found.await?.into_iter().map(|row| (row.repo, row)));
    }
    let info = |row: RepoRow| RepoInfo {
        base_repo: bases.get(&row.id).map(upstreams::base_repo),
        repo_id: row.name.clone(),
        url: row.name.clone(),
        repo_name: row.name,
        default_branch: row.default_branch,
        created_at: time::rfc3339(row.created_at_ms / 1000),
    };
    Ok(Json(ListedRepos {
        repos: rows.into_iter().map(info).collect(),
        next_cursor,
        has_more,
    }))
}

/// Deletes the repository that the token names. It disappears at once; its bytes are removed later.
#[utoipa::path(
    delete, path = "/api/v1/repos/delete", operation_id = "delete_repository", tag = "repositories",
    responses(
        (status = 200, body = DeletedRepo), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<DeletedRepo>, ApiError> {
    caller.need(Scope::RepoWrite)?;
    // Its refs go with it.
    caller.may_change_all_refs(RefChange::Delete)?;
    let id = caller.repo()?;
    let catalog = state.hosted.catalog();
    let row = catalog.repo(caller.org(), id).await?;
    catalog
        .audited(caller.audit_entry("repo.delete", id))
        .delete_repo(caller.org(), id)
        .await
        .map_err(|error| match error {
            DeleteRepoError::NotFound { .. } => not_found(id),
            DeleteRepoError::AlreadyDeleted { .. } => ApiError::new(
                ErrorCode::RepositoryDeleted,
                format!("repository `{id}` is already deleted"),
            ),
            error => ApiError::failed(&error),
        })?;
    state.hosted.repository_deleted(caller.org());
    if let Some(row) = row {
        // A job under way stops when it finds itself forgotten; a credential must not outlive what it is for. The
        // repository is deleted whatever becomes of these: then a sweep comes to them.
        let detached = catalog.detach_upstream(row.id).await.map(drop);
        let forgotten = catalog
            .forget_job(SYNC, &row.id.to_string())
            .await
            .map(drop);
        if let Err(error) = detached.and(forgotten) {
            tracing::warn!(
                error = crate::error::chain(&error),
                "what follows an upstream outlives its repository until a sweep"
            );
        }
    }
    let message = format!(
        "Repository {id} deletion initiated. Physical storage cleanup will complete asynchronously."
    );
    Ok(Json(DeletedRepo {
        repo_id: id.to_owned(),
        message,
    }))
}

fn not_found(id: &str) -> ApiError {
    ApiError::new(
        ErrorCode::RepositoryNotFound,
        format!("repository `{id}` not found"),
    )
}

/// Refuses ids that no Git URL could name.
fn check_id(id: &str) -> Result<(), ApiError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@+/".contains(&byte);
    let problem = if id.len() > MAX_ID_BYTES {
        "it is too long"
    } else if !id.bytes().all(allowed) {
        "only letters, digits and -_.~@+/ are allowed"
    } else if id.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "a part of it is empty, `.` or `..`"
    } else if id.split('/').any(|part| part.ends_with(".git"))
        || id.ends_with("+ephemeral")
        || id.ends_with("+import")
    {
        "`.git`, `+ephemeral` and `+import` have a meaning of their own in URLs"
    } else if id == "org" {
        "in a token it stands for the whole organisation"
    } else {
        return Ok(());
    };
    Err(ApiError::invalid(format!(
        "`{}` cannot be a repository id: {problem}",
        shown(id)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_a_git_url_can_name() {
        for id in [
            "a",
            "team/project",
            "v1.2_x~y@z+w",
            "123e4567-e89b-12d3-a456-426614174000",
            "org/a",
            "a/org",
        ] {
            assert!(check_id(id).is_ok(), "{id}");
        }
        let long = "x".repeat(256);
        for id in [
            "",
            "org",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            ".",
            "a b",
            "a?b",
            "ä",
            "a.git",
            "a.git/b",
            "a+ephemeral",
            "a\n",
            &long,
        ] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }
}
