//! `/repos/commit-pack`: one commit, streamed.
//!
//! The first line says what changes; the lines after it carry the contents, in pieces. A small commit stays in memory
//! from its first byte to the catalog. Past a budget, contents go to a pack file in the repository's quarantine folder
//! as they arrive, so memory does not grow with them. Whatever fails, nothing becomes visible.

mod contents;
mod plan;
mod spool;

use axum::body::Body;
use axum::extract::State;
use packhouse_api::CommitResponse;
use packhouse_repo::CommitRequest;

pub(super) use super::commit_write::{message, signature};

use self::contents::Contents;
use self::plan::Plan;
use super::commit_write::Answer;
use super::ndjson::LineReader;
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Metadata lines up to this size are parsed where they arrive; larger ones would hold up other requests.
const INLINE_BYTES: usize = 128 << 10;

/// Commits files. The body is newline-delimited JSON: a `MetadataLine`, then `BlobChunkLine`s.
#[utoipa::path(
    post, path = "/api/v1/repos/commit-pack", operation_id = "create_commit", tag = "commits",
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
    caller: Result<Caller, ApiError>,
    body: Body,
) -> Answer {
    // A refusal has this route's own shape, too.
    let caller = caller?;
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let mut lines = LineReader::new(body, state.line_pool.clone(), &state.limits);
    let mut plan = read_plan(&mut lines, state.limits.metadata_bytes).await?;
    let write = plan.write.clone();
    let failed = |error: ApiError| write.failed(error);

    // Before the contents are read.
    write.allowed(&caller).map_err(failed)?;
    let onto = write.onto(&repository, &caller).await.map_err(failed)?;
    let folder = repository.quarantine_dir().to_owned();
    let mut contents = Contents::new(&plan, &state, caller.turn_for(), folder);
    contents.read(&mut lines).await.map_err(failed)?;
    let stored = contents.finish().await.map_err(failed)?;
    let blob_count = plan.upserts();
    let edits = plan.take_edits(&stored.ids).map_err(failed)?;
    let request = CommitRequest {
        target: onto.target,
        base: onto.base,
        expected_head: onto.expected_head,
        edits,
        blobs: stored.blobs,
        packs: stored.packs,
        message: onto.message,
        author: onto.author,
        committer: onto.committer,
        who: onto.who,
    };
    // Held until the blobs are stored.
    let _paid = stored.paid;
    let made = repository.commit(request).await;
    write.answer(made, blob_count)
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
