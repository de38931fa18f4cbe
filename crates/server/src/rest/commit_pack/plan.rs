//! The metadata line, checked: what is to be committed, before any content is there.

use std::collections::HashMap;

use packhouse_api::{CommitMetadata, FileChange, FileOperation, MetadataLine};
use packhouse_object::{EntryMode, ObjectId, PathEdit, RepoPath, check_entry};

use crate::error::ApiError;
use crate::rest::commit_write::CommitWrite;
use crate::rest::input::{self, shown};
use crate::rest::json_fields;
use crate::rest::json_object::expect_object;

/// A commit to make.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where it goes and what it says.
    pub write: CommitWrite,
    /// What changes.
    pub changes: Vec<PlannedChange>,
    /// The contents that are to come, by their names.
    pub contents: HashMap<String, usize>,
    /// What each content is for.
    pub uses: Vec<ContentUse>,
}

/// One path that changes.
#[derive(Debug)]
pub(super) struct PlannedChange {
    path: RepoPath,
    /// The mode and which content; `None`: the path is removed.
    upsert: Option<(EntryMode, usize)>,
}

/// What a content is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ContentUse {
    /// A blob.
    Blob,
    /// The id of a submodule's commit, as text.
    Submodule,
    /// Nothing: it was announced for a deletion.
    Nothing,
}

impl Plan {
    /// Reads and checks the first line.
    pub(super) fn parse(line: &[u8]) -> Result<Plan, ApiError> {
        expect_object("the first line, the commit's `metadata`,", line)?;
        let MetadataLine { metadata } = json_fields::read(line)
            .map_err(|refused| refused.told("the first line is not the commit's `metadata`"))?;
        Plan::new(metadata)
    }

    fn new(metadata: CommitMetadata) -> Result<Plan, ApiError> {
        let mut plan = Plan {
            write: CommitWrite::new(&metadata)?,
            changes: Vec::with_capacity(metadata.files.len()),
            contents: HashMap::new(),
            uses: Vec::new(),
        };
        for file in metadata.files {
            plan.add(file)?;
        }
        Ok(plan)
    }

    fn add(&mut self, file: FileChange) -> Result<(), ApiError> {
        let path = input::path(&file.path)?;
        if file.operation == FileOperation::Delete {
            if !file.content_id.is_empty() {
                self.content(file.content_id, ContentUse::Nothing)?;
            }
            self.changes.push(PlannedChange { path, upsert: None });
            return Ok(());
        }
        let mode = mode(file.mode.as_deref(), &file.path)?;
        check_entry(path.file_name(), mode)
            .map_err(|error| ApiError::invalid(format!("path `{}`: {error}", shown(&file.path))))?;
        if file.content_id.is_empty() {
            return Err(ApiError::invalid(format!(
                "path `{}` has no `content_id`",
                shown(&file.path)
            )));
        }
        let wanted = if mode == EntryMode::Submodule {
            ContentUse::Submodule
        } else {
            ContentUse::Blob
        };
        let content = self.content(file.content_id, wanted)?;
        self.changes.push(PlannedChange {
            path,
            upsert: Some((mode, content)),
        });
        Ok(())
    }

    fn content(&mut self, id: String, wanted: ContentUse) -> Result<usize, ApiError> {
        if let Some(&known) = self.contents.get(&id) {
            match (self.uses[known], wanted) {
                (_, ContentUse::Nothing) => {}
                (ContentUse::Nothing, wanted) => self.uses[known] = wanted,
                (a, b) if a == b => {}
                _ => {
                    let id = shown(&id);
                    return Err(ApiError::invalid(format!(
                        "content `{id}` is both a file and a submodule"
                    )));
                }
            }
            return Ok(known);
        }
        let index = self.uses.len();
        self.uses.push(wanted);
        self.contents.insert(id, index);
        Ok(index)
    }

    /// How many files the commit writes.
    pub(super) fn upserts(&self) -> u64 {
        self.changes
            .iter()
            .filter(|change| change.upsert.is_some())
            .count() as u64
    }

    /// The changes as edits of a tree, with the objects that the contents have become.
    pub(crate) fn take_edits(
        &mut self,
        ids: &[Option<ObjectId>],
    ) -> Result<Vec<PathEdit>, ApiError> {
        let edit = |PlannedChange { path, upsert }| {
            let Some((mode, content)) = upsert else {
                return Ok(PathEdit::Delete { path });
            };
            match ids.get(content).copied().flatten() {
                Some(id) => Ok(PathEdit::Upsert { path, mode, id }),
                None => Err(ApiError::invalid(format!(
                    "path `{}` got no content",
                    path.as_bstr()
                ))),
            }
        };
        std::mem::take(&mut self.changes)
            .into_iter()
            .map(edit)
            .collect()
    }
}

fn mode(mode: Option<&str>, path: &str) -> Result<EntryMode, ApiError> {
    match mode {
        None | Some("100644") => Ok(EntryMode::Blob),
        Some("100755") => Ok(EntryMode::Executable),
        Some("120000") => Ok(EntryMode::Symlink),
        Some("160000") => Ok(EntryMode::Submodule),
        Some(other) => {
            let (path, other) = (shown(path), shown(other));
            Err(ApiError::invalid(format!(
                "path `{path}`: mode `{other}` is none of 100644, 100755, 120000 and 160000"
            )))
        }
    }
}
