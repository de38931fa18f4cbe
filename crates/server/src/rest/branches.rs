//! `/repos/branches`: list, create and promote, delete branches.

use std::collections::BinaryHeap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use bstr::ByteSlice;
use packhouse_api::{
    BranchDetails, BranchInfo, CreateBranch, CreatedBranch, DeleteBranch, DeletedBranch, ErrorBody,
    ErrorCode, FoundBranch, GetBranchQuery, ListBranchesQuery, ListedBranches,
};
use packhouse_object::{BString, ObjectId};
use packhouse_repo::{self as repo, BranchError, Namespace, View};

use super::input::{self, Query, read_json};
use super::page::{List, foreign_cursor};
use super::{namespace, page, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Lists branches, oldest first.
#[utoipa::path(
    get, path = "/api/v1/repos/branches", operation_id = "list_branches", tag = "branches", params(ListBranchesQuery),
    responses(
        (status = 200, body = ListedBranches), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListBranchesQuery>,
) -> Result<Json<ListedBranches>, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let limit = page::limit(query.limit, 20, 100);
    let ephemeral = query.ephemeral.unwrap_or(false).to_string();
    let list = List::new("branches", &[caller.repo()?, &ephemeral]);
    let after = list.after(query.cursor.as_deref())?;
    let after = after
        .map(|place| Place::parse(&place).ok_or_else(|| foreign_cursor(&list.cursor(&place))))
        .transpose()?;
    let mut found = oldest(&view, namespace(query.ephemeral), after.as_ref(), limit + 1);
    let has_more = page::cut(&mut found, limit);
    let branches: Vec<BranchInfo> = found
        .into_iter()
        .map(|(place, head)| info(&list, place, head))
        .collect();
    let next_cursor = branches
        .last()
        .filter(|_| has_more)
        .map(|branch| branch.cursor.clone());
    Ok(Json(ListedBranches {
        branches,
        next_cursor,
        has_more,
    }))
}

/// Describes one branch.
#[utoipa::path(
    get, path = "/api/v1/repos/branch", operation_id = "get_branch", tag = "branches", params(GetBranchQuery),
    responses(
        (status = 200, body = FoundBranch), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn find(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<GetBranchQuery>,
) -> Result<Json<FoundBranch>, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let name = input::branch("name", &query.name, namespace(query.ephemeral))?;
    let Some(entry) = view.refs().get(&name) else {
        return Err(refused(BranchError::Missing { name }));
    };
    Ok(Json(FoundBranch {
        branch: BranchDetails {
            name: query.name.trim().to_owned(),
            head_sha: entry.target.to_string(),
            created_at: time::rfc3339(entry.created_at_ms / 1000),
        },
    }))
}

/// Creates a branch, moves one forward, or copies one from the one namespace to the other. Always 200.
#[utoipa::path(
    post, path = "/api/v1/repos/branches/create", operation_id = "create_branch", tag = "branches", request_body = CreateBranch,
    responses(
        (status = 200, body = CreatedBranch), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<CreatedBranch>, ApiError> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: CreateBranch = read_json(body, state.limits.json_bytes).await?;
    let named = [request.base_ref.as_deref(), request.base_branch.as_deref()];
    let base = named
        .into_iter()
        .flatten()
        .map(str::trim)
        .find(|base| !base.is_empty());
    let base = base.ok_or_else(|| ApiError::invalid("`base_ref` or `base_branch` is needed"))?;
    let target = input::branch(
        "target_branch",
        &request.target_branch,
        namespace(Some(request.target_is_ephemeral)),
    )?;
    let created = repository
        .create_branch(repo::CreateBranch {
            base: base.to_owned(),
            base_namespace: namespace(Some(request.base_is_ephemeral)),
            target,
            force: request.force,
            policy: state.policy(&caller).await?,
            who: caller.who().to_owned(),
        })
        .await
        .map_err(refused)?;
    Ok(Json(CreatedBranch {
        message: if created.created {
            "branch created"
        } else {
            "branch is up to date"
        }
        .to_owned(),
        target_branch: request.target_branch.trim().to_owned(),
        target_is_ephemeral: request.target_is_ephemeral,
        commit_sha: created.commit.to_string(),
    }))
}

/// Deletes a branch; the default branch cannot be deleted.
#[utoipa::path(
    delete, path = "/api/v1/repos/branches", operation_id = "delete_branch", tag = "branches", request_body = DeleteBranch,
    responses(
        (status = 200, body = DeletedBranch), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<DeletedBranch>, ApiError> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: DeleteBranch = read_json(body, state.limits.json_bytes).await?;
    let name = input::branch("name", &request.name, namespace(Some(request.ephemeral)))?;
    repository
        .delete_branch(repo::DeleteBranch {
            name,
            policy: caller.policy().clone(),
            who: caller.who().to_owned(),
        })
        .await
        .map_err(refused)?;
    let name = request.name.trim().to_owned();
    Ok(Json(DeletedBranch {
        message: format!("branch `{name}` deleted"),
        target_branch: name.clone(),
        name,
        ephemeral: request.ephemeral,
    }))
}

fn refused(error: BranchError) -> ApiError {
    let code = match &error {
        BranchError::BaseMissing { .. } | BranchError::Missing { .. } => ErrorCode::RefNotFound,
        BranchError::Exists { .. }
        | BranchError::NameTaken { .. }
        | BranchError::IsDefault { .. } => ErrorCode::Conflict,
        BranchError::Denied { .. } => ErrorCode::PolicyDenied,
        BranchError::Repo(_) => match error {
            BranchError::Repo(error) => return error.into(),
            error => return ApiError::failed(&error),
        },
    };
    ApiError::new(code, error.to_string())
}

/// Where a branch stands in the list. As a cursor: the list goes on after it, even if the branch is gone by then.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Place {
    created_at_ms: i64,
    /// Its bytes: two names that are not UTF-8 may look the same.
    name: BString,
}

impl Place {
    fn parse(place: &[u8]) -> Option<Place> {
        let (created, name) = place.split_once_str(":")?;
        Some(Place {
            created_at_ms: std::str::from_utf8(created).ok()?.parse().ok()?,
            name: name.into(),
        })
    }

    fn bytes(&self) -> Vec<u8> {
        [format!("{}:", self.created_at_ms).as_bytes(), &self.name].concat()
    }
}

/// The `limit` oldest branches behind `after`. Memory goes by `limit`, not by the number of branches.
fn oldest(
    view: &View,
    namespace: Namespace,
    after: Option<&Place>,
    limit: usize,
) -> Vec<(Place, ObjectId)> {
    let prefix = match namespace {
        Namespace::Default => "refs/heads/".to_owned(),
        Namespace::Ephemeral => format!("{}refs/heads/", namespace.prefix()),
    };
    let mut kept: BinaryHeap<(Place, ObjectId)> = BinaryHeap::new();
    for (name, value) in view.refs().prefixed(prefix.as_bytes()) {
        let full = kept.len() >= limit;
        let too_new = full
            && kept
                .peek()
                .is_some_and(|(last, _)| value.created_at_ms > last.created_at_ms);
        if too_new {
            continue;
        }
        let place = Place {
            created_at_ms: value.created_at_ms,
            name: name.as_bytes()[prefix.len()..].into(),
        };
        if after.is_some_and(|after| place <= *after) {
            continue;
        }
        kept.push((place, value.target));
        if kept.len() > limit {
            kept.pop();
        }
    }
    kept.into_sorted_vec()
}

fn info(list: &List, place: Place, head: ObjectId) -> BranchInfo {
    BranchInfo {
        cursor: list.cursor(&place.bytes()),
        name: place.name.to_string(),
        head_sha: head.to_string(),
        created_at: time::rfc3339(place.created_at_ms / 1000),
    }
}
