//! `/jobs` and `/repos/jobs`: what goes on in the background.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use packhouse_api::{ErrorBody, ErrorCode, JobInfo, JobStatus, ListJobsQuery, ListedJobs};
use packhouse_catalog::{JobRow, JobState, RepoId};

use super::input::Query;
use super::page::List;
use super::{page, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Lists the jobs of the organisation.
#[utoipa::path(
    get, path = "/api/v1/jobs", operation_id = "list_jobs", tag = "jobs", params(ListJobsQuery),
    responses(
        (status = 200, body = ListedJobs), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody),
    )
)]
pub(crate) async fn list_all(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListJobsQuery>,
) -> Result<Json<ListedJobs>, ApiError> {
    caller.need(Scope::OrgRead)?;
    listed(&state, &caller, None, &query).await
}

/// Lists the jobs of the repository that the token names.
#[utoipa::path(
    get, path = "/api/v1/repos/jobs", operation_id = "list_repository_jobs", tag = "jobs", params(ListJobsQuery),
    responses(
        (status = 200, body = ListedJobs), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListJobsQuery>,
) -> Result<Json<ListedJobs>, ApiError> {
    caller.need(Scope::GitRead)?;
    let id = caller.repo()?;
    let row = state.hosted.catalog().repo(caller.org(), id).await?;
    let row = row.ok_or_else(|| {
        ApiError::new(
            ErrorCode::RepositoryNotFound,
            format!("repository `{id}` not found"),
        )
    })?;
    listed(&state, &caller, Some(row.id), &query).await
}

async fn listed(
    state: &AppState,
    caller: &Caller,
    repo: Option<RepoId>,
    query: &ListJobsQuery,
) -> Result<Json<ListedJobs>, ApiError> {
    let limit = page::limit(query.limit, 20, 100);
    let of = repo.map(|repo| repo.to_string());
    let list = List::of_org("jobs", caller.org(), &[of.as_deref().unwrap_or_default()]);
    let before = list.after_as(query.cursor.as_deref(), |id| id.parse().ok())?;
    let catalog = state.hosted.catalog();
    let mut rows = catalog
        .list_jobs(caller.org(), repo, before, limit as u32 + 1)
        .await?;
    let has_more = page::cut(&mut rows, limit);
    let next_cursor = rows
        .last()
        .filter(|_| has_more)
        .map(|row| list.cursor(row.id.to_string().as_bytes()));
    let mut names: HashMap<RepoId, Option<String>> = HashMap::new();
    for repo in rows.iter().filter_map(|row| row.repo) {
        if let std::collections::hash_map::Entry::Vacant(name) = names.entry(repo) {
            let row = catalog.repo_by_id(repo).await?;
            name.insert(
                row.filter(|row| row.deleted_at_ms.is_none())
                    .map(|row| row.name),
            );
        }
    }
    let info = |row: JobRow| {
        let name = row
            .repo
            .and_then(|repo| names.get(&repo).cloned().flatten());
        job_info(row, name)
    };
    Ok(Json(ListedJobs {
        jobs: rows.into_iter().map(info).collect(),
        next_cursor,
        has_more,
    }))
}

fn job_info(row: JobRow, repo_id: Option<String>) -> JobInfo {
    let at = |ms: i64| time::rfc3339(ms / 1000);
    JobInfo {
        id: row.id.to_string(),
        repo_id,
        status: match row.state {
            JobState::Waiting => JobStatus::Waiting,
            JobState::Running => JobStatus::Running,
            JobState::Done => JobStatus::Done,
            JobState::Failed => JobStatus::Failed,
        },
        attempts: row.attempts,
        requested_at: at(row.requested_at_ms),
        started_at: row.started_at_ms.map(at),
        finished_at: row.finished_at_ms.map(at),
        next_attempt_at: row
            .due_at_ms
            .filter(|_| row.state == JobState::Waiting)
            .map(at),
        error: row.error,
        kind: row.kind,
    }
}
