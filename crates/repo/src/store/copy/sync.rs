//! Making a folder of a store and a local folder the same.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_object::ObjectId;

use super::copy_in::{CopyIn, kept_submodules};
use super::copy_out::{self, CopyOut};
use super::existing::files_below;
use super::source::{Kind, StoredSource};
use crate::store::path::{join, normalize};
use crate::store::{
    ChangeReport, CommitOptions, Edits, ExcludeFilter, FileEntry, FileType, Snapshot, StoreError,
    StoreProgress,
};

/// How a local folder is brought into a store.
#[derive(Clone)]
pub struct SyncIn<'a> {
    /// Only report.
    pub dry_run: bool,
    /// A local folder that is missing is an error, and not an empty one.
    pub must_exist: bool,
    /// The commit's message; `None` or empty for one that says what changed.
    pub message: Option<String>,
    /// Collect errors about single files in the report and go on. Nothing is deleted then.
    pub ignore_errors: bool,
    /// As [`CopyIn::checksum`].
    pub checksum: bool,
    /// What is left out.
    pub exclude: Option<ExcludeFilter>,
    /// What the filter's base patterns exclude is not deleted either.
    pub keep_excluded: bool,
    /// Further parents of the commit.
    pub parents: Vec<ObjectId>,
    /// Told how far the work is.
    pub progress: Option<&'a dyn StoreProgress>,
}

impl Default for SyncIn<'_> {
    fn default() -> Self {
        SyncIn {
            dry_run: false,
            must_exist: false,
            message: None,
            ignore_errors: false,
            checksum: true,
            exclude: None,
            keep_excluded: false,
            parents: Vec::new(),
            progress: None,
        }
    }
}

/// How a folder of a snapshot is brought into a local folder.
#[derive(Clone)]
pub struct SyncOut<'a> {
    /// Only report.
    pub dry_run: bool,
    /// Collect errors about single files in the report and go on. Nothing is deleted where a folder cannot be read.
    pub ignore_errors: bool,
    /// As [`CopyOut::checksum`].
    pub checksum: bool,
    /// Told how far the work is.
    pub progress: Option<&'a dyn StoreProgress>,
}

impl Default for SyncOut<'_> {
    fn default() -> Self {
        SyncOut {
            dry_run: false,
            ignore_errors: false,
            checksum: true,
            progress: None,
        }
    }
}

impl Snapshot {
    /// Makes the folder `path` hold what a local folder holds, in one commit. A local folder that is missing counts as
    /// an empty one, so that everything at `path` is removed, unless it must exist; anything else than a folder is an error.
    pub fn sync_in(
        &self,
        local: impl AsRef<Path>,
        path: impl AsRef<[u8]>,
        options: &SyncIn<'_>,
    ) -> Result<Snapshot, StoreError> {
        let local = local.as_ref();
        if local.as_os_str().is_empty() {
            return Err(StoreError::invalid("the local folder must be named"));
        }
        if let Err(error) = fs::symlink_metadata(local)
            && error.kind() == ErrorKind::NotFound
        {
            return match options.must_exist {
                true => Err(StoreError::LocalNotFound { path: local.into() }),
                false => self.remove_all_at(path.as_ref(), options),
            };
        }
        // As a source it must hold no `/./`, and end in a slash for what is in the folder.
        let mut source = local.components().collect::<PathBuf>().into_os_string();
        source.push("/");
        self.copy_in(&CopyIn {
            sources: vec![source],
            dest: path.as_ref().into(),
            dry_run: options.dry_run,
            message: options.message.clone(),
            delete: true,
            ignore_errors: options.ignore_errors,
            checksum: options.checksum,
            exclude: options.exclude.clone(),
            keep_excluded: options.keep_excluded,
            operation: Some("sync".to_owned()),
            parents: options.parents.clone(),
            progress: options.progress,
            ..CopyIn::default()
        })
    }

    fn remove_all_at(&self, path: &[u8], options: &SyncIn<'_>) -> Result<Snapshot, StoreError> {
        let dest = normalize(path)?.unwrap_or_default();
        let mut edits = Edits::new(self.store());
        let mut report = ChangeReport::default();
        for (path, existing) in files_below(self, dest.as_bstr())? {
            let full = join(&dest, &path);
            edits.entries.insert(full.clone(), None);
            report.delete.push(FileEntry {
                path,
                file_type: existing.file_type,
                source: Some(full),
            });
        }
        match self.entry(&dest)? {
            Some(entry) if entry.file_type != FileType::Tree => {
                edits.entries.insert(dest.clone(), None);
                report.delete.push(FileEntry {
                    path: dest.clone(),
                    file_type: entry.file_type,
                    source: Some(dest),
                });
            }
            _ => {}
        }
        let (kept, deleted) = report
            .delete
            .into_iter()
            .partition(|entry: &FileEntry| entry.file_type == FileType::Commit);
        report.delete = deleted;
        for entry in &kept {
            edits
                .entries
                .remove(entry.source.as_ref().unwrap_or(&entry.path));
        }
        report.warnings.extend(kept_submodules(kept));
        report.sort();
        let written = self.commit_edits(
            edits,
            CommitOptions {
                message: options.message.clone(),
                operation: Some("sync".to_owned()),
                parents: options.parents.clone(),
                report: None,
                dry_run: options.dry_run,
            },
        )?;
        Ok(written.with_changes(report.unless_empty()))
    }

    /// Makes a local folder hold what the folder `path` holds, and gives this snapshot with the report. A folder that is
    /// missing in the snapshot counts as an empty one; a file is an error.
    pub fn sync_out(
        &self,
        path: impl AsRef<[u8]>,
        local: impl AsRef<Path>,
        options: &SyncOut<'_>,
    ) -> Result<Snapshot, StoreError> {
        let path = normalize(path)?.unwrap_or_default();
        let sources = match self.entry(&path)?.map(|entry| entry.file_type) {
            None => Vec::new(),
            Some(FileType::Tree) => vec![StoredSource {
                path,
                kind: Kind::Contents,
                prefix: BString::default(),
            }],
            Some(_) => return Err(StoreError::SourceNotADirectory { path }),
        };
        let options = CopyOut {
            dest: local.as_ref().to_owned(),
            dry_run: options.dry_run,
            delete: true,
            ignore_errors: options.ignore_errors,
            checksum: options.checksum,
            progress: options.progress,
            ..CopyOut::default()
        };
        copy_out::copy_resolved(self, sources, &options)
    }
}
