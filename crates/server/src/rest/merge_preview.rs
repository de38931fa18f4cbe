//! The conflicts of a merge as an answer shows them: so many files, so many bytes.

use std::io::Read;

use packhouse_api::{FilteredConflict, MergeConflict, MergePreviewStatus, MergeSide};
use packhouse_object::{BString, Database, EntryMode, ReadError};
use packhouse_repo::MergePreview;
use packhouse_repo::merge::{Conflict, Stage, is_binary};

use super::merge::texts;
use crate::error::ApiError;

/// Conflicts that are shown with their sides.
const MAX_FILES: usize = 100;
/// Bytes of one side that are shown.
const MAX_SIDE_BYTES: usize = 256 << 10;
/// Bytes of all sides together, after which no more files are shown.
const MAX_BYTES: usize = 8 << 20;
/// Bytes that tell whether a file is text.
const LOOK_BYTES: usize = 8000;

/// The conflicts of an answer.
pub(super) struct Shown {
    pub(super) status: MergePreviewStatus,
    pub(super) paths: Vec<String>,
    pub(super) conflicts: Vec<MergeConflict>,
    pub(super) filtered: Vec<FilteredConflict>,
}

/// Shows the conflicts of a merge, with the contents of their sides or without.
pub(super) fn show(preview: &MergePreview, with_content: bool) -> Result<Shown, ApiError> {
    let mut paths: Vec<BString> = preview
        .conflicts
        .iter()
        .map(|conflict| conflict.path.clone())
        .collect();
    paths.dedup();
    let status = match preview.conflicts.is_empty() {
        true => MergePreviewStatus::Clean,
        false => MergePreviewStatus::Conflicted,
    };
    let mut shown = Shown {
        status,
        paths: texts(&paths),
        conflicts: Vec::new(),
        filtered: Vec::new(),
    };
    let mut reader = SideReader {
        database: &preview.database,
        with_content,
        bytes: 0,
    };
    for conflict in &preview.conflicts {
        let reason = if shown.conflicts.len() >= MAX_FILES {
            "max_conflict_files_exceeded"
        } else if reader.bytes >= MAX_BYTES {
            "max_content_bytes_exceeded"
        } else {
            shown.conflicts.push(reader.conflict(conflict)?);
            continue;
        };
        shown.filtered.push(FilteredConflict {
            path: conflict.path.to_string(),
            reason: reason.to_owned(),
        });
    }
    Ok(shown)
}

struct SideReader<'a> {
    database: &'a Database,
    with_content: bool,
    bytes: usize,
}

impl SideReader<'_> {
    fn conflict(&mut self, conflict: &Conflict) -> Result<MergeConflict, ApiError> {
        Ok(MergeConflict {
            path: conflict.path.to_string(),
            kind: conflict.kind.as_str().to_owned(),
            result: self.side(conflict.merged)?,
            base: self.side(conflict.stages.base)?,
            ours: self.side(conflict.stages.ours)?,
            theirs: self.side(conflict.stages.theirs)?,
        })
    }

    fn side(&mut self, stage: Option<Stage>) -> Result<MergeSide, ApiError> {
        let Some((mode, id)) = stage else {
            return Ok(MergeSide::default());
        };
        let mut side = MergeSide {
            oid: Some(id.to_string()),
            ..MergeSide::default()
        };
        if mode == EntryMode::Submodule {
            return Ok(side);
        }
        let limit = if self.with_content {
            MAX_SIDE_BYTES
        } else {
            LOOK_BYTES
        };
        let stream = self.database.stream(&id)?;
        let stream = stream.ok_or(ReadError::NotFound { id })?;
        let mut data = Vec::new();
        // One byte more tells whether there is more.
        stream
            .take(limit as u64 + 1)
            .read_to_end(&mut data)
            .map_err(ApiError::internal)?;
        let is_cut = data.len() > limit;
        data.truncate(limit);
        match text(&data, is_cut) {
            None => side.binary = true,
            Some(content) if self.with_content => {
                self.bytes += content.len();
                side.truncated = is_cut;
                side.content = Some(content.to_owned());
            }
            Some(_) => {}
        }
        Ok(side)
    }
}

/// The text that bytes are, if they are one. Where the end is cut off, a character may be cut in two.
fn text(data: &[u8], is_cut: bool) -> Option<&str> {
    if is_binary(data) {
        return None;
    }
    match std::str::from_utf8(data) {
        Ok(text) => Some(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&data[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}
