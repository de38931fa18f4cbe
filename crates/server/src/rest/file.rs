//! `/repos/file`: one file, whole or in part.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED,
    RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use packhouse_api::{ErrorBody, ErrorCode, FileQuery};
use packhouse_object::{HistoryIndex, ObjectId, ObjectStream, RepoPath, find_path};
use packhouse_repo::{Repository, View};

use super::conditions::{self, Outcome, Validators};
use super::input::{self, Query, shown};
use super::range::{self, Asked};
use super::{last_commit, namespace, resolve, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::stream::written_by;

const BLOB_SHA: HeaderName = HeaderName::from_static("x-blob-sha");
const LAST_COMMIT_SHA: HeaderName = HeaderName::from_static("x-last-commit-sha");

/// Files up to this size are read at once instead of streamed, in bytes.
const MAX_WHOLE_BYTES: u64 = 256 << 10;

/// Commits looked at one by one for a file, past which the index of the history is worth its making.
const MANY_COMMITS: usize = 64;

/// Reads a file. `HEAD` answers with the same headers and no body.
#[utoipa::path(
    get, path = "/api/v1/repos/file", operation_id = "get_file", tag = "files", params(FileQuery),
    responses(
        (status = 200, content_type = "application/octet-stream", description = "the file"),
        (status = 206, content_type = "application/octet-stream", description = "the part that `Range` asks for"),
        (status = 304, description = "`If-None-Match` or `If-Modified-Since` holds"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 412, body = ErrorBody), (status = 416, body = ErrorBody),
    )
)]
pub(crate) async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<FileQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = input::path(&query.path)?;
    let repository = state.open(&caller, Scope::GitRead).await?;
    let view = repository.view().await?;
    let index = repository.history().await;
    tokio::task::spawn_blocking(move || {
        let located = Located::find(&view, &query, &path)?;
        let last_commit = last_change(&state, &repository, &view, &index, &located, &path)?;
        let file = File {
            blob: located.blob,
            size: located.size,
            etag: format!("\"{}\"", located.blob),
            last_commit,
        };
        let validators = Validators {
            etag: &file.etag,
            last_modified: file.last_commit.map(|(_, at)| at),
        };
        match conditions::evaluate(&headers, validators) {
            Outcome::Proceed => {}
            Outcome::NotModified => {
                return Ok((StatusCode::NOT_MODIFIED, file.headers()).into_response());
            }
            Outcome::Failed => {
                let message = "the file is not what `If-Match` or `If-Unmodified-Since` expects";
                return Err(ApiError::new(ErrorCode::PreconditionFailed, message));
            }
        }
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
        let range = range.filter(|_| conditions::range_applies(&headers, validators));
        let (status, part) = match range::parse(range, file.size) {
            Asked::Whole => (StatusCode::OK, 0..file.size),
            Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Asked::Beyond => return Err(ApiError::range_not_satisfiable(file.size)),
        };
        let mut headers = file.headers();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{}", part.start, part.end - 1, file.size);
            headers.insert(CONTENT_RANGE, header_value(&range));
        }
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            content(&view, &file, part)?
        };
        Ok((status, headers, body).into_response())
    })
    .await?
}

/// A file as the headers describe it.
struct File {
    blob: ObjectId,
    size: u64,
    etag: String,
    last_commit: Option<(ObjectId, i64)>,
}

impl File {
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        headers.insert(VARY, HeaderValue::from_static("Authorization"));
        headers.insert(ETAG, header_value(&self.etag));
        headers.insert(BLOB_SHA, header_value(&self.blob.to_string()));
        if let Some((commit, at)) = self.last_commit {
            headers.insert(LAST_COMMIT_SHA, header_value(&commit.to_string()));
            if let Some(date) = time::http_date(at) {
                headers.insert(LAST_MODIFIED, header_value(&date));
            }
        }
        headers
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids, dates and numbers are visible ASCII")
}

/// Where a file is.
struct Located {
    commit: ObjectId,
    blob: ObjectId,
    size: u64,
}

impl Located {
    fn find(view: &View, query: &FileQuery, path: &RepoPath) -> Result<Located, ApiError> {
        let database = view.database();
        let ephemeral = query.ephemeral.or(query.ephemeral_base);
        let commit = resolve(view, query.r#ref.as_deref(), namespace(ephemeral))?.id;
        let tree = database.commit(commit)?.tree;
        let missing = |what: &str| {
            ApiError::new(
                ErrorCode::PathNotFound,
                format!("{what} `{}`", shown(&query.path)),
            )
        };
        let entry = find_path(database, tree, path)?.ok_or_else(|| missing("no file"))?;
        if entry.mode.is_tree() {
            return Err(missing("not a file but a folder:"));
        }
        // A submodule's commit is not an object of this repository.
        let header = database
            .header(&entry.id)?
            .ok_or_else(|| missing("not a file but a submodule:"))?;
        Ok(Located {
            commit,
            blob: entry.id,
            size: header.size,
        })
    }
}

/// The commit that changed a file last, and when. Reading a file does not wait for the index of the history to be
/// made, but has it made where it was missed.
fn last_change(
    state: &AppState,
    repository: &Repository,
    view: &Arc<View>,
    index: &HistoryIndex,
    located: &Located,
    path: &RepoPath,
) -> Result<Option<(ObjectId, i64)>, ApiError> {
    let key = (located.commit, path.as_bytes().to_vec());
    if let Some(known) = state.last_commits.get(&key) {
        return Ok(known);
    }
    let most = state.limits.last_commit_walk;
    let found = last_commit::find(view.database(), index, located.commit, path, most)?;
    if found.walked > MANY_COMMITS {
        repository.extend_history_later(view, located.commit);
    }
    let change = found.change.map(|change| (change.commit, change.seconds));
    if change.is_some() {
        state.last_commits.insert(key, change);
    }
    Ok(change)
}

fn content(view: &View, file: &File, part: Range<u64>) -> Result<Body, ApiError> {
    let gone = || ApiError::internal(format!("blob {} is gone", file.blob));
    if file.size <= MAX_WHOLE_BYTES {
        let data: Bytes = view.database().read(&file.blob)?.ok_or_else(gone)?.data;
        // Both ends are at most `MAX_WHOLE_BYTES`.
        return Ok(Body::from(
            data.slice(part.start as usize..part.end as usize),
        ));
    }
    let stream = view.database().stream(&file.blob)?.ok_or_else(gone)?;
    Ok(written_by(move |out| copy_part(stream, part, out)))
}

fn copy_part(
    mut stream: ObjectStream,
    part: Range<u64>,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let (mut at, mut left) = (0, part.end - part.start);
    while left > 0 {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Deflated data has no other way to its middle than through its start.
        let skip = usize::try_from(part.start.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(count);
        let send = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(count - skip);
        out.write_all(&buffer[skip..skip + send])?;
        at += count as u64;
        left -= send as u64;
    }
    Ok(())
}
