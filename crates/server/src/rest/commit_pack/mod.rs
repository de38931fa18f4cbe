//! `/repos/commit-pack`: one commit, streamed.
//!
//! The first line says what changes; the lines after it carry the contents, in pieces. A small commit stays in memory
//! from its first byte to the catalog. Past a budget, contents go to a pack file in the repository's quarantine folder
//! as they arrive, so memory does not grow with them. Whatever fails, nothing becomes visible.

mod base64_pieces;
mod chunk;
mod contents;
mod lines;
mod plan;
mod spool;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use packhouse_api::{CommitResponse, CommitSummary, ErrorCode, RefUpdate, ResultStatus};
use packhouse_object::{HashKind, ObjectId};
use packhouse_repo::{CommitError, CommitRequest, RefChange, RefPolicy};

pub(super) use self::plan::{message, signature};

use self::contents::Contents;
use self::lines::LineReader;
use self::plan::{ExpectedHead, Plan};
use super::resolve;
use crate::auth::{Caller, Scope};
use crate::error::{ApiError, CommitFailure, chain};
use crate::state::AppState;

/// Metadata lines up to this size are parsed where they arrive; larger ones would hold up other requests.
const INLINE_BYTES: usize = 128 << 10;

/// Commits files. The body is newline-delimited JSON: a `MetadataLine`, then `BlobChunkLine`s.
#[utoipa::path(
    post, path = "/api/v1/repos/commit-pack", tag = "commits",
    request_body(
        content_type = "application/x-ndjson", content = packhouse_api::MetadataLine,
        description = "first line; every line after it is a `BlobChunkLine`",
    ),
    responses(
        (status = 201, body = CommitResponse), (status = 400, body = CommitResponse),
        (status = 401, body = CommitResponse), (status = 403, body = CommitResponse),
        (status = 404, body = CommitResponse), (status = 408, body = CommitResponse),
        (status = 409, body = CommitResponse), (status = 413, body = CommitResponse),
        (status = 503, body = CommitResponse),
    )
)]
pub(crate) async fn commit(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CommitResponse>), CommitFailure> {
    // Not an extractor: a refusal has this route's own shape, too.
    let caller = state.authenticate(&headers).await?;
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let mut lines = LineReader::new(body, state.line_pool.clone(), &state.limits);
    let mut plan = read_plan(&mut lines, state.limits.metadata_bytes).await?;
    let branch = plan.branch.clone();
    let failed = |error: ApiError| CommitFailure {
        error,
        branch: branch.clone(),
        old_sha: String::new(),
    };

    allowed(&caller, &plan).map_err(failed)?;
    let expected_head = match &plan.expected_head {
        None => None,
        Some(ExpectedHead::Id(id)) => Some(*id),
        Some(ExpectedHead::Name(name)) => {
            let view = repository
                .view()
                .await
                .map_err(|error| failed(error.into()))?;
            let found = resolve(&view, Some(name), plan.namespace)
                .map_err(|error| failed(not_a_head(error, name)))?;
            Some(found.id)
        }
    };
    let mut contents = Contents::new(&plan, &state, repository.quarantine_dir().to_owned());
    contents.read(&mut lines).await.map_err(failed)?;
    let stored = contents.finish().await.map_err(failed)?;
    let blob_count = plan.upserts();
    let edits = plan.take_edits(&stored.ids).map_err(failed)?;
    let request = CommitRequest {
        target: plan.target,
        base: plan.base,
        expected_head,
        edits,
        blobs: stored.blobs,
        packs: stored.packs,
        message: plan.message,
        author: plan.author,
        committer: plan.committer,
        who: caller.who().to_owned(),
    };
    // Held until the blobs are stored.
    let _paid = stored.paid;
    let made = repository
        .commit(request)
        .await
        .map_err(|error| refused(error, &branch))?;
    let old = made.old.unwrap_or(ObjectId::null(HashKind::Sha1));
    let response = CommitResponse {
        commit: Some(CommitSummary {
            commit_sha: made.commit.to_string(),
            tree_sha: made.tree.to_string(),
            target_branch: branch.clone(),
            pack_bytes: made.stored_bytes,
            blob_count,
        }),
        result: RefUpdate {
            branch: branch.clone(),
            old_sha: old.to_string(),
            new_sha: made.commit.to_string(),
            success: true,
            status: ResultStatus::Ok,
            message: String::new(),
        },
        error: None,
        message: None,
        code: None,
    };
    Ok((StatusCode::CREATED, Json(response)))
}

async fn read_plan(lines: &mut LineReader, limit: usize) -> Result<Plan, ApiError> {
    let line = lines
        .whole(limit)
        .await?
        .ok_or_else(|| ApiError::invalid("the body is empty"))?;
    if line.len() <= INLINE_BYTES {
        return Plan::parse(&line);
    }
    tokio::task::spawn_blocking(move || Plan::parse(&line)).await?
}

/// Refuses what the token's policy forbids, before the contents are read. A commit never moves a branch backwards, so
/// whether it creates the branch makes no difference.
fn allowed(caller: &Caller, plan: &Plan) -> Result<(), ApiError> {
    caller
        .policy()
        .allows(&plan.target, RefChange::FastForward)
        .map_err(|reason| ApiError::new(ErrorCode::PolicyDenied, reason))
}

fn not_a_head(error: ApiError, name: &str) -> ApiError {
    match error.code() {
        ErrorCode::RefNotFound => ApiError::invalid(format!(
            "`expected_head_sha`: `{}` is no commit",
            super::input::shown(name)
        )),
        _ => error,
    }
}

fn refused(error: CommitError, branch: &str) -> CommitFailure {
    use packhouse_object::EditTreeError;
    let mut old_sha = String::new();
    let code = match &error {
        CommitError::HeadMoved { found, .. } => {
            old_sha = found.map(|id| id.to_string()).unwrap_or_default();
            Some(ErrorCode::HeadMoved)
        }
        CommitError::BranchMissing { .. } | CommitError::BaseMissing { .. } => {
            Some(ErrorCode::RefNotFound)
        }
        CommitError::NameTaken { .. } => Some(ErrorCode::Conflict),
        CommitError::Edit(error) => match error {
            EditTreeError::FileInTheWay { .. } | EditTreeError::FolderInTheWay { .. } => {
                Some(ErrorCode::Conflict)
            }
            EditTreeError::Read(_) => None,
            _ => Some(ErrorCode::Invalid),
        },
        CommitError::Repo(_) => None,
    };
    let error = match (code, error) {
        (Some(code), error) => ApiError::new(code, chain(&error)),
        (None, CommitError::Repo(error)) => error.into(),
        (None, error) => ApiError::internal(chain(&error)),
    };
    CommitFailure {
        error,
        branch: branch.to_owned(),
        old_sha,
    }
}
