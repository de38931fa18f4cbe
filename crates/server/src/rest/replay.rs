//! `/repos/cherry-pick` and `/repos/revert`: commits made again on a branch, or undone on it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use packhouse_api::{
    ErrorBody, ErrorCode, MergeErrorBody, MergeTarget, ReplayCommits, ReplayResult, ReplayedCommit,
    ReplayedCommits, ReplayedResult,
};
use packhouse_repo::{self as repo, ReplayError, ReplayKind};

use super::commit_pack::{message, signature};
use super::input::{self, non_blank, read_json};
use super::merge::{merge_refused, texts};
use super::{namespace, time};
use crate::auth::{Caller, Scope};
use crate::error::{ApiError, MergeFailure};
use crate::state::AppState;

/// Makes on a branch again what a commit, or each commit of a range, changed. All of them or none.
#[utoipa::path(
    post, path = "/api/v1/repos/cherry-pick", operation_id = "cherry_pick", tag = "merges", request_body = ReplayCommits,
    responses(
        (status = 200, body = ReplayedCommits), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = MergeErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn cherry_pick(
    state: State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<ReplayedCommits>, MergeFailure> {
    replay(state.0, caller, body, ReplayKind::CherryPick).await
}

/// Undoes on a branch what a commit, or each commit of a range, changed. All of them or none.
#[utoipa::path(
    post, path = "/api/v1/repos/revert", operation_id = "revert", tag = "merges", request_body = ReplayCommits,
    responses(
        (status = 200, body = ReplayedCommits), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = MergeErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn revert(
    state: State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<ReplayedCommits>, MergeFailure> {
    replay(state.0, caller, body, ReplayKind::Revert).await
}

async fn replay(
    state: AppState,
    caller: Caller,
    body: Body,
    kind: ReplayKind,
) -> Result<Json<ReplayedCommits>, MergeFailure> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: ReplayCommits = read_json(body, state.limits.json_bytes).await?;
    let target_namespace = namespace(Some(request.target_is_ephemeral));
    let target = input::branch("target_branch", &request.target_branch, target_namespace)?;
    let person = |field, person: &Option<packhouse_api::Person>| {
        let person = person.as_ref();
        person.map(|person| signature(field, person)).transpose()
    };
    let turn = state.merges.take(&caller.turn_for()).await;
    let turn = turn.map_err(ApiError::from)?;
    let asked = repo::Replay {
        kind,
        commits: commits(&request)?,
        namespace: namespace(Some(request.source_is_ephemeral)),
        target,
        mainline: request.mainline,
        allow_empty: request.allow_empty,
        record_origin: request.record_origin,
        expected_target: non_blank(request.expected_target_sha.as_deref())
            .map(|sha| input::commit_id("expected_target_sha", sha))
            .transpose()?,
        message: non_blank(request.commit_message.as_deref())
            .map(message)
            .transpose()?,
        author: person("author", &request.author)?,
        committer: person("committer", &request.committer)?,
        now: time::now_seconds(),
        policy: caller.policy().clone(),
        merged_bytes: state.limits.merged_bytes,
        who: caller.who().to_owned(),
    };
    // A task of its own, so that the turn is not free again before the work is over, whoever has left meanwhile.
    let replaying = tokio::spawn(async move {
        let _turn = turn;
        repository.replay(asked).await
    });
    let replayed = replaying.await?.map_err(refused)?;
    let commit = |commit: &repo::ReplayedCommit| ReplayedCommit {
        source_sha: commit.source.to_string(),
        commit_sha: commit.made.map(|id| id.to_string()),
        result: match commit.made {
            Some(_) => ReplayedResult::Committed,
            None => ReplayedResult::Empty,
        },
    };
    Ok(Json(ReplayedCommits {
        result: match replayed.old == replayed.new {
            true => ReplayResult::NoOp,
            false => ReplayResult::Committed,
        },
        commit_sha: replayed.new.to_string(),
        tree_sha: replayed.tree.to_string(),
        target: MergeTarget {
            branch: request.target_branch.trim().to_owned(),
            ephemeral: request.target_is_ephemeral,
            old_sha: replayed.old.to_string(),
            new_sha: replayed.new.to_string(),
        },
        commits: replayed.commits.iter().map(commit).collect(),
    }))
}

/// Which commits a request means.
fn commits(request: &ReplayCommits) -> Result<repo::ReplayCommits, ApiError> {
    let commit = non_blank(request.commit.as_deref());
    let range = non_blank(request.range.as_deref());
    match (commit, range) {
        (Some(rev), None) => Ok(repo::ReplayCommits::One(rev.to_owned())),
        (None, Some(range)) => {
            let ends = range.split_once("..");
            let ends = ends.filter(|(from, to)| !from.is_empty() && !to.is_empty());
            // Three dots are another kind of range, and no name begins with a dot.
            let (from, to) = ends.filter(|(_, to)| !to.starts_with('.')).ok_or_else(|| {
                let range = input::shown(range);
                ApiError::invalid(format!("`range`: `{range}` is not of the form `A..B`"))
            })?;
            Ok(repo::ReplayCommits::Range {
                from: from.to_owned(),
                to: to.to_owned(),
            })
        }
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "`commit` and `range` do not go together: give one of them",
        )),
        (None, None) => Err(ApiError::invalid("one of `commit` and `range` is needed")),
    }
}

fn refused(error: ReplayError) -> MergeFailure {
    let text = error.to_string();
    match error {
        ReplayError::TargetMissing { .. } | ReplayError::CommitMissing { .. } => {
            ApiError::new(ErrorCode::RefNotFound, text).into()
        }
        ReplayError::HeadMoved { .. } => ApiError::new(ErrorCode::HeadMoved, text).into(),
        ReplayError::Conflict {
            commit,
            base,
            paths,
        } => MergeFailure {
            conflict_paths: texts(&paths),
            merge_base_sha: base.map(|id| id.to_string()),
            conflict_commit_sha: Some(commit.to_string()),
            ..ApiError::new(ErrorCode::MergeConflict, text).into()
        },
        ReplayError::MainlineMissing { .. } => {
            ApiError::invalid(format!("{text} (`mainline`)")).into()
        }
        ReplayError::AuthorMissing => ApiError::invalid(format!("{text}: `author`")).into(),
        ReplayError::NoSuchParent { .. } | ReplayError::TooMany | ReplayError::MessageForRange => {
            ApiError::invalid(text).into()
        }
        ReplayError::Denied { .. } => ApiError::new(ErrorCode::PolicyDenied, text).into(),
        ReplayError::Merge(error) => merge_refused(error).into(),
        ReplayError::Repo(error) => error.into(),
        error => ApiError::failed(&error).into(),
    }
}
