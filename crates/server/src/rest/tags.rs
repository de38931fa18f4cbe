//! `/repos/tags` and `/repos/tag`: list, create, describe, delete tags.

use axum::Json;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use packhouse_api::{
    CreateTag, CreatedTag, DeleteTag, DeletedTag, ErrorBody, ErrorCode, FoundTag, GetTagQuery,
    ListTagsQuery, ListedTags, TagInfo,
};
use packhouse_object::{ObjectId, ObjectKind, RefName};
use packhouse_repo::{self as repo, Ref, TagError, View};

use super::input::{Query, read_json, shown};
use super::page::{self, List};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

const PREFIX: &str = "refs/tags/";

/// Lists tags by name.
#[utoipa::path(
    get, path = "/api/v1/repos/tags", operation_id = "list_tags", tag = "tags", params(ListTagsQuery),
    responses(
        (status = 200, body = ListedTags), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListTagsQuery>,
) -> Result<Json<ListedTags>, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let limit = page::limit(query.limit, 20, 100);
    let list = list_of(&caller)?;
    let after = list.after(query.cursor.as_deref())?;
    let after = after
        .map(|short| {
            let name = RefName::parse([PREFIX.as_bytes(), &short[..]].concat());
            name.map_err(|_| page::foreign_cursor(&list.cursor(&short)))
        })
        .transpose()?;
    tokio::task::spawn_blocking(move || {
        let refs = view.refs();
        let mut tags: Vec<TagInfo> = match &after {
            None => take(&list, &view, refs.prefixed(PREFIX.as_bytes()), limit + 1)?,
            Some(after) => {
                let rest = refs.prefixed_after(PREFIX.as_bytes(), after);
                take(&list, &view, rest, limit + 1)?
            }
        };
        let has_more = page::cut(&mut tags, limit);
        let next_cursor = tags
            .last()
            .filter(|_| has_more)
            .map(|tag| tag.cursor.clone());
        Ok(Json(ListedTags {
            tags,
            next_cursor,
            has_more,
        }))
    })
    .await?
}

/// Describes one tag.
#[utoipa::path(
    get, path = "/api/v1/repos/tag", operation_id = "get_tag", tag = "tags", params(GetTagQuery),
    responses(
        (status = 200, body = FoundTag), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn find(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<GetTagQuery>,
) -> Result<Json<FoundTag>, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let name = full_name("name", &query.name)?;
    let list = list_of(&caller)?;
    tokio::task::spawn_blocking(move || {
        let Some(entry) = view.refs().get(&name) else {
            return Err(refused(TagError::Missing { name }));
        };
        let tag = info(&list, &view, &name, entry)?;
        Ok(Json(FoundTag { tag }))
    })
    .await?
}

/// Creates a lightweight tag. Always 200; a tag that is there already is never moved.
#[utoipa::path(
    post, path = "/api/v1/repos/tags", operation_id = "create_tag", tag = "tags", request_body = CreateTag,
    responses(
        (status = 200, body = CreatedTag), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<CreatedTag>, ApiError> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: CreateTag = read_json(body, state.limits.json_bytes).await?;
    let name = full_name("name", &request.name)?;
    let commit = repository
        .create_tag(repo::CreateTag {
            name,
            target: target(&request)?,
            policy: state.policy(&caller).await?,
            who: caller.who().to_owned(),
        })
        .await
        .map_err(refused)?;
    Ok(Json(CreatedTag {
        name: request.name.trim().to_owned(),
        sha: commit.to_string(),
        message: "tag created".to_owned(),
    }))
}

/// Deletes a tag.
#[utoipa::path(
    delete, path = "/api/v1/repos/tags", operation_id = "delete_tag", tag = "tags", request_body = DeleteTag,
    responses(
        (status = 200, body = DeletedTag), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<DeletedTag>, ApiError> {
    caller.need(Scope::GitWrite)?;
    let request: DeleteTag = read_json(body, state.limits.json_bytes).await?;
    delete_one(&state, &caller, &request.name).await
}

/// Deletes the tag that the path names.
#[utoipa::path(
    delete, path = "/api/repos/{repo}/tags/{name}", operation_id = "delete_named_tag", tag = "tags",
    params(
        ("repo" = String, Path, description = "The repository that the token names."),
        ("name" = String, Path, description = "Name of the tag, with `/` as `%2F`."),
    ),
    responses(
        (status = 200, body = DeletedTag), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn delete_named(
    State(state): State<AppState>,
    caller: Caller,
    params: RawPathParams,
) -> Result<Json<DeletedTag>, ApiError> {
    let name = params.iter().find(|(key, _)| *key == "name");
    let (_, name) = name.ok_or_else(|| ApiError::internal("a route without the name of a tag"))?;
    delete_one(&state, &caller, name).await
}

async fn delete_one(
    state: &AppState,
    caller: &Caller,
    name: &str,
) -> Result<Json<DeletedTag>, ApiError> {
    let repository = state.open(caller, Scope::GitWrite).await?;
    repository
        .delete_tag(repo::DeleteTag {
            name: full_name("name", name)?,
            policy: caller.policy().clone(),
            who: caller.who().to_owned(),
        })
        .await
        .map_err(refused)?;
    let name = name.trim().to_owned();
    Ok(Json(DeletedTag {
        message: format!("tag `{name}` deleted"),
        name,
    }))
}

fn list_of(caller: &Caller) -> Result<List, ApiError> {
    Ok(List::new("tags", &[caller.repo()?]))
}

fn take<'a>(
    list: &List,
    view: &View,
    refs: impl Iterator<Item = (&'a RefName, &'a Ref)>,
    limit: usize,
) -> Result<Vec<TagInfo>, ApiError> {
    refs.take(limit)
        .map(|(name, entry)| info(list, view, name, entry))
        .collect()
}

fn info(list: &List, view: &View, name: &RefName, entry: &Ref) -> Result<TagInfo, ApiError> {
    let short = name.strip_prefix(PREFIX).unwrap_or(name.as_bstr());
    let target = entry.peeled.unwrap_or(entry.target);
    let kind = view.database().header(&target)?.map(|header| header.kind);
    Ok(TagInfo {
        cursor: list.cursor(short),
        name: short.to_string(),
        sha: target.to_string(),
        tag_object_sha: entry.peeled.map(|_| entry.target.to_string()),
        target_type: kind
            .filter(|kind| *kind != ObjectKind::Commit)
            .map(|kind| kind.as_str().to_owned()),
    })
}

/// The ref of a tag that a request calls `name`; `field` says where.
fn full_name(field: &str, name: &str) -> Result<RefName, ApiError> {
    let name = name.trim();
    let problem = if name.is_empty() {
        "is empty"
    } else if name.starts_with("refs/") {
        "is a tag's name and does not start with `refs/`"
    } else if name.starts_with('-') {
        "does not start with `-`"
    } else {
        return RefName::parse(format!("{PREFIX}{name}"))
            .map_err(|error| ApiError::invalid(format!("`{field}`: {error}")));
    };
    Err(ApiError::invalid(format!("`{field}` {problem}")))
}

/// The revision to tag. `target` has always been a whole id; `ref` is any revision.
fn target(request: &CreateTag) -> Result<String, ApiError> {
    let given = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim)?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    if let Some(rev) = given(&request.r#ref) {
        return Ok(rev);
    }
    let target = given(&request.target)
        .ok_or_else(|| ApiError::invalid("`target`, the commit to tag, is needed"))?;
    let is_whole_id = ObjectId::from_hex(target.as_bytes()).is_ok()
        && !target.bytes().any(|byte| byte.is_ascii_uppercase());
    if !is_whole_id {
        return Err(ApiError::invalid(format!(
            "`target` is `{}`, not the id of a commit: 40 lower-case hexadecimal digits",
            shown(&target)
        )));
    }
    Ok(target)
}

fn refused(error: TagError) -> ApiError {
    let code = match &error {
        TagError::TargetMissing { .. } | TagError::Missing { .. } => ErrorCode::RefNotFound,
        TagError::NotACommit { .. } => ErrorCode::Invalid,
        TagError::Exists { .. } | TagError::NameTaken { .. } => ErrorCode::Conflict,
        TagError::Denied { .. } => ErrorCode::PolicyDenied,
        TagError::Repo(_) => match error {
            TagError::Repo(error) => return error.into(),
            error => return ApiError::failed(&error),
        },
    };
    ApiError::new(code, error.to_string())
}
