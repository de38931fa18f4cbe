//! `/repos/blame`: which commit each line of a file came from.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use packhouse_api::{BlameLine, BlameQuery, BlamedFile, ErrorBody, ErrorCode};
use packhouse_object::{Commit, ReadError};
use packhouse_repo::{self as repo, Blame, BlameError, BlameSource, View};

use super::abandoned::Abandoned;
use super::input::{self, Query};
use super::query_pairs::Pairs;
use super::{namespace, resolve, shown_ref, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;
use crate::stream::written_by;

/// Ranges of lines that one request may ask for.
const MAX_RANGES: usize = 16;

/// Longest name and summary that are shown: they have no limit of their own, and each line repeats them.
const MAX_TEXT_BYTES: usize = 1000;

/// Tells which commit each line of a file came from.
#[utoipa::path(
    get, path = "/api/v1/repos/blame", operation_id = "get_blame", tag = "files", params(BlameQuery),
    responses(
        (status = 200, body = BlamedFile), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(crate) async fn blame(
    State(state): State<AppState>,
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let view = state.open(&caller, Scope::GitRead).await?.view().await?;
    let query = asked(&pairs)?;
    let path = input::path(&query.path)?;
    let turn = state.searches.take(&caller.turn_for()).await?;
    let abandoned = Abandoned::default();
    let is_abandoned = abandoned.flag();
    let deadline = Instant::now() + state.limits.search_time;
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let found = resolve(&view, query.r#ref.as_deref(), namespace(query.ephemeral))?;
        let asked = repo::BlameQuery {
            tip: found.id,
            path,
            ranges: query.range.unwrap_or_default(),
            detect_moves: query.detect_moves.unwrap_or(false),
        };
        let stop = || is_abandoned() || Instant::now() >= deadline;
        let blame =
            repo::blame(view.database(), &asked, &stop).map_err(|error| refused(error, &state))?;
        let head = BlamedFile {
            r#ref: shown_ref(&found),
            path: asked.path.as_bstr().to_string(),
            commit_sha: found.id.to_string(),
            lines: Vec::new(),
        };
        Ok(answer(head, &view, blame)?)
    })
    .await?
}

/// The query; `range` may be there several times, anything else may be said again but not otherwise.
fn asked(pairs: &[(String, String)]) -> Result<BlameQuery, ApiError> {
    let pairs = Pairs(pairs);
    let ranges: Vec<String> = pairs.all("range").map(str::to_owned).collect();
    if ranges.len() > MAX_RANGES {
        return Err(ApiError::invalid(format!(
            "`range` may be given {MAX_RANGES} times at most"
        )));
    }
    let text = |name| Ok::<_, ApiError>(pairs.value(&[name])?.map(|(_, value)| value.clone()));
    Ok(BlameQuery {
        path: text("path")?.ok_or_else(|| ApiError::invalid("the query has no `path`"))?,
        r#ref: text("ref")?,
        ephemeral: pairs.flag(&["ephemeral", "ref_is_ephemeral"])?,
        range: (!ranges.is_empty()).then_some(ranges),
        detect_moves: pairs.flag(&["detect_moves"])?,
    })
}

fn refused(error: BlameError, state: &AppState) -> ApiError {
    let code = match error {
        BlameError::Read(error) => return error.into(),
        BlameError::Stopped => {
            let seconds = state.limits.search_time.as_secs();
            return ApiError::new(
                ErrorCode::TooExpensive,
                format!("the lines were not found within {seconds} s; ask for fewer with `range`"),
            );
        }
        BlameError::Missing { .. } | BlameError::NotAFile { .. } => ErrorCode::PathNotFound,
        BlameError::TooLong { .. } => ErrorCode::TooLarge,
        BlameError::Range(_) => ErrorCode::Invalid,
    };
    ApiError::new(code, crate::error::chain(&error))
}

/// What all lines of one source share.
struct Source {
    shared: BlameLine,
}

impl Source {
    fn new(source: &BlameSource, commit: &Commit) -> Source {
        let text = |bytes: &[u8]| {
            let bytes = &bytes[..bytes.len().min(MAX_TEXT_BYTES)];
            String::from_utf8_lossy(bytes).into_owned()
        };
        let previous = source.previous.as_ref();
        Source {
            shared: BlameLine {
                line_number: 0,
                commit_sha: source.commit.to_string(),
                original_line_number: 0,
                original_path: source.path.to_string(),
                previous_commit_sha: previous.map(|(commit, _)| commit.to_string()),
                author_name: text(&commit.author.name),
                author_email: text(&commit.author.email),
                author_time: time::rfc3339(commit.author.seconds),
                committer_name: text(&commit.committer.name),
                committer_email: text(&commit.committer.email),
                committer_time: time::rfc3339(commit.committer.seconds),
                summary: text(summary(&commit.message)),
            },
        }
    }
}

/// The first line of a message that is not empty.
fn summary(message: &[u8]) -> &[u8] {
    let mut lines = message.split(|byte| *byte == b'\n');
    let is_blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
    lines.find(|line| !is_blank(line)).unwrap_or_default()
}

/// The answer, line by line, so that a long file is never held as JSON.
fn answer(head: BlamedFile, view: &Arc<View>, blame: Blame) -> Result<Response, ReadError> {
    let mut sources = Vec::with_capacity(blame.sources.len());
    for source in &blame.sources {
        let commit = view.database().commit(source.commit)?.in_utf8();
        sources.push(Source::new(source, &commit));
    }
    let body = written_by(move |out| {
        let mut comma = false;
        out.write_all(b"{\"ref\":")?;
        serde_json::to_writer(&mut *out, &head.r#ref)?;
        out.write_all(b",\"path\":")?;
        serde_json::to_writer(&mut *out, &head.path)?;
        out.write_all(b",\"commit_sha\":")?;
        serde_json::to_writer(&mut *out, &head.commit_sha)?;
        out.write_all(b",\"lines\":[")?;
        for group in blame.groups {
            let line = &mut sources[group.source].shared;
            for (offset, number) in group.lines.enumerate() {
                line.line_number = number as u64 + 1;
                line.original_line_number = (group.original_start + offset) as u64 + 1;
                write_item(out, &mut comma, line)?;
            }
        }
        out.write_all(b"]}")
    });
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn write_item(out: &mut impl Write, comma: &mut bool, line: &BlameLine) -> io::Result<()> {
    if std::mem::replace(comma, true) {
        out.write_all(b",")?;
    }
    Ok(serde_json::to_writer(out, line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_one_path_and_few_ranges() {
        let asked = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            asked(&owned.collect::<Vec<_>>())
        };
        let query = asked(&[("path", "a"), ("range", "1"), ("range", "3,4"), ("x", "y")]).unwrap();
        assert_eq!(query.range.unwrap(), ["1", "3,4"]);
        assert!(asked(&[("ref", "main")]).is_err());
        assert!(asked(&[("path", "a"), ("path", "b")]).is_err());
        let both = [
            ("path", "a"),
            ("ephemeral", "true"),
            ("ref_is_ephemeral", "true"),
        ];
        assert_eq!(asked(&both).unwrap().ephemeral, Some(true));
        let differ = [both[0], both[1], ("ref_is_ephemeral", "false")];
        assert!(asked(&differ).is_err());
        assert!(asked(&[("path", "a"), ("detect_moves", "maybe")]).is_err());
        let many: Vec<_> = std::iter::repeat_n(("range", "1"), 17)
            .chain([("path", "a")])
            .collect();
        assert!(asked(&many).is_err());
        assert!(asked(&many[1..]).is_ok());
    }

    #[test]
    fn a_summary_is_the_first_line_with_text() {
        assert_eq!(summary(b"\n \nfirst line\nsecond"), b"first line");
        assert_eq!(summary(b""), b"");
    }
}
