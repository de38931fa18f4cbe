//! Moving files and folders within a store.

use std::collections::{BTreeMap, HashMap};

use bstr::{BString, ByteSlice};
use packhouse_object::ObjectId;

use super::copy_out::files_of;
use super::existing::{Existing, at_targets, giving_way, is_folder};
use super::overlap::{Overlap, Pair, Winner, settle};
use super::remove::{deletions, files_to_remove, no_matches};
use super::source::{Kind, StoredSource, resolve_stored};
use crate::store::path::{join, normalize, normalize_file};
use crate::store::{ChangeReport, CommitOptions, Edits, FileEntry, FileType, Snapshot, StoreError};

/// How files are moved.
#[derive(Clone, Debug, Default)]
pub struct Rename {
    /// Move folders too.
    pub recursive: bool,
    /// Only report.
    pub dry_run: bool,
    /// The commit's message; `None` or empty for one that says what changed.
    pub message: Option<String>,
    /// Further parents of the commit.
    pub parents: Vec<ObjectId>,
}

/// A file that moves.
struct Moved {
    from: BString,
    file: Existing,
}

impl Snapshot {
    /// Moves files, and folders if so told, in one commit.
    ///
    /// A single file or folder gets the name `dest`, unless that is a folder or ends in a slash; otherwise everything
    /// is put into `dest`. What is in the way is replaced, but no two sources may want the same place, and nothing is
    /// moved into itself or to two places.
    pub fn rename<S: AsRef<[u8]>>(
        &self,
        sources: &[S],
        dest: impl AsRef<[u8]>,
        options: &Rename,
    ) -> Result<Snapshot, StoreError> {
        let mut resolved = Vec::new();
        for source in sources {
            resolved.push(resolve_stored(self, source.as_ref())?);
        }
        let pairs = self.moves(&resolved, dest.as_ref())?;
        if pairs.is_empty() {
            return Err(no_matches(sources));
        }
        if let Some(same) = pairs.iter().find(|pair| pair.target == pair.source.from) {
            return Err(StoreError::SamePlace {
                path: same.target.clone(),
            });
        }
        let removed = files_to_remove(self, &resolved, options.recursive)?;
        self.commit_moves(pairs, removed, options)
    }

    /// Moves each file to a place of its own, in one commit: all at once, so that files can change places. What is in the
    /// way is replaced, but no folder; of several that want one place the last gets it, and the others are gone. Folders are
    /// not moved, `recursive` or not.
    pub fn rename_each<S: AsRef<[u8]>, T: AsRef<[u8]>>(
        &self,
        moves: impl IntoIterator<Item = (S, T)>,
        options: &Rename,
    ) -> Result<Snapshot, StoreError> {
        let mut removed = BTreeMap::new();
        let mut pairs = Vec::new();
        for (source, target) in moves {
            let from = normalize_file(source)?;
            let target = normalize_file(target)?;
            let (file_type, id) = match self.entry(&from)? {
                None => return Err(StoreError::SourceNotFound { path: from }),
                Some(entry) => (entry.file_type, entry.id),
            };
            if file_type == FileType::Tree {
                return Err(StoreError::IsADirectory { path: from });
            }
            if is_folder(self, target.as_bstr())? {
                return Err(StoreError::IsADirectory { path: target });
            }
            removed.insert(from.clone(), file_type);
            let file = Existing { file_type, id };
            let source = Moved { from, file };
            pairs.push(Pair { target, source });
        }
        check_one_place(&pairs)?;
        let (pairs, lost) = settle(pairs, Winner::Last);
        let has_place = |target: &BString| pairs.binary_search_by(|pair| pair.target.cmp(target));
        match lost.iter().find(|lost| has_place(&lost.target).is_err()) {
            Some(lost) => Err(StoreError::invalid(format!(
                "'{}' would become a file and a folder",
                lost.target
            ))),
            None => self.commit_moves(pairs, removed, options),
        }
    }

    /// Makes the commit of files that move, sorted by where to; `removed` has them where they were.
    fn commit_moves(
        &self,
        pairs: Vec<Pair<Moved>>,
        removed: BTreeMap<BString, FileType>,
        options: &Rename,
    ) -> Result<Snapshot, StoreError> {
        let targets = pairs.iter().map(|pair| pair.target.as_bstr());
        let existing = at_targets(self, b"".as_bstr(), targets.clone())?;
        let mut gone = giving_way(self, b"".as_bstr(), targets.zip(existing))?;
        gone.retain(|entry| !removed.contains_key(&entry.path));
        let mut report = ChangeReport {
            add: pairs.iter().map(addition).collect(),
            delete: deletions(&removed),
            ..ChangeReport::default()
        };
        report.delete.extend(gone);
        report.sort();
        let mut edits = Edits::new(self.store());
        edits.entries = removed.into_keys().map(|path| (path, None)).collect();
        // One file may take the place that another leaves.
        let moved = pairs.into_iter().map(|pair| {
            let file = pair.source.file;
            (pair.target, Some((file.file_type, file.id)))
        });
        edits.entries.extend(moved.collect::<BTreeMap<_, _>>());
        let written = self.commit_edits(
            edits,
            CommitOptions {
                message: options.message.clone(),
                operation: Some("mv".to_owned()),
                parents: options.parents.clone(),
                report: None,
                dry_run: options.dry_run,
            },
        )?;
        Ok(written.with_changes(report.unless_empty()))
    }

    /// Checks that a source gets another place, and none in itself.
    fn check_moves_out(
        &self,
        source: &StoredSource,
        dest: &BString,
        renamed: bool,
    ) -> Result<(), StoreError> {
        match Overlap::find(self, source, dest, renamed, false)? {
            Overlap::Apart => Ok(()),
            Overlap::There | Overlap::Onto => Err(StoreError::SamePlace {
                path: source.path.clone(),
            }),
            Overlap::Into { path, place } => Err(StoreError::IntoItself {
                path,
                place,
                done: "moved",
            }),
        }
    }

    /// Every file that moves and where to, sorted by that.
    fn moves(&self, sources: &[StoredSource], dest: &[u8]) -> Result<Vec<Pair<Moved>>, StoreError> {
        let into = dest.ends_with(b"/") || sources.len() != 1;
        let dest = normalize(dest)?.unwrap_or_default();
        let renames = !into && !is_folder(self, dest.as_bstr())?;
        let mut pairs = Vec::new();
        for source in sources {
            let renamed = renames && source.kind != Kind::Contents;
            self.check_moves_out(source, &dest, renamed)?;
            let source = match (renamed, source.kind) {
                (true, Kind::Folder) => &StoredSource {
                    kind: Kind::Contents,
                    prefix: BString::default(),
                    ..source.clone()
                },
                _ => source,
            };
            files_of(self, source, &mut |from, target, file| {
                let target = match (renamed, source.kind) {
                    (true, Kind::File) => dest.clone(),
                    _ => join(&dest, &target),
                };
                let source = Moved { from, file };
                pairs.push(Pair { target, source });
            })?;
        }
        check_one_place(&pairs)?;
        let (pairs, lost) = settle(pairs, Winner::First);
        match lost.first() {
            Some(lost) => Err(StoreError::invalid(format!(
                "several sources would become '{}'",
                lost.target
            ))),
            None => Ok(pairs),
        }
    }
}

/// Checks that no file moves to several places.
fn check_one_place(pairs: &[Pair<Moved>]) -> Result<(), StoreError> {
    let mut places = HashMap::new();
    for Pair { target, source } in pairs {
        if let Some(other) = places.insert(&source.from, target)
            && other != target
        {
            return Err(StoreError::invalid(format!(
                "'{}' cannot be moved to both '{other}' and '{target}'",
                source.from
            )));
        }
    }
    Ok(())
}

fn addition(pair: &Pair<Moved>) -> FileEntry {
    FileEntry {
        path: pair.target.clone(),
        file_type: pair.source.file.file_type,
        source: Some(pair.source.from.clone()),
    }
}
