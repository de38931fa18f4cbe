//! The answer: written while the files are compared, so that one file is held at a time.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse, Response};
use bstr::BString;
use http::header::CONTENT_TYPE;
use packhouse_api::{DiffFile, DiffStats, ErrorCode, FilteredFile};
use packhouse_object::{Database, ObjectId, ReadError};
use packhouse_repo::diff::{
    BinaryForm, ChangeStatus, DiffError, DiffOptions, FileChange, FileDiff, changed_files,
};
use serde::Serialize;

use super::filter::{MAX_CHANGED_LINES, MAX_COMPARED_BYTES, MAX_SHOWN_BYTES, is_lock_file};
use crate::error::ApiError;
use crate::stream::written_by;
use crate::turns::Turn;

/// Bytes of files that are not shown, read to count their changed lines, before no more are read.
const MAX_COUNTED_BYTES: u64 = 64 << 20;

/// Time spent on comparing, after which files are only named: clients wait for 60 seconds.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Two trees and how they are compared.
pub(super) struct Compared {
    /// `None`: an empty one.
    pub(super) old: Option<ObjectId>,
    pub(super) new: ObjectId,
    pub(super) options: DiffOptions,
}

/// Compares two trees and answers with `head` and their differences, which is what `turn` is for. What fails before the first
/// file is an error; a file that cannot be read later breaks the answer off.
pub(super) fn answer(
    database: &Database,
    compared: Compared,
    head: &impl Serialize,
    turn: Turn,
) -> Result<Response, ApiError> {
    let Compared { old, new, options } = compared;
    let changes =
        changed_files(database, old, Some(new), &options).map_err(|error| match error {
            DiffError::Read(error) => error.into(),
            DiffError::TooManyFiles { .. } => ApiError::new(
                ErrorCode::TooLarge,
                format!("{error}; ask for some of them with `path`"),
            ),
        })?;
    let mut start = serde_json::to_vec(head).map_err(ApiError::internal)?;
    // The files follow before the object is closed.
    start.pop();
    let database = database.clone();
    let body = written_by(move |out| {
        let _turn = turn;
        out.write_all(&start)?;
        write_files(&database, &changes, &options, MAX_TIME, out)
    });
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn write_files(
    database: &Database,
    changes: &[FileChange],
    options: &DiffOptions,
    max_time: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut reader = Reader {
        database,
        options,
        began: Instant::now(),
        max_time,
        counted_bytes: 0,
        stats: DiffStats::default(),
    };
    let mut filtered = Vec::new();
    let mut comma: &[u8] = b"";
    out.write_all(b",\"files\":[")?;
    for change in changes {
        match reader.read(change).map_err(io::Error::other)? {
            Found::Shown(file) => {
                out.write_all(std::mem::replace(&mut comma, b","))?;
                serde_json::to_writer(&mut *out, &file)?;
            }
            Found::Filtered(file) => filtered.push(file),
        }
    }
    out.write_all(b"],\"filtered_files\":")?;
    serde_json::to_writer(&mut *out, &filtered)?;
    out.write_all(b",\"stats\":")?;
    serde_json::to_writer(&mut *out, &reader.stats)?;
    out.write_all(b"}")
}

enum Found {
    Shown(DiffFile),
    Filtered(FilteredFile),
}

struct Reader<'a> {
    database: &'a Database,
    options: &'a DiffOptions,
    began: Instant,
    max_time: Duration,
    counted_bytes: u64,
    stats: DiffStats,
}

impl Reader<'_> {
    fn read(&mut self, change: &FileChange) -> Result<Found, ReadError> {
        self.stats.files += 1;
        let [old, new] = change.sizes(self.database)?;
        let (max, bytes) = (old.max(new), if change.new.is_some() { new } else { old });
        let is_asked = !self.options.paths.is_empty();
        let is_too_large = max
            > if is_asked {
                MAX_COMPARED_BYTES
            } else {
                MAX_SHOWN_BYTES
            };
        let is_late = self.began.elapsed() > self.max_time;
        if is_late || is_too_large && !self.may_count(old + new, max) {
            return Ok(filtered(change, bytes, false));
        }
        let mut diff = FileDiff::of(self.database, change, self.options)?;
        let is_eof = diff.content().last().is_none_or(|last| *last == b'\n');
        let (additions, deletions) = (diff.additions(), diff.deletions());
        self.stats.additions += additions as u64;
        self.stats.deletions += deletions as u64;
        self.stats.changes = self.stats.additions + self.stats.deletions;
        let is_shown = is_asked
            || !diff.is_binary()
                && !is_lock_file(change.path())
                && additions + deletions <= MAX_CHANGED_LINES;
        if is_too_large || !is_shown {
            return Ok(filtered(change, bytes, is_eof));
        }
        let raw = self.text(&mut diff);
        Ok(Found::Shown(DiffFile {
            path: change.path().to_string(),
            state: change.raw_status(),
            old_path: old_path(change),
            bytes: raw.len() as u64,
            raw,
            is_eof,
            additions: additions as u64,
            deletions: deletions as u64,
        }))
    }

    /// Whether a file is read only to count its changed lines.
    fn may_count(&mut self, bytes: u64, max: u64) -> bool {
        let fits = max <= MAX_COMPARED_BYTES && self.counted_bytes + bytes <= MAX_COUNTED_BYTES;
        if fits {
            self.counted_bytes += bytes;
        }
        fits
    }

    /// The diff as JSON can hold it. What must do as a patch is binary where it is not UTF-8.
    fn text(&self, diff: &mut FileDiff<'_>) -> String {
        let mut raw = Vec::new();
        diff.write(&mut raw);
        if self.options.binary == BinaryForm::Patch && std::str::from_utf8(&raw).is_err() {
            diff.show_other_encodings_as_binary();
            raw.clear();
            diff.write(&mut raw);
        }
        BString::from(raw).to_string()
    }
}

fn filtered(change: &FileChange, bytes: u64, is_eof: bool) -> Found {
    Found::Filtered(FilteredFile {
        path: change.path().to_string(),
        state: change.raw_status(),
        old_path: old_path(change),
        bytes,
        is_eof,
    })
}

fn old_path(change: &FileChange) -> Option<String> {
    let is_moved = matches!(
        change.status,
        ChangeStatus::Renamed(_) | ChangeStatus::Copied(_)
    );
    let old = change.old.as_ref().filter(|_| is_moved)?;
    Some(old.path.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use packhouse_object::{EntryMode, NewObject, ObjectCache, ObjectKind};
    use packhouse_repo::diff::FileSide;

    use super::*;

    fn written(max_time: Duration) -> serde_json::Value {
        let blob = NewObject::new(ObjectKind::Blob, b"text\n".as_slice()).unwrap();
        let change = FileChange {
            old: None,
            new: Some(FileSide {
                path: "file".into(),
                mode: EntryMode::Blob,
                id: blob.id,
            }),
            status: ChangeStatus::Added,
        };
        let database = Database::new(Arc::new(ObjectCache::new(1 << 10)), 1).with_objects([blob]);
        let mut out = b"{\"sha\":\"\"".to_vec();
        let options = DiffOptions::default();
        write_files(&database, &[change], &options, max_time, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn files_are_only_named_when_the_time_is_over() {
        let (shown, late) = (written(MAX_TIME), written(Duration::ZERO));
        assert_eq!(shown["files"][0]["additions"], 1);
        assert_eq!(late["files"], serde_json::json!([]));
        assert_eq!(late["filtered_files"][0]["path"], "file");
        assert_eq!(late["stats"]["files"], 1);
    }
}
