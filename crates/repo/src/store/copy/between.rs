//! Copying files from other snapshots of the same repository. No content is read: blobs are shared by their ids.

use std::collections::{BTreeMap, HashSet};

use bstr::{BString, ByteSlice};
use packhouse_object::ObjectId;

use super::copy_out::files_of;
use super::destination::split;
use super::existing::{Existing, at_targets, files_below, giving_way, is_taken};
use super::overlap::{Overlap, Pair, Winner, above, settle};
use super::source::{Kind, StoredSource, resolve_stored};
use crate::store::path::{join, normalize, normalize_file};
use crate::store::{ChangeReport, CommitOptions, Edits, FileEntry, FileType, Snapshot, StoreError};

/// How files are copied between snapshots.
#[derive(Clone, Debug, Default)]
pub struct CopyBetween {
    /// Remove what is not in the sources from the folders they are copied to; a source that is a file has none.
    pub delete: bool,
    /// Leave what exists already as it is.
    pub ignore_existing: bool,
    /// The one source, a file, becomes exactly the destination instead of going into it.
    pub exact: bool,
    /// The one source, if it is where it would be copied to already, is an error, and not nothing to do.
    pub refuse_same: bool,
    /// Only report.
    pub dry_run: bool,
    /// The commit's message; `None` or empty for one that says what changed.
    pub message: Option<String>,
    /// The name of the operation in automatic messages; `None` for `cp`.
    pub operation: Option<String>,
    /// Further parents of the commit.
    pub parents: Vec<ObjectId>,
}

/// A file of another snapshot.
struct Source {
    path: BString,
    file: Existing,
}

/// What is copied, and where to.
#[derive(Default)]
struct Plan {
    pairs: Vec<Pair<Source>>,
    /// The folders that `delete` is limited to.
    areas: Vec<BString>,
}

impl Snapshot {
    /// Copies files of `source`, a snapshot of the same repository, into the folder `dest`, in one commit. Only what
    /// differs is written, and the report, whose paths begin at the root, says what that is. A source that comes later
    /// wins a place that several want. Nothing of this snapshot itself is copied into itself. A file that a collection
    /// removed, as no ref led to the source any more, is [`StoreError::NoSuchObject`].
    pub fn copy_from<S: AsRef<[u8]>>(
        &self,
        source: &Snapshot,
        sources: &[S],
        dest: impl AsRef<[u8]>,
        options: &CopyBetween,
    ) -> Result<Snapshot, StoreError> {
        self.copy_from_each([(source, sources)], dest, options)
    }

    /// As [`Snapshot::copy_from`], with sources in several snapshots.
    pub fn copy_from_each<'a, S: AsRef<[u8]> + 'a>(
        &self,
        sources: impl IntoIterator<Item = (&'a Snapshot, &'a [S])>,
        dest: impl AsRef<[u8]>,
        options: &CopyBetween,
    ) -> Result<Snapshot, StoreError> {
        let dest = dest.as_ref();
        let mut resolved = Vec::new();
        for (snapshot, paths) in sources {
            if !snapshot.store().same_repository(self.store()) {
                return Err(StoreError::invalid(
                    "source must belong to the same repo as self",
                ));
            }
            for path in paths {
                resolved.push((snapshot, resolve_stored(snapshot, path.as_ref())?));
            }
        }
        if !options.dry_run {
            self.check_writable("write to")?;
        }
        let dest = match options.exact {
            true => normalize_file(dest)?,
            false => normalize(dest)?.unwrap_or_default(),
        };
        self.check_copied_out(&resolved, &dest, options)?;
        let plan = match options.exact {
            true => Plan::of_one_file(&resolved, dest)?,
            false => Plan::of(&resolved, &dest)?,
        };
        let (edits, report) = self.changes_of(plan, options)?;
        let written = self.commit_edits(
            edits,
            CommitOptions {
                message: options.message.clone(),
                operation: Some(options.operation.clone().unwrap_or_else(|| "cp".to_owned())),
                parents: options.parents.clone(),
                report: None,
                dry_run: options.dry_run,
            },
        )?;
        Ok(written.with_changes(report.unless_empty()))
    }

    /// Checks that nothing is copied onto or into itself. What another branch has is something else, also where both are at
    /// one commit.
    fn check_copied_out(
        &self,
        sources: &[(&Snapshot, StoredSource)],
        dest: &BString,
        options: &CopyBetween,
    ) -> Result<(), StoreError> {
        let is_here =
            |of: &Snapshot| of.commit() == self.commit() && of.ref_name() == self.ref_name();
        for (_, source) in sources.iter().filter(|(of, _)| is_here(of)) {
            match Overlap::find(self, source, dest, options.exact, options.delete)? {
                Overlap::Apart => {}
                Overlap::There if !options.refuse_same || sources.len() > 1 => {}
                Overlap::There | Overlap::Onto => {
                    let path = source.path.clone();
                    return Err(StoreError::SamePlace { path });
                }
                Overlap::Into { path, place } => {
                    let done = "copied";
                    return Err(StoreError::IntoItself { path, place, done });
                }
            }
        }
        Ok(())
    }

    fn changes_of(
        &self,
        plan: Plan,
        options: &CopyBetween,
    ) -> Result<(Edits, ChangeReport), StoreError> {
        let (pairs, _) = settle(plan.pairs, Winner::Last);
        let mut edits = Edits::new(self.store());
        let mut report = ChangeReport::default();
        let targets = pairs.iter().map(|pair| pair.target.as_bstr());
        let existing = at_targets(self, b"".as_bstr(), targets)?;
        let mut written = Vec::new();
        for (pair, existing) in pairs.iter().zip(existing) {
            let file = pair.source.file;
            let stays = options.ignore_existing && is_taken(self, &pair.target, existing)?;
            if stays || existing == Some(file) {
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
            for (path, existing) in self.files_in(&plan.areas)? {
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
        Ok((edits, report))
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

impl Plan {
    /// Everything goes into the folder `dest`.
    fn of(sources: &[(&Snapshot, StoredSource)], dest: &BString) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        for (snapshot, source) in sources {
            plan.areas.extend(area_of(dest, source));
            files_of(snapshot, source, &mut |path, target, file| {
                let target = join(dest, &target);
                let source = Source { path, file };
                plan.pairs.push(Pair { target, source });
            })?;
        }
        Ok(plan)
    }

    /// One file becomes `target`.
    fn of_one_file(
        sources: &[(&Snapshot, StoredSource)],
        target: BString,
    ) -> Result<Plan, StoreError> {
        let mut plan = Plan::default();
        match sources {
            [(snapshot, source)] if source.kind == Kind::File => {
                files_of(snapshot, source, &mut |path, _, file| {
                    let (target, source) = (target.clone(), Source { path, file });
                    plan.pairs.push(Pair { target, source });
                })?;
                Ok(plan)
            }
            _ => Err(StoreError::invalid(
                "only one source, a file, can become exactly the destination",
            )),
        }
    }
}

/// The folder a source is copied to; a file alone does not make one its own.
fn area_of(dest: &BString, source: &StoredSource) -> Option<BString> {
    let placed = match source.prefix.is_empty() {
        true => dest.clone(),
        false => join(dest, &source.prefix),
    };
    match source.kind {
        Kind::Folder => Some(join(&placed, split(&source.path).1)),
        Kind::Contents => Some(placed),
        Kind::File => None,
    }
}
