//! `/repos/grep`: searching the files of a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue};
use packhouse_api::{
    ErrorBody, ErrorCode, GrepFileMatch, GrepLine, GrepLineType, GrepQueryInfo, GrepRepoInfo,
    GrepRequest, GrepResponse, GrepSkipReason, GrepSkippedFile,
};
use packhouse_object::{BString, ObjectId};
use packhouse_repo::{
    self as repo, GrepError, GrepPage, GrepPlace, GrepQuery, Interrupt, Namespace,
    PassedOverReason, PathFilter, PathFilterError, Pattern, View,
};

use super::input::read_json;
use super::{namespace, page, resolve, shown_ref};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Lines on either side of a match.
const MAX_CONTEXT: u32 = 1000;

/// Searches the files of a commit, line by line.
#[utoipa::path(
    post, path = "/api/v1/repos/grep", operation_id = "grep", tag = "files", request_body = GrepRequest,
    responses(
        (status = 200, body = GrepResponse, headers(("X-Cache" = String, description = "`HIT` or `MISS`"))),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 413, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(crate) async fn search(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<Response, ApiError> {
    let repository = state.open(&caller, Scope::GitRead).await;
    let repository = repository.map_err(|error| match error.code() {
        // Unlike elsewhere, says the API's contract.
        ErrorCode::SyncInProgress => ApiError::unavailable(error.message()),
        _ => error,
    })?;
    let request: GrepRequest = read_json(body, state.limits.json_bytes).await?;
    let view = repository.view().await?;
    let turn = state.searches.take(&caller.turn_for()).await?;
    let abandoned = Abandoned::default();
    let interrupt = Interrupt::new(
        Instant::now() + state.limits.search_time,
        abandoned.0.clone(),
    );
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let asked = Asked::read(&request, &view, state.limits.search_file_bytes)?;
        let found = repo::grep(view.database(), &state.texts, &asked.query, &interrupt);
        let page = found.map_err(|error| failed(error, &state))?;
        Ok(asked.answer(page))
    })
    .await?
}

/// Tells a search that its request is gone, by being dropped with it.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn failed(error: GrepError, state: &AppState) -> ApiError {
    match error {
        GrepError::Read(error) => error.into(),
        GrepError::TooSlow => ApiError::new(
            ErrorCode::TooExpensive,
            format!(
                "the search did not end within {} s; narrow it with `paths` or `file_filters`, or use a simpler pattern",
                state.limits.search_time.as_secs()
            ),
        ),
        GrepError::Cancelled => ApiError::unavailable("the search was given up"),
    }
}

/// A checked request.
struct Asked {
    info: GrepQueryInfo,
    repo: GrepRepoInfo,
    commit: ObjectId,
    fingerprint: Fingerprint,
    query: GrepQuery,
}

impl Asked {
    fn read(request: &GrepRequest, view: &View, max_file_bytes: u64) -> Result<Asked, ApiError> {
        let case_sensitive = request.query.case_sensitive.unwrap_or(true);
        let pattern = Pattern::new(&request.query.pattern, case_sensitive)
            .map_err(|error| ApiError::invalid(format!("`query.pattern`: {error}")))?;
        let filter = filter(request)?;
        let context = request.context.clone().unwrap_or_default();
        let limits = request.limits.clone().unwrap_or_default();
        let pagination = request.pagination.clone().unwrap_or_default();
        let (commit, from, shown) = place(request, view)?;
        let query = GrepQuery {
            tree: view.database().commit(commit)?.tree,
            pattern,
            filter,
            before: lines_around("before", context.before)?,
            after: lines_around("after", context.after)?,
            max_matches_per_file: page::limit(limits.max_matches_per_file, 200, 10_000),
            max_file_bytes,
            from,
            max_matches: page::limit(pagination.limit, 200, 2000),
            max_lines: page::limit(limits.max_lines, 2000, 2000),
        };
        Ok(Asked {
            info: GrepQueryInfo {
                pattern: request.query.pattern.clone(),
                case_sensitive,
            },
            repo: GrepRepoInfo {
                r#ref: shown,
                commit: commit.to_string(),
            },
            commit,
            fingerprint: fingerprint(request, commit),
            query,
        })
    }

    fn answer(self, page: GrepPage) -> Response {
        let next_cursor = page.next.map(|place| {
            let cursor = Cursor {
                commit: self.commit,
                fingerprint: self.fingerprint,
                place,
            };
            cursor.to_string()
        });
        let skipped: Vec<_> = page.passed_over.iter().map(skipped).collect();
        let body = GrepResponse {
            query: self.info,
            repo: self.repo,
            matches: page.files.into_iter().map(file_match).collect(),
            has_more: next_cursor.is_some(),
            next_cursor,
            skipped_files: (!skipped.is_empty()).then_some(skipped),
        };
        let cache = if page.from_cache { "HIT" } else { "MISS" };
        ([(X_CACHE, HeaderValue::from_static(cache))], Json(body)).into_response()
    }
}

fn filter(request: &GrepRequest) -> Result<PathFilter, ApiError> {
    let mut paths = request.paths.clone().unwrap_or_default();
    paths.extend(request.path.clone());
    let files = request.file_filters.clone().unwrap_or_default();
    let list = |globs: Option<Vec<String>>| globs.unwrap_or_default();
    let refused = |field: &'static str| {
        move |error: PathFilterError| ApiError::invalid(format!("`{field}`: {error}"))
    };
    PathFilter::default()
        .paths(&paths)
        .map_err(refused("paths"))?
        .include(&list(files.include_globs))
        .map_err(refused("file_filters.include_globs"))?
        .exclude(&list(files.exclude_globs))
        .map_err(refused("file_filters.exclude_globs"))?
        .endings(&list(files.extension_filters))
        .map_err(refused("file_filters.extension_filters"))
}

fn lines_around(field: &str, asked: Option<u32>) -> Result<usize, ApiError> {
    match asked.unwrap_or(0) {
        lines if lines > MAX_CONTEXT => Err(ApiError::invalid(format!(
            "`context.{field}` is {lines}, over the limit of {MAX_CONTEXT}"
        ))),
        lines => Ok(lines as usize),
    }
}

/// The commit to search, where to go on in it, and what its name is.
fn place(
    request: &GrepRequest,
    view: &View,
) -> Result<(ObjectId, Option<GrepPlace>, String), ApiError> {
    let rev = request.r#ref.as_deref().or(request.rev.as_deref());
    let found = resolve(view, rev, namespace(request.ephemeral));
    let pagination = request.pagination.as_ref();
    let cursor = pagination.and_then(|pagination| pagination.cursor.as_deref());
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else {
        let found = found?;
        return Ok((found.id, None, shown_ref(&found)));
    };
    // The branch may have moved since, or be gone: the pages of a search are all of one commit.
    let other =
        || ApiError::invalid("`pagination.cursor` is none of this search: begin again without one");
    let cursor = Cursor::parse(cursor).ok_or_else(other)?;
    if cursor.fingerprint != fingerprint(request, cursor.commit) {
        return Err(other());
    }
    let known = view.resolve(&cursor.commit.to_string(), Namespace::Default)?;
    if known.is_none_or(|known| known.id != cursor.commit) {
        return Err(other());
    }
    let shown = match found {
        Ok(found) => shown_ref(&found),
        Err(_) => rev.unwrap_or_default().to_owned(),
    };
    Ok((cursor.commit, Some(cursor.place), shown))
}

fn skipped(file: &repo::PassedOver) -> GrepSkippedFile {
    GrepSkippedFile {
        path: file.path.to_string(),
        reason: match file.reason {
            PassedOverReason::FileTooLarge => GrepSkipReason::FileTooLarge,
            PassedOverReason::LineTooLong => GrepSkipReason::LineTooLong,
        },
    }
}

fn file_match(file: repo::GrepFile) -> GrepFileMatch {
    let line = |line: repo::GrepLine| GrepLine {
        line_number: line.number,
        text: line.text.to_string(),
        r#type: match line.is_match {
            true => GrepLineType::Match,
            false => GrepLineType::Context,
        },
        truncated: line.is_cut.then_some(true),
    };
    GrepFileMatch {
        path: file.path.to_string(),
        lines: file.lines.into_iter().map(line).collect(),
    }
}

type Fingerprint = [u8; 16];

/// What a cursor is bound to: everything in the request but the page, and the commit.
fn fingerprint(request: &GrepRequest, commit: ObjectId) -> Fingerprint {
    let asked = GrepRequest {
        pagination: None,
        ..request.clone()
    };
    let text = serde_json::to_vec(&asked).expect("strings and numbers become JSON");
    let mut hasher = blake3::Hasher::new();
    hasher.update(commit.as_slice()).update(&text);
    let mut fingerprint = Fingerprint::default();
    hasher.finalize_xof().fill(&mut fingerprint);
    fingerprint
}

/// Where a search goes on: the commit, what the search was, and the last line that was shown.
#[derive(Debug, PartialEq)]
struct Cursor {
    commit: ObjectId,
    fingerprint: Fingerprint,
    place: GrepPlace,
}

impl Cursor {
    fn parse(text: &str) -> Option<Cursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (commit, rest) = bytes.split_at_checked(20)?;
        let (fingerprint, rest) = rest.split_first_chunk()?;
        let (line, path) = rest.split_first_chunk()?;
        Some(Cursor {
            commit: ObjectId::try_from(commit).ok()?,
            fingerprint: *fingerprint,
            place: GrepPlace {
                path: BString::from(path),
                line: u64::from_be_bytes(*line),
            },
        })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.place.line.to_be_bytes();
        let bytes = [
            self.commit.as_slice(),
            &self.fingerprint,
            &line,
            &self.place.path,
        ];
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursor = Cursor {
            commit: ObjectId::from_hex(&[b'7'; 40]).unwrap(),
            fingerprint: [3; 16],
            place: GrepPlace {
                path: "a/\u{e9}\n".into(),
                line: 1 << 40,
            },
        };
        assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        for text in ["", "abc", "****", &"A".repeat(58)] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_abandoned_search_is_told() {
        let abandoned = Abandoned::default();
        let told = abandoned.0.clone();
        drop(abandoned);
        assert!(told.load(Ordering::Relaxed));
    }
}
