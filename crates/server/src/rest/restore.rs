//! `/repos/restore-commit`: the files of an earlier commit, as a new commit.

use axum::body::Body;
use axum::extract::State;
use packhouse_api::{CommitMetadata, CommitResponse, RestoreCommit};

use super::commit_write::{Answer, CommitWrite};
use super::input::read_json;
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Makes a commit on top of the branch whose files are those of `target_commit_sha`.
#[utoipa::path(
    post, path = "/api/v1/repos/restore-commit", operation_id = "restore_commit", tag = "commits",
    request_body(
        content(
            (RestoreCommit = "application/json"),
            (RestoreCommit = "application/x-ndjson"),
        ),
    ),
    responses(
        (status = 201, body = CommitResponse), (status = 400, body = CommitResponse),
        (status = 401, body = CommitResponse), (status = 403, body = CommitResponse),
        (status = 404, body = CommitResponse), (status = 408, body = CommitResponse),
        (status = 409, body = CommitResponse), (status = 413, body = CommitResponse),
        (status = 503, body = CommitResponse),
    )
)]
pub(crate) async fn restore(
    State(state): State<AppState>,
    caller: Result<Caller, ApiError>,
    body: Body,
) -> Answer {
    // A refusal has this route's own shape, too.
    let caller = caller?;
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let RestoreCommit { metadata } = read_json(body, state.limits.json_bytes).await?;
    let rev = metadata.target_commit_sha.trim().to_owned();
    let message = metadata.commit_message.unwrap_or_default();
    let is_silent = message.trim().is_empty();
    let mut write = CommitWrite::new(&CommitMetadata {
        target_branch: metadata.target_branch,
        commit_message: if is_silent { "-".to_owned() } else { message },
        author: metadata.author,
        committer: metadata.committer,
        expected_head_sha: metadata.expected_head_sha,
        ephemeral: metadata.ephemeral,
        ..CommitMetadata::default()
    })?;
    if is_silent {
        // The repository knows what to say.
        write.message.clear();
    }
    if rev.is_empty() {
        let error = ApiError::invalid("`target_commit_sha` is empty");
        return Err(write.failed(error));
    }
    let failed = |error: ApiError| write.failed(error);
    write.allowed(&caller).map_err(failed)?;
    let onto = write.onto(&repository, &caller).await.map_err(failed)?;
    let made = repository.restore(onto, rev, write.namespace).await;
    write.answer(made, 0)
}
