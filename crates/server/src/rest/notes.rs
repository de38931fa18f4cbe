//! `/repos/notes`: notes about objects, and the refs that hold them.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use packhouse_api::{
    self as api, DeleteNote, ErrorBody, ErrorCode, FoundNote, GetNoteQuery, ListNotesRefsQuery,
    ListedNotesRefs, NoteResult, NotesRefInfo, Person, RefusedNote, ResultStatus, WriteNote,
    WrittenNote,
};
use packhouse_object::{BString, ObjectId, RefName, Signature};
use packhouse_repo::{NoteAction, NoteError, NoteRequest, Ref, Repository, View, note as note_of};

use super::commit_pack::signature;
use super::input::{Query, read_json, shown};
use super::page::List;
use super::{page, resolve, time};
use crate::auth::{Caller, Scope};
use crate::error::{ApiError, NoteFailure};
use crate::state::AppState;

const PREFIX: &str = "refs/notes/";
/// The ref that `git notes` uses by itself.
const DEFAULT: &str = "refs/notes/commits";

/// Reads a note.
#[utoipa::path(
    get, path = "/api/v1/repos/notes", operation_id = "get_note", tag = "notes", params(GetNoteQuery),
    responses(
        (status = 200, body = FoundNote), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<GetNoteQuery>,
) -> Result<Json<FoundNote>, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let notes_ref = notes_ref(&state, query.r#ref.as_deref())?;
    tokio::task::spawn_blocking(move || {
        let object = object(&view, &query.sha)?;
        let missing = || {
            let message = format!("{object} has no note in `{notes_ref}`");
            ApiError::new(ErrorCode::RefNotFound, message)
        };
        let note = note_of(&view, &notes_ref, &object)?.ok_or_else(missing)?;
        let tip = view.refs().get(&notes_ref).ok_or_else(missing)?.target;
        let text = note.strip_suffix(b"\n").unwrap_or(&note);
        Ok(Json(FoundNote {
            sha: object.to_string(),
            note: String::from_utf8_lossy(text).into_owned(),
            ref_sha: tip.to_string(),
        }))
    })
    .await?
}

/// Adds a note, or appends to one.
#[utoipa::path(
    post, path = "/api/v1/repos/notes", operation_id = "write_note", tag = "notes", request_body = WriteNote,
    responses(
        (status = 200, body = WrittenNote), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = RefusedNote), (status = 404, body = RefusedNote), (status = 409, body = RefusedNote),
        (status = 413, body = RefusedNote),
    )
)]
pub(crate) async fn write(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<WrittenNote>, NoteFailure> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: WriteNote = read_json(body, state.limits.json_bytes).await?;
    let text = request.note.trim();
    if text.is_empty() {
        return Err(ApiError::invalid("`note` is empty").into());
    }
    // As git does; readers of the API get the note without it again.
    let text = BString::from(format!("{text}\n"));
    let target = Target {
        sha: request.sha,
        notes_ref: notes_ref(&state, request.r#ref.as_deref())?,
        expected: expected(request.expected_ref_sha.as_deref())?,
        author: author(request.author.as_ref())?,
    };
    let action = match request.action {
        api::NoteAction::Add => NoteAction::Add(text),
        api::NoteAction::Append => NoteAction::Append(text),
    };
    change(&repository, &caller, target, action).await
}

/// Deletes a note.
#[utoipa::path(
    delete, path = "/api/v1/repos/notes", operation_id = "delete_note", tag = "notes", request_body = DeleteNote,
    responses(
        (status = 200, body = WrittenNote), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = RefusedNote), (status = 404, body = RefusedNote), (status = 409, body = RefusedNote),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Json<WrittenNote>, NoteFailure> {
    let repository = state.open(&caller, Scope::GitWrite).await?;
    let request: DeleteNote = read_json(body, state.limits.json_bytes).await?;
    let target = Target {
        sha: request.sha,
        notes_ref: notes_ref(&state, request.r#ref.as_deref())?,
        expected: expected(request.expected_ref_sha.as_deref())?,
        author: author(request.author.as_ref())?,
    };
    change(&repository, &caller, target, NoteAction::Remove).await
}

/// Lists the refs that hold notes.
#[utoipa::path(
    get, path = "/api/v1/repos/notes/refs", operation_id = "list_notes_refs", tag = "notes", params(ListNotesRefsQuery),
    responses(
        (status = 200, body = ListedNotesRefs), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list_refs(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListNotesRefsQuery>,
) -> Result<Json<ListedNotesRefs>, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    if !state.limits.custom_notes_refs {
        return Err(not_enabled());
    }
    let prefix = full("prefix", query.prefix.as_deref().unwrap_or_default())?;
    let limit = page::limit(query.limit, 20, 100);
    let list = List::new("notes", &[caller.repo()?, &prefix]);
    let after = list.after(query.cursor.as_deref())?;
    let after = after
        .map(|name| {
            let parsed = RefName::parse(name.clone()).ok();
            parsed
                .filter(|parsed| parsed.as_bytes().starts_with(prefix.as_bytes()))
                .ok_or_else(|| page::foreign_cursor(&list.cursor(&name)))
        })
        .transpose()?;
    let refs = view.refs();
    let mut found = match &after {
        None => take(&list, refs.prefixed(prefix.as_bytes()), limit + 1),
        Some(after) => take(
            &list,
            refs.prefixed_after(prefix.as_bytes(), after),
            limit + 1,
        ),
    };
    let has_more = page::cut(&mut found, limit);
    let next_cursor = found
        .last()
        .filter(|_| has_more)
        .map(|last| last.cursor.clone());
    Ok(Json(ListedNotesRefs {
        refs: found,
        next_cursor,
        has_more,
        prefix,
    }))
}

fn take<'a>(
    list: &List,
    refs: impl Iterator<Item = (&'a RefName, &'a Ref)>,
    limit: usize,
) -> Vec<NotesRefInfo> {
    refs.take(limit)
        .map(|(name, entry)| NotesRefInfo {
            cursor: list.cursor(name.as_bytes()),
            r#ref: name.to_string(),
            sha: entry.target.to_string(),
        })
        .collect()
}

/// Which note a request is about, and who asks.
struct Target {
    sha: String,
    notes_ref: RefName,
    expected: Option<ObjectId>,
    author: Signature,
}

async fn change(
    repository: &Repository,
    caller: &Caller,
    target: Target,
    action: NoteAction,
) -> Result<Json<WrittenNote>, NoteFailure> {
    let view = repository.view().await.map_err(ApiError::from)?;
    let (sha, target_ref) = (target.sha.trim().to_owned(), target.notes_ref.to_string());
    let named = sha.clone();
    let object = tokio::task::spawn_blocking(move || object(&view, &named))
        .await
        .map_err(ApiError::from)?;
    let object = object.map_err(|error| match error.code() {
        ErrorCode::RefNotFound => NoteFailure::Note {
            error,
            sha: sha.clone(),
            target_ref: target_ref.clone(),
            base_commit: None,
        },
        _ => NoteFailure::Request(error),
    })?;
    let request = NoteRequest {
        notes_ref: target.notes_ref,
        object,
        action,
        expected: target.expected,
        author: target.author,
        policy: caller.policy().clone(),
        who: caller.who().to_owned(),
    };
    let sha = object.to_string();
    match repository.change_note(request).await {
        Ok(outcome) => Ok(Json(WrittenNote {
            sha,
            notes_ref: target_ref.clone(),
            target_ref,
            base_commit: outcome.base.map(|id| id.to_string()),
            new_ref_sha: outcome.commit.to_string(),
            result: NoteResult {
                success: true,
                status: ResultStatus::Ok,
                message: None,
            },
        })),
        Err(error) => Err(refused(error, sha, target_ref)),
    }
}

fn refused(error: NoteError, sha: String, target_ref: String) -> NoteFailure {
    let code = match &error {
        NoteError::ObjectMissing { .. } | NoteError::Missing { .. } => ErrorCode::RefNotFound,
        NoteError::Exists { .. } | NoteError::NameTaken { .. } | NoteError::NotNotes { .. } => {
            ErrorCode::Conflict
        }
        NoteError::RefMoved { .. } => ErrorCode::HeadMoved,
        NoteError::TooLong { .. } => ErrorCode::TooLarge,
        NoteError::Collision(_) => return ApiError::invalid(error.to_string()).into(),
        NoteError::Denied { .. } => ErrorCode::PolicyDenied,
        NoteError::Repo(_) => match error {
            NoteError::Repo(error) => return ApiError::from(error).into(),
            error => return ApiError::failed(&error).into(),
        },
    };
    NoteFailure::Note {
        base_commit: error.found().map(|id| id.to_string()),
        error: ApiError::new(code, error.to_string()),
        sha,
        target_ref,
    }
}

/// The object that `sha` names: any, by its whole id, else a commit.
fn object(view: &Arc<View>, sha: &str) -> Result<ObjectId, ApiError> {
    let sha = sha.trim();
    if sha.is_empty() {
        return Err(ApiError::invalid("`sha` is empty"));
    }
    let Ok(id) = ObjectId::from_hex(sha.as_bytes()) else {
        return Ok(resolve(view, Some(sha), packhouse_repo::Namespace::Default)?.id);
    };
    Ok(id)
}

/// The ref of the notes that a request calls `name`.
fn notes_ref(state: &AppState, name: Option<&str>) -> Result<RefName, ApiError> {
    let name = match name.map(str::trim) {
        None | Some("") => DEFAULT.to_owned(),
        Some(name) => full("ref", name)?,
    };
    if name != DEFAULT && !state.limits.custom_notes_refs {
        return Err(not_enabled());
    }
    RefName::parse(&name).map_err(|error| ApiError::invalid(format!("`ref`: {error}")))
}

fn not_enabled() -> ApiError {
    ApiError::invalid("custom notes refs are not enabled")
}

/// `name` with all that stands before it in a ref's name; `field` says where it is from.
fn full(field: &str, name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if name.starts_with(PREFIX) {
        return Ok(name.to_owned());
    }
    if name.starts_with("refs/") {
        return Err(ApiError::invalid(format!(
            "`{field}` is `{}`, which is not below `{PREFIX}`",
            shown(name)
        )));
    }
    let short = name.strip_prefix("notes/").unwrap_or(name);
    Ok(format!("{PREFIX}{short}"))
}

fn expected(sha: Option<&str>) -> Result<Option<ObjectId>, ApiError> {
    match sha.map(str::trim) {
        None | Some("") => Ok(None),
        Some(sha) => match ObjectId::from_hex(sha.as_bytes()) {
            Ok(id) => Ok(Some(id)),
            Err(_) => Err(ApiError::invalid(format!(
                "`expected_ref_sha` is `{}`, not the id of a commit",
                shown(sha)
            ))),
        },
    }
}

/// Who writes the note. A token says who acts, but has no address.
fn author(person: Option<&Person>) -> Result<Signature, ApiError> {
    match person {
        Some(person) => signature("author", person),
        None => Ok(Signature {
            name: "Packhouse".into(),
            email: "packhouse@localhost".into(),
            seconds: time::now_seconds(),
            offset_minutes: 0,
        }),
    }
}
