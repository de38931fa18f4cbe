//! `/repos/files/metadata`: the files of a tree, each with its size and the commit that changed it last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use packhouse_api::{ErrorBody, FileMetadata, FilesMetadata, FilesMetadataQuery, LastCommit};
use packhouse_object::{BString, Commit, EntryMode, LastChange, ObjectId, RepoPath};
use packhouse_repo::{FileEntry, FileList, ListFiles, Repository, View, list_files};

use super::commits::MAX_PAGE_TEXT_BYTES;
use super::files::{MAX_PAGE_PATH_BYTES, folder, kind, no_folder, pages, shown_mode};
use super::input::Query;
use super::page::List;
use super::{namespace, page, resolve, shown_ref, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Lists files with the commit that changed each last.
#[utoipa::path(
    get, path = "/api/v1/repos/files/metadata", operation_id = "list_files_with_metadata", tag = "files", params(FilesMetadataQuery),
    responses(
        (status = 200, body = FilesMetadata), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<FilesMetadataQuery>,
) -> Result<Json<FilesMetadata>, ApiError> {
    let repository = state.open(&caller, Scope::GitRead).await?;
    let view = repository.view().await?;
    let listed = view.clone();
    let folder = folder(query.path.as_deref())?;
    let pages = pages(
        "metadata",
        &caller,
        &query.r#ref,
        folder.as_ref(),
        query.ephemeral,
    )?;
    let listing =
        tokio::task::spawn_blocking(move || Listing::read(&listed, &query, folder, pages));
    let listing = listing.await??;
    let changes = last_changes(&state, &repository, &view, &listing).await?;
    tokio::task::spawn_blocking(move || listing.answer(&view, &changes)).await?
}

/// The commits that changed the files of a page last.
async fn last_changes(
    state: &AppState,
    repository: &Repository,
    view: &Arc<View>,
    listing: &Listing,
) -> Result<Vec<Option<LastChange>>, ApiError> {
    let entries = listing.entries.iter();
    let paths: Vec<BString> = entries.map(|entry| entry.path.clone()).collect();
    let found = repository.last_changes(view, listing.commit, paths);
    match tokio::time::timeout(state.limits.history_wait, found).await {
        Ok(found) => Ok(found?),
        // It goes on being made.
        Err(_) => Err(ApiError::unavailable(
            "the index of this repository's history is being made; try again",
        )),
    }
}

/// A page of files.
struct Listing {
    commit: ObjectId,
    r#ref: String,
    pages: List,
    entries: Vec<FileEntry>,
    has_more: bool,
}

impl Listing {
    fn read(
        view: &View,
        query: &FilesMetadataQuery,
        folder: Option<RepoPath>,
        pages: List,
    ) -> Result<Listing, ApiError> {
        let found = resolve(view, query.r#ref.as_deref(), namespace(query.ephemeral));
        let found = found.map_err(|error| match query.ephemeral {
            // Unlike in other lists, says the API's contract.
            Some(true) if !view.refs().is_empty() => {
                ApiError::invalid(format!("`ephemeral`: {}", error.message()))
            }
            _ => error,
        })?;
        let asked = ListFiles {
            tree: view.database().commit(found.id)?.tree,
            path: folder.clone(),
            recursive: true,
            after: pages.after(query.cursor.as_deref())?,
            limit: page::limit(query.limit, 200, 1000),
            path_bytes: MAX_PAGE_PATH_BYTES,
        };
        let FileList { entries, has_more } =
            list_files(view.database(), &asked)?.ok_or_else(|| no_folder(folder.as_ref()))?;
        Ok(Listing {
            commit: found.id,
            r#ref: shown_ref(&found),
            pages,
            entries,
            has_more,
        })
    }

    fn answer(
        mut self,
        view: &View,
        changes: &[Option<LastChange>],
    ) -> Result<Json<FilesMetadata>, ApiError> {
        let mut files = Vec::with_capacity(self.entries.len());
        let mut commits = BTreeMap::new();
        let mut text_bytes = 0;
        for (entry, change) in self.entries.iter().zip(changes) {
            let change = change.ok_or_else(|| {
                ApiError::internal(format!("no commit of {} has {}", self.commit, entry.path))
            })?;
            if let Entry::Vacant(new) = commits.entry(change.commit.to_string()) {
                let commit = described(&view.database().commit(change.commit)?.in_utf8());
                text_bytes += commit.author.len() + commit.message.len();
                if text_bytes > MAX_PAGE_TEXT_BYTES && !files.is_empty() {
                    break;
                }
                new.insert(commit);
            }
            files.push(FileMetadata {
                path: entry.path.to_string(),
                mode: shown_mode(entry.mode),
                size: size(view, entry)?,
                last_commit_sha: change.commit.to_string(),
                r#type: kind(entry.mode),
            });
        }
        self.has_more |= files.len() < self.entries.len();
        self.entries.truncate(files.len());
        let last = self.entries.last();
        let next_cursor = last
            .filter(|_| self.has_more)
            .map(|last| self.pages.cursor(&last.path));
        Ok(Json(FilesMetadata {
            files,
            commits,
            r#ref: self.r#ref,
            next_cursor,
            has_more: self.has_more,
        }))
    }
}

fn size(view: &View, entry: &FileEntry) -> Result<u64, ApiError> {
    if entry.mode == EntryMode::Submodule {
        // Its commit is not an object of this repository.
        return Ok(0);
    }
    let header = view.database().header(&entry.id)?;
    let header = header.ok_or_else(|| ApiError::internal(format!("blob {} is gone", entry.id)))?;
    Ok(header.size)
}

fn described(commit: &Commit) -> LastCommit {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let message = commit.message.strip_suffix(b"\n");
    LastCommit {
        author: text(&commit.author.name),
        date: time::rfc3339(commit.committer.seconds),
        message: text(message.unwrap_or(&commit.message)),
    }
}
