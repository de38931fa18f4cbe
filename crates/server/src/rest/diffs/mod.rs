//! `/repos/branches/diff` and `/repos/diff`: what a branch or a commit changes.

mod answer;
mod filter;
mod query;

use axum::extract::State;
use axum::response::Response;
use packhouse_api::{BranchDiff, BranchDiffQuery, CommitDiff, CommitDiffQuery, ErrorBody};
use packhouse_object::{BString, ObjectId, merge_bases};
use packhouse_repo::View;
use packhouse_repo::diff::{BinaryForm, DiffOptions};

use self::answer::{Compared, answer};
use super::input::{self, Query};
use super::query_pairs::Pairs;
use super::{namespace, resolve};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// More files than this are not compared.
const MAX_FILES: usize = 100_000;

/// What a branch changes: its files against those of the commit where it left the base.
#[utoipa::path(
    get, path = "/api/v1/repos/branches/diff", operation_id = "get_branch_diff", tag = "diffs", params(BranchDiffQuery),
    responses(
        (status = 200, body = BranchDiff), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn branch(
    State(state): State<AppState>,
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let query = query::branch_diff(&Pairs(&pairs))?;
    let paths = asked_paths(&query.path)?;
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let turn = state.diffs.take(&caller.turn_for()).await?;
    tokio::task::spawn_blocking(move || {
        let branch = resolve(&view, Some(&query.branch), namespace(query.ephemeral))?;
        let base = resolve(
            &view,
            query.base.as_deref(),
            namespace(query.ephemeral_base),
        )?;
        let merge_base = merge_bases(view.database(), base.id, branch.id)?
            .first()
            .copied();
        let default = || packhouse_repo::display_name(view.head()).to_string();
        let head = BranchDiffHead {
            branch: query.branch.trim().to_owned(),
            base: query
                .base
                .map_or_else(default, |base| base.trim().to_owned()),
            merge_base_sha: merge_base.map(|id| id.to_string()),
        };
        let compared = Compared {
            old: Some(tree(&view, merge_base.unwrap_or(base.id))?),
            new: tree(&view, branch.id)?,
            options: options(paths, false),
        };
        answer(view.database(), compared, &head, turn)
    })
    .await?
}

/// What a commit changes: its files against those of its first parent, or of a given base.
#[utoipa::path(
    get, path = "/api/v1/repos/diff", operation_id = "get_commit_diff", tag = "diffs", params(CommitDiffQuery),
    responses(
        (status = 200, body = CommitDiff), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn commit(
    State(state): State<AppState>,
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let query = query::commit_diff(&Pairs(&pairs))?;
    let paths = asked_paths(&query.path)?;
    let is_exact = query.git_apply_compatible == Some(true);
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let turn = state.diffs.take(&caller.turn_for()).await?;
    tokio::task::spawn_blocking(move || {
        let id = resolve(&view, Some(&query.sha), namespace(query.ref_is_ephemeral))?.id;
        let (base, merge_base) = match &query.base_sha {
            None => (view.database().commit(id)?.parents.first().copied(), None),
            Some(base) => {
                let base = resolve(&view, Some(base), namespace(query.base_is_ephemeral))?.id;
                let bases = match is_exact {
                    true => Vec::new(),
                    false => merge_bases(view.database(), base, id)?,
                };
                (Some(base), bases.first().copied())
            }
        };
        let head = CommitDiffHead {
            sha: id.to_string(),
            base_sha: base.map(|id| id.to_string()),
            merge_base_sha: merge_base.map(|id| id.to_string()),
        };
        let old = merge_base.or(base);
        let compared = Compared {
            old: old.map(|id| tree(&view, id)).transpose()?,
            new: tree(&view, id)?,
            options: options(paths, is_exact),
        };
        answer(view.database(), compared, &head, turn)
    })
    .await?
}

/// What [`BranchDiff`] says in front of the files.
#[derive(serde::Serialize)]
struct BranchDiffHead {
    branch: String,
    base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_base_sha: Option<String>,
}

/// What [`CommitDiff`] says in front of the files.
#[derive(serde::Serialize)]
struct CommitDiffHead {
    sha: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_sha: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_base_sha: Option<String>,
}

fn tree(view: &View, commit: ObjectId) -> Result<ObjectId, ApiError> {
    Ok(view.database().commit(commit)?.tree)
}

/// The files and folders that a request names.
fn asked_paths(paths: &[String]) -> Result<Vec<BString>, ApiError> {
    let named = paths.iter().map(|path| path.trim_matches('/'));
    named
        .filter(|path| !path.is_empty())
        .map(|path| Ok(input::path(path)?.as_bstr().to_owned()))
        .collect()
}

/// `is_exact`: the answer must do as a patch.
fn options(paths: Vec<BString>, is_exact: bool) -> DiffOptions {
    DiffOptions {
        paths,
        max_files: MAX_FILES,
        ignore_space_change: !is_exact,
        binary: match is_exact {
            true => BinaryForm::Patch,
            false => BinaryForm::Mention,
        },
        ..DiffOptions::default()
    }
}
