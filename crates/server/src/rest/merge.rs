//! `/repos/merge`: one branch merged into another, and what that would come to.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use packhouse_api::{
    ErrorBody, ErrorCode, MergeBranches, MergeErrorBody, MergePreview, MergeResult, MergeSource,
    MergeStrategy, MergeTarget, MergedBranches, PreviewMergeQuery,
};
use packhouse_object::{BString, ObjectId};
use packhouse_repo::merge::{MergeError, StopMerge};
use packhouse_repo::{self as repo, MergeBranchError, preview_merge};

use super::abandoned::Abandoned;
use super::commit_pack::{message, signature};
use super::input::{self, Query, non_blank, read_json};
use super::{merge_preview, namespace};
use crate::auth::{Caller, Scope};
use crate::error::{ApiError, MergeFailure, chain};
use crate::state::AppState;

/// Merges a branch into another. Always 200.
#[utoipa::path(
    post, path = "/api/v1/repos/merge", operation_id = "merge_branches", tag = "merges", request_body = MergeBranches,
    responses(
        (status = 200, body = MergedBranches), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = MergeErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn merge(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<MergedBranches>, MergeFailure> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: MergeBranches = read_json(body, state.limits.json_bytes).await?;
    if request.squash && request.strategy == MergeStrategy::FfOnly {
        return Err(ApiError::invalid(
            "`squash` makes a commit, and `strategy` is `ff_only`, which makes none",
        )
        .into());
    }
    let source = source(
        request.source_ref.as_deref(),
        request.source_branch.as_deref(),
        request.source_is_ephemeral,
    )?;
    let target_namespace = namespace(Some(request.target_is_ephemeral));
    let target = input::branch("target_branch", &request.target_branch, target_namespace)?;
    let expected_target = non_blank(request.expected_target_sha.as_deref())
        .map(|sha| input::commit_id("expected_target_sha", sha))
        .transpose()?;
    let message = non_blank(request.commit_message.as_deref())
        .map(message)
        .transpose()?;
    let person = |field, person: &Option<packhouse_api::Person>| {
        let person = person.as_ref();
        person.map(|person| signature(field, person)).transpose()
    };
    let turn = state.merges.take(&caller.turn_for()).await;
    let turn = turn.map_err(ApiError::from)?;
    let asked = repo::MergeBranch {
        source: source.1,
        target,
        strategy: match request.strategy {
            MergeStrategy::Merge => repo::MergeStrategy::Merge,
            MergeStrategy::FfOnly => repo::MergeStrategy::FastForwardOnly,
            MergeStrategy::FfPrefer => repo::MergeStrategy::FastForwardPreferred,
        },
        squash: request.squash,
        allow_unrelated: request.allow_unrelated_histories,
        expected_target,
        message,
        author: person("author", &request.author)?,
        committer: person("committer", &request.committer)?,
        merged_bytes: state.limits.merged_bytes,
        policy: state.policy(&caller).await?,
        who: caller.who().to_owned(),
    };
    // A task of its own, so that the turn is not free again before the work is over, whoever has left meanwhile.
    let merging = tokio::spawn(async move {
        let _turn = turn;
        repository.merge_branch(asked).await
    });
    let merged = merging.await?.map_err(refused)?;
    Ok(Json(MergedBranches {
        result: result(merged.kind),
        commit_sha: merged.new.to_string(),
        tree_sha: merged.tree.to_string(),
        source: MergeSource {
            branch: source.0.clone(),
            rev: source.0,
            ephemeral: request.source_is_ephemeral,
            sha: merged.source.to_string(),
        },
        target: MergeTarget {
            branch: request.target_branch.trim().to_owned(),
            ephemeral: request.target_is_ephemeral,
            old_sha: merged.old.to_string(),
            new_sha: merged.new.to_string(),
        },
        promoted_commits: merged.promoted,
        merge_base_sha: sha(merged.base),
    }))
}

/// Tells what a merge would come to. Always 200, in conflict or not; histories that have nothing in common are merged
/// as if that were allowed.
#[utoipa::path(
    get, path = "/api/v1/repos/merge/preview", operation_id = "preview_merge", tag = "merges", params(PreviewMergeQuery),
    responses(
        (status = 200, body = MergePreview), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = MergeErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn preview(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PreviewMergeQuery>,
) -> Result<Json<MergePreview>, MergeFailure> {
    let repository = state.open(&caller, Scope::GitRead).await?;
    let (source_branch, source) = source(
        query.source_ref.as_deref(),
        query.source_branch.as_deref(),
        query.source_is_ephemeral == Some(true),
    )?;
    let target_namespace = namespace(query.target_is_ephemeral);
    let target = input::branch("target_branch", &query.target_branch, target_namespace)?;
    let view = repository.view().await?;
    let with_content = query.include_content == Some(true);
    let turn = state.diffs.take(&caller.turn_for()).await;
    let turn = turn.map_err(ApiError::from)?;
    let abandoned = Abandoned::default();
    let bounds = repo::MergeBounds {
        merged_bytes: state.limits.merged_bytes,
        stop: Some(StopMerge::when(abandoned.flag())),
    };
    let found = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let found = preview_merge(&view, &source, &target, bounds).map_err(refused)?;
        let shown = merge_preview::show(&found, with_content)?;
        Ok::<_, MergeFailure>((found, shown))
    });
    let (found, shown) = found.await??;
    Ok(Json(MergePreview {
        status: shown.status,
        result: result(found.kind),
        source_branch,
        target_branch: query.target_branch.trim().to_owned(),
        source_tip_sha: found.source.to_string(),
        target_tip_sha: found.target.to_string(),
        merge_base_sha: sha(found.base),
        conflict_paths: shown.paths,
        conflicts: shown.conflicts,
        filtered_conflicts: shown.filtered,
    }))
}

/// What is merged, with the name that the request has for it.
fn source(
    rev: Option<&str>,
    branch: Option<&str>,
    ephemeral: bool,
) -> Result<(String, repo::MergeSource), ApiError> {
    let namespace = namespace(Some(ephemeral));
    if let Some(rev) = non_blank(rev) {
        let rev = rev.to_owned();
        let source = repo::MergeSource::Revision {
            rev: rev.clone(),
            namespace,
        };
        return Ok((rev, source));
    }
    let branch = non_blank(branch)
        .ok_or_else(|| ApiError::invalid("`source_branch` or `source_ref` is needed"))?;
    let name = input::branch("source_branch", branch, namespace)?;
    Ok((branch.to_owned(), repo::MergeSource::Branch(name)))
}

fn result(kind: repo::MergeKind) -> MergeResult {
    match kind {
        repo::MergeKind::NoOp => MergeResult::NoOp,
        repo::MergeKind::FastForward => MergeResult::FastForward,
        repo::MergeKind::MergeCommit => MergeResult::MergeCommit,
        repo::MergeKind::Squash => MergeResult::Squash,
    }
}

fn sha(id: Option<ObjectId>) -> Option<String> {
    id.map(|id| id.to_string())
}

pub(super) fn texts(paths: &[BString]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn refused(error: MergeBranchError) -> MergeFailure {
    let text = error.to_string();
    match error {
        MergeBranchError::SourceMissing { .. } | MergeBranchError::TargetMissing { .. } => {
            ApiError::new(ErrorCode::RefNotFound, text).into()
        }
        MergeBranchError::HeadMoved { .. } => ApiError::new(ErrorCode::HeadMoved, text).into(),
        MergeBranchError::Conflict { paths, base } => MergeFailure {
            conflict_paths: texts(&paths),
            merge_base_sha: sha(base),
            ..ApiError::new(ErrorCode::MergeConflict, text).into()
        },
        MergeBranchError::NotFastForward { base, .. } => MergeFailure {
            merge_base_sha: sha(base),
            ..ApiError::new(ErrorCode::MergeConflict, text).into()
        },
        MergeBranchError::MessageMissing => {
            ApiError::invalid(format!("{text}: `commit_message`")).into()
        }
        MergeBranchError::AuthorMissing => ApiError::invalid(format!("{text}: `author`")).into(),
        MergeBranchError::Denied { .. } => ApiError::new(ErrorCode::PolicyDenied, text).into(),
        MergeBranchError::Merge(error) => merge_refused(error).into(),
        MergeBranchError::Repo(error) => error.into(),
        error => ApiError::failed(&error).into(),
    }
}

/// Why trees could not be merged.
pub(super) fn merge_refused(error: MergeError) -> ApiError {
    match error {
        MergeError::Unrelated => ApiError::new(
            ErrorCode::MergeConflict,
            "the histories have nothing in common; set `allow_unrelated_histories` to merge them all the same",
        ),
        MergeError::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, error.to_string()),
        MergeError::Read(error) => error.into(),
        error => ApiError::new(ErrorCode::MergeConflict, chain(&error)),
    }
}
