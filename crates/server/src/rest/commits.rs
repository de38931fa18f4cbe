//! `/repos/commits` and `/repos/commit`: history.

use axum::Json;
use axum::extract::State;
use packhouse_api::{
    CommitInfo, ErrorBody, FoundCommit, GetCommitQuery, ListCommitsQuery, ListedCommits,
};
use packhouse_object::{Commit, ObjectId, ObjectKind, ReadError, signed_commit};
use packhouse_repo::{LogPage, LogQuery, Namespace, View, log_by_index};

use super::input::{self, Query};
use super::page::List;
use super::{namespace, page, resolve, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// A page ends early when its messages and names have this many bytes: neither has a limit.
pub(super) const MAX_PAGE_TEXT_BYTES: usize = 4 << 20;

/// Lists commits, newest first.
#[utoipa::path(
    get, path = "/api/v1/repos/commits", operation_id = "list_commits", tag = "commits", params(ListCommitsQuery),
    responses(
        (status = 200, body = ListedCommits), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListCommitsQuery>,
) -> Result<Json<ListedCommits>, ApiError> {
    let repository = state.open(&caller, Scope::GitRead).await?;
    let view = repository.view().await?;
    let index = repository.history().await;
    let limit = page::limit(query.limit, 20, 100);
    let path = query
        .path
        .as_deref()
        .filter(|path| !path.is_empty())
        .map(input::path)
        .transpose()?;
    let list = list_of(&caller, &query)?;
    let cursor = list.after_as(query.cursor.as_deref(), Cursor::parse)?;
    tokio::task::spawn_blocking(move || {
        let Cursor { tip, skip } = match cursor {
            Some(cursor) => cursor.check(&view, &list)?,
            None => {
                let found = resolve(&view, query.branch.as_deref(), namespace(query.ephemeral))?;
                Cursor {
                    tip: found.id,
                    skip: 0,
                }
            }
        };
        let log = LogQuery {
            tip,
            path,
            skip,
            limit,
            bytes: MAX_PAGE_TEXT_BYTES,
        };
        let LogPage {
            entries, has_more, ..
        } = log_by_index(&view, &log, &index)?;
        let next_cursor = has_more.then(|| {
            let skip = skip + entries.len();
            list.cursor(Cursor { tip, skip }.place().as_bytes())
        });
        let commits = entries
            .iter()
            .map(|entry| info(entry.id, Commit::clone(&entry.commit)))
            .collect();
        Ok(Json(ListedCommits {
            commits,
            next_cursor,
            has_more,
        }))
    })
    .await?
}

/// Describes one commit.
#[utoipa::path(
    get, path = "/api/v1/repos/commit", operation_id = "get_commit", tag = "commits", params(GetCommitQuery),
    responses(
        (status = 200, body = FoundCommit), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn find(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<GetCommitQuery>,
) -> Result<Json<FoundCommit>, ApiError> {
    if query.sha.trim().is_empty() {
        return Err(ApiError::invalid("`sha` is empty"));
    }
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    tokio::task::spawn_blocking(move || {
        let found = resolve(&view, Some(&query.sha), Namespace::Default)?;
        let data = view.database().bytes_of(found.id, ObjectKind::Commit)?;
        let commit = Commit::parse(&data).map_err(|error| ReadError::decode(found.id, error))?;
        let mut info = info(found.id, commit);
        if let Some((signature, payload)) = signed_commit(&data) {
            let signature = signature.strip_suffix(b"\n").unwrap_or(&signature);
            info.signature = Some(String::from_utf8_lossy(signature).into_owned());
            info.payload = Some(String::from_utf8_lossy(&payload).into_owned());
        }
        Ok(Json(FoundCommit { commit: info }))
    })
    .await?
}

fn info(id: ObjectId, commit: Commit) -> CommitInfo {
    let commit = commit.in_utf8();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let message = commit
        .message
        .strip_suffix(b"\n")
        .unwrap_or(&commit.message);
    CommitInfo {
        sha: id.to_string(),
        parent_shas: commit.parents.iter().map(ToString::to_string).collect(),
        message: text(message),
        author_name: text(&commit.author.name),
        author_email: text(&commit.author.email),
        committer_name: text(&commit.committer.name),
        committer_email: text(&commit.committer.email),
        date: time::rfc3339(commit.committer.seconds),
        signature: None,
        payload: None,
    }
}

/// Where a list of commits goes on: in the history of the commit it began at, so that commits made in between
/// neither repeat nor hide any.
struct Cursor {
    tip: ObjectId,
    skip: usize,
}

impl Cursor {
    fn parse(place: &str) -> Option<Cursor> {
        let (tip, skip) = place.split_once('.')?;
        Some(Cursor {
            tip: ObjectId::from_hex(tip.as_bytes()).ok()?,
            skip: skip.parse::<u32>().ok()? as usize,
        })
    }

    /// Refuses a cursor whose commit this repository does not have.
    fn check(self, view: &View, list: &List) -> Result<Cursor, ApiError> {
        let found = view.resolve(&self.tip.to_string(), Namespace::Default)?;
        if found.is_some_and(|found| found.id == self.tip) {
            return Ok(self);
        }
        Err(page::foreign_cursor(&list.cursor(self.place().as_bytes())))
    }

    fn place(&self) -> String {
        format!("{}.{}", self.tip, self.skip)
    }
}

/// A cursor of one branch or path is none of another's.
fn list_of(caller: &Caller, query: &ListCommitsQuery) -> Result<List, ApiError> {
    let branch = query.branch.as_deref().unwrap_or_default();
    let path = query.path.as_deref().unwrap_or_default();
    let ephemeral = query.ephemeral.unwrap_or(false).to_string();
    Ok(List::new(
        "commits",
        &[caller.repo()?, branch, path, &ephemeral],
    ))
}
