//! `/repos/diff-commit`: one commit from a diff, streamed.
//!
//! The first line says where the commit goes; the lines after it carry the diff, in pieces. A large diff is in a file
//! of the repository's quarantine folder from then on, and is applied hunk by hunk. Whatever fails, nothing becomes
//! visible.

mod receive;

use axum::body::Body;
use axum::extract::State;
use packhouse_api::{CommitMetadata, CommitResponse, MetadataLine};
use packhouse_repo::patch::PatchRequest;

use self::receive::receive;
use super::commit_write::{Answer, CommitWrite};
use super::json_fields;
use super::json_object::expect_object;
use super::ndjson::LineReader;
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Commits what a diff changes, with the semantics of `git apply --cached --binary`. The body is newline-delimited
/// JSON: a `MetadataLine` without files, then `DiffChunkLine`s.
#[utoipa::path(
    post, path = "/api/v1/repos/diff-commit", operation_id = "create_commit_from_diff", tag = "commits",
    request_body(
        content_type = "application/x-ndjson", content = packhouse_api::MetadataLine,
        description = "first line; every line after it is a `DiffChunkLine`",
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
    let metadata = read_metadata(&mut lines, state.limits.json_bytes).await?;
    let write = CommitWrite::new(&metadata)?;
    let failed = |error: ApiError| write.failed(error);
    if !metadata.files.is_empty() {
        let error = "`files` are for commit-pack; here the diff says what changes";
        return Err(failed(ApiError::invalid(error)));
    }
    // Before the diff is read.
    write.allowed(&caller).map_err(failed)?;
    let onto = write.onto(&repository, &caller).await.map_err(failed)?;
    let folder = repository.quarantine_dir().to_owned();
    let of = caller.turn_for();
    let diff = receive(&mut lines, &state, &of, folder)
        .await
        .map_err(failed)?;
    // Held until the commit is made, as is the one of the diff's file.
    let turn = state.patches.take(&of).await;
    let _turn = turn.map_err(|crowded| failed(crowded.into()))?;
    let request = PatchRequest {
        onto,
        text: diff.text,
        memory_bytes: state.limits.commit_memory_bytes,
        file_bytes: state.limits.file_bytes,
    };
    match repository.commit_patch(request).await {
        Ok(made) => write.answer(Ok(made.commit), made.files),
        Err(error) => write.answer(Err(error), 0),
    }
}

async fn read_metadata(lines: &mut LineReader, limit: usize) -> Result<CommitMetadata, ApiError> {
    let line = lines
        .whole(limit)
        .await?
        .ok_or_else(|| ApiError::invalid("the body is empty"))?;
    expect_object("the first line, the commit's `metadata`,", &line)?;
    let parsed: Result<MetadataLine, _> = json_fields::read(&line);
    let told = |refused: json_fields::Refused| {
        refused.told("the first line is not the commit's `metadata`")
    };
    Ok(parsed.map_err(told)?.metadata)
}
