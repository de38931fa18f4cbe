//! Copying files from one snapshot to another of the same repository. No content is read: blobs are shared by their ids.

use std::collections::{BTreeMap, HashSet};

use bstr::{BString, ByteSlice};
use packhouse_object::ObjectId;

use super::copy_out::files_of;
use super::existing::{Existing, at_targets, files_below, giving_way};
use super::overlap::{Pair, Winner, above, settle};
use super::source::{Kind, StoredSource, resolve_stored};
use crate::store::path::{join, normalize};
use crate::store::{ChangeReport, CommitOptions, Edits, FileEntry, FileType, Snapshot, StoreError};

/// How files are copied between snapshots.
#[derive(Clone, Debug, Default)]
pub struct CopyBetween {
    /// Remove what is not in the sources from the places they are copied to.
    pub delete: bool,
    /// Only report.
    pub dry_run: bool,
    /// The commit's message; `None` or empty for one that says what changed.
    pub message: Option<String>,
    /// Further parents of the commit.
    pub parents: Vec<ObjectId>,
}

/// A file of the other snapshot.
struct Source {
    path: BString,
    file: Existing,
}

impl Snapshot {
    /// Copies files of `source`, a snapshot of the same repository, into the folder `dest`, in one commit. Only what
    /// differs is written, and the report, whose paths begin at the root, says what that is. A source that comes later
    /// wins a place that several want.
    pub fn copy_from<S: AsRef<[u8]>>(
        &self,
        source: &Snapshot,
        sources: &[S],
        dest: impl AsRef<[u8]>,
        options: &CopyBetween,
    ) -> Result<Snapshot, StoreError> {
        if !source.store().same_repository(self.store()) {
            return Err(StoreError::invalid(
                "source must belong to the same repo as self",
            ));
        }
        if !options.dry_run {
            self.check_writable("write to")?;
        }
        let dest = normalize(dest)?.unwrap_or_default();
        let mut pairs = Vec::new();
        let mut areas = Vec::new();
        for path in sources {
            let resolved = resolve_stored(source, path.as_ref())?;
            areas.push(area_of(&dest, &resolved));
            files_of(source, &resolved, &mut |path, target, file| {
                let target = join(&dest, &target);
                let source = Source { path, file };
                pairs.push(Pair { target, source });
            })?;
        }
        let (pairs, _) = settle(pairs, Winner::Last);
        let mut edits = Edits::new(self.store());
        let mut report = ChangeReport::default();
        let targets = pairs.iter().map(|pair| pair.target.as_bstr());
        let existing = at_targets(self, b"".as_bstr(), targets)?;
        let mut written = Vec::new();
        for (pair, existing) in pairs.iter().zip(existing) {
            let file = pair.source.file;
            if existing == Some(file) {
                continue;
            }
            written.push((pair.target.as_bstr(), existing));
            edits
                .entries
                .insert(pair.target.clone(), Some((file.file_type, file.id)));
            let list = match existing {
                Some(existing) if existing.file_type != FileType::Tree => &mut report.update,
                _ => &mut report.add,
            };
            list.push(FileEntry {
                path: pair.target.clone(),
                file_type: file.file_type,
                source: Some(pair.source.path.clone()),
            });
        }
        if options.delete {
            let kept: HashSet<&[u8]> = pairs.iter().map(|pair| pair.target.as_slice()).collect();
            let folders: HashSet<&[u8]> = kept.iter().flat_map(|path| above(path)).collect();
            // What gives way to a file or folder is listed below.
            let stays = |path: &[u8]| {
                kept.contains(path)
                    || folders.contains(path)
                    || above(path).any(|folder| kept.contains(folder))
            };
            for (path, existing) in self.files_in(&areas)? {
                if !stays(&path) {
                    edits.entries.insert(path.clone(), None);
                    report.delete.push(FileEntry {
                        path: path.clone(),
                        file_type: existing.file_type,
                        source: Some(path),
                    });
                }
            }
        }
        report
            .delete
            .extend(giving_way(self, b"".as_bstr(), written)?);
        report.sort();
        let report = report.unless_empty();
        if options.dry_run {
            return Ok(self.with_changes(report));
        }
        let written = self.commit_edits(
            edits,
            CommitOptions {
                message: options.message.clone(),
                operation: Some("cp".to_owned()),
                parents: options.parents.clone(),
                ..CommitOptions::default()
            },
        )?;
        Ok(written.with_changes(report))
    }

    /// Every file in the folders.
    fn files_in(&self, areas: &[BString]) -> Result<BTreeMap<BString, Existing>, StoreError> {
        let mut files = BTreeMap::new();
        for area in areas {
            let below = files_below(self, area.as_bstr())?;
            files.extend(
                below
                    .into_iter()
                    .map(|(path, file)| (join(area, &path), file)),
            );
        }
        Ok(files)
    }
}

/// The folder a source is copied to: what `delete` is limited to.
fn area_of(dest: &BString, source: &StoredSource) -> BString {
    let placed = match source.prefix.is_empty() {
        true => dest.clone(),
        false => join(dest, &source.prefix),
    };
    match source.kind {
        Kind::Folder => join(&placed, super::destination::split(&source.path).1),
        Kind::File | Kind::Contents => placed,
    }
}
