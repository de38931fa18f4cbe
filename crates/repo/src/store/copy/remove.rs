//! Removing files and folders of a store.

use std::collections::BTreeMap;

use bstr::BString;
use packhouse_object::ObjectId;

use super::copy_out::files_of;
use super::source::{Kind, StoredSource, resolve_stored};
use crate::store::{ChangeReport, CommitOptions, Edits, FileEntry, FileType, Snapshot, StoreError};

/// How files are removed.
#[derive(Clone, Debug, Default)]
pub struct Remove {
    /// Remove folders too.
    pub recursive: bool,
    /// Only report.
    pub dry_run: bool,
    /// The commit's message; `None` or empty for one that says what changed.
    pub message: Option<String>,
    /// Further parents of the commit.
    pub parents: Vec<ObjectId>,
}

impl Snapshot {
    /// Removes files, and folders if so told, in one commit. Every source must exist; patterns are for the caller to
    /// expand.
    pub fn remove<S: AsRef<[u8]>>(
        &self,
        sources: &[S],
        options: &Remove,
    ) -> Result<Snapshot, StoreError> {
        let mut resolved = Vec::new();
        for source in sources {
            resolved.push(resolve_stored(self, source.as_ref())?);
        }
        let removed = files_to_remove(self, &resolved, options.recursive)?;
        if removed.is_empty() {
            return Err(no_matches(sources));
        }
        let mut edits = Edits::new(self.store());
        let report = ChangeReport {
            delete: deletions(&removed),
            ..ChangeReport::default()
        };
        edits.entries = removed.into_keys().map(|path| (path, None)).collect();
        let written = self.commit_edits(
            edits,
            CommitOptions {
                message: options.message.clone(),
                operation: Some("rm".to_owned()),
                parents: options.parents.clone(),
                report: None,
                dry_run: options.dry_run,
            },
        )?;
        Ok(written.with_changes(report.unless_empty()))
    }
}

pub(super) fn no_matches<S: AsRef<[u8]>>(sources: &[S]) -> StoreError {
    let listed: Vec<&[u8]> = sources.iter().map(AsRef::as_ref).collect();
    StoreError::SourceNotFound {
        path: listed.join(&b", "[..]).into(),
    }
}

/// Every file the sources hold, and what it is.
pub(super) fn files_to_remove(
    snapshot: &Snapshot,
    sources: &[StoredSource],
    recursive: bool,
) -> Result<BTreeMap<BString, FileType>, StoreError> {
    let mut files = BTreeMap::new();
    for source in sources {
        if source.kind != Kind::File && !recursive {
            let path = source.path.clone();
            return Err(StoreError::NeedsRecursive { path });
        }
        files_of(snapshot, source, &mut |path, _, existing| {
            files.insert(path, existing.file_type);
        })?;
    }
    Ok(files)
}

pub(super) fn deletions(removed: &BTreeMap<BString, FileType>) -> Vec<FileEntry> {
    let entries = removed.iter().map(|(path, file_type)| FileEntry {
        path: path.clone(),
        file_type: *file_type,
        source: Some(path.clone()),
    });
    entries.collect()
}
