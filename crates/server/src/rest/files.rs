//! `/repos/files`: the files of a tree.

use std::io::{self, Write};
use std::ops::ControlFlow;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use packhouse_api::{EntryKind, ErrorBody, ErrorCode, FileEntry, ListFilesQuery, ListedFiles};
use packhouse_object::{
    Database, EntryMode, ObjectId, ReadError, RepoPath, TreeChange, diff_trees, find_path,
};
use packhouse_repo::{self as repo, FileList, ListFiles, View, list_files};

use super::input::{self, Query, shown};
use super::page::List;
use super::{namespace, page, resolve, shown_ref};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::stream::written_by;

/// A page ends early when its paths have this many bytes. Folders nest as deep as a push makes them, and every path
/// names all of them.
pub(super) const MAX_PAGE_PATH_BYTES: usize = 4 << 20;

/// Lists files. Everything at once unless `cursor` or `limit` is given.
#[utoipa::path(
    get, path = "/api/v1/repos/files", operation_id = "list_files", tag = "files", params(ListFilesQuery),
    responses(
        (status = 200, body = ListedFiles), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListFilesQuery>,
) -> Result<Response, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let folder = folder(query.path.as_deref())?;
    let word = match query.recursive {
        Some(false) => "folder",
        _ => "files",
    };
    let pages = pages(
        word,
        &caller,
        &query.r#ref,
        folder.as_ref(),
        query.ephemeral,
    )?;
    tokio::task::spawn_blocking(move || {
        let found = resolve(&view, query.r#ref.as_deref(), namespace(query.ephemeral))?;
        let root = view.database().commit(found.id)?.tree;
        let name = shown_ref(&found);
        let recursive = query.recursive.unwrap_or(true);
        if query.cursor.is_none() && query.limit.is_none() && recursive {
            return everything(&view, root, folder, name);
        }
        let paginated = query.cursor.is_some() || query.limit.is_some();
        let (limit, path_bytes) = if paginated {
            (page::limit(query.limit, 1000, 5000), MAX_PAGE_PATH_BYTES)
        } else {
            (usize::MAX, usize::MAX)
        };
        let after = pages.after(query.cursor.as_deref())?;
        let asked = ListFiles {
            tree: root,
            path: folder.clone(),
            recursive,
            after,
            limit,
            path_bytes,
        };
        let FileList { entries, has_more } =
            list_files(view.database(), &asked)?.ok_or_else(|| no_folder(folder.as_ref()))?;
        let next_cursor = entries
            .last()
            .filter(|_| has_more)
            .map(|last| pages.cursor(&last.path));
        let is_file = |entry: &&repo::FileEntry| !entry.mode.is_tree();
        Ok(Json(ListedFiles {
            paths: entries
                .iter()
                .filter(is_file)
                .map(|entry| entry.path.to_string())
                .collect(),
            entries: entries
                .iter()
                .map(|entry| described(entry.path.to_string(), entry.mode))
                .collect(),
            r#ref: name,
            next_cursor,
            has_more: paginated.then_some(has_more),
        })
        .into_response())
    })
    .await?
}

/// The whole list, written as the tree is walked: a million files pass through without being held.
fn everything(
    view: &View,
    root: ObjectId,
    folder: Option<RepoPath>,
    name: String,
) -> Result<Response, ApiError> {
    let database = view.database().clone();
    let (tree, prefix) = match &folder {
        None => (root, String::new()),
        Some(path) => {
            let entry =
                find_path(&database, root, path)?.ok_or_else(|| no_folder(folder.as_ref()))?;
            if !entry.mode.is_tree() {
                return Ok(single(path, entry.mode, name));
            }
            (entry.id, format!("{}/", path.as_bstr()))
        }
    };
    let body = written_by(move |out| {
        out.write_all(b"{\"paths\":[")?;
        let mut comma = false;
        walk(&database, tree, &prefix, &mut |path, _| {
            item(out, &mut comma, &path)
        })?;
        out.write_all(b"],\"entries\":[")?;
        comma = false;
        walk(&database, tree, &prefix, &mut |path, mode| {
            item(out, &mut comma, &described(path, mode))
        })?;
        out.write_all(b"],\"ref\":")?;
        serde_json::to_writer(&mut *out, &name)?;
        out.write_all(b"}")
    });
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn item(out: &mut impl Write, comma: &mut bool, value: &impl serde::Serialize) -> io::Result<()> {
    if std::mem::replace(comma, true) {
        out.write_all(b",")?;
    }
    Ok(serde_json::to_writer(out, value)?)
}

/// Visits every file below `tree`.
fn walk(
    database: &Database,
    tree: ObjectId,
    prefix: &str,
    visit: &mut dyn FnMut(String, EntryMode) -> io::Result<()>,
) -> io::Result<()> {
    let mut outcome = Ok(());
    diff_trees(
        database,
        None,
        Some(tree),
        &mut |TreeChange { path, new, .. }| {
            let Some((mode, _)) = new else {
                return ControlFlow::Continue(());
            };
            outcome = visit(format!("{prefix}{path}"), mode);
            if outcome.is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )
    .map_err(|error: ReadError| io::Error::other(error))?;
    outcome
}

/// A list of the files below `folder`, whose cursors go on behind a path.
pub(super) fn pages(
    word: &'static str,
    caller: &Caller,
    r#ref: &Option<String>,
    folder: Option<&RepoPath>,
    ephemeral: Option<bool>,
) -> Result<List, ApiError> {
    let folder = folder.map_or_else(String::new, |path| path.as_bstr().to_string());
    let ephemeral = ephemeral.unwrap_or(false).to_string();
    let r#ref = r#ref.as_deref().unwrap_or_default();
    Ok(List::new(
        word,
        &[caller.repo()?, r#ref, &folder, &ephemeral],
    ))
}

/// The list for a `path` that is a file: the file.
fn single(path: &RepoPath, mode: EntryMode, name: String) -> Response {
    let path = path.as_bstr().to_string();
    Json(ListedFiles {
        paths: vec![path.clone()],
        entries: vec![described(path, mode)],
        r#ref: name,
        next_cursor: None,
        has_more: None,
    })
    .into_response()
}

/// The failure where `path` names nothing.
pub(super) fn no_folder(folder: Option<&RepoPath>) -> ApiError {
    let folder = folder
        .map(|path| path.as_bstr().to_string())
        .unwrap_or_default();
    ApiError::new(
        ErrorCode::PathNotFound,
        format!("no file or folder `{}`", shown(&folder)),
    )
}

fn described(path: String, mode: EntryMode) -> FileEntry {
    FileEntry {
        path,
        r#type: kind(mode),
        mode: shown_mode(mode),
    }
}

/// What an entry is, as clients are told.
pub(super) fn kind(mode: EntryMode) -> EntryKind {
    match mode {
        EntryMode::Tree => EntryKind::Tree,
        EntryMode::Symlink => EntryKind::Symlink,
        EntryMode::Submodule => EntryKind::Submodule,
        EntryMode::Blob | EntryMode::Executable => EntryKind::Blob,
    }
}

/// Six digits; Git itself writes the mode of a folder with five.
pub(super) fn shown_mode(mode: EntryMode) -> String {
    format!("{:0>6}", mode.as_str())
}

/// The folder that a request names, if it is not the root.
pub(super) fn folder(path: Option<&str>) -> Result<Option<RepoPath>, ApiError> {
    let path = path.map(|path| path.trim_matches('/'));
    path.filter(|path| !path.is_empty())
        .map(input::path)
        .transpose()
}
