//! What is in a snapshot where files are to go.

use std::collections::{BTreeMap, HashMap, HashSet};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ObjectId, ObjectKind, ReadError};

use super::destination::split;
use super::overlap::above;
use crate::store::path::join;
use crate::store::read::Found;
use crate::store::scan::Scan;
use crate::store::{FileEntry, FileType, Snapshot, StoreError};

/// A file or folder of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Existing {
    pub(super) file_type: FileType,
    pub(super) id: ObjectId,
}

/// All files below a folder, by their paths in it; none if it is no folder.
pub(super) fn files_below(
    snapshot: &Snapshot,
    folder: &BStr,
) -> Result<HashMap<BString, Existing>, StoreError> {
    let mut files = HashMap::new();
    if !is_folder(snapshot, folder)? {
        return Ok(files);
    }
    let skip = if folder.is_empty() {
        0
    } else {
        folder.len() + 1
    };
    for file in snapshot.files(folder)? {
        let (path, mode, id) = file?;
        let file_type = FileType::from(mode);
        files.insert(path[skip..].into(), Existing { file_type, id });
    }
    Ok(files)
}

pub(super) fn is_folder(snapshot: &Snapshot, path: &BStr) -> Result<bool, StoreError> {
    let entry = snapshot.entry(path)?;
    Ok(entry.is_some_and(|entry| entry.file_type == FileType::Tree))
}

/// Whether something would have to give way to a file at `path`, where `existing` is.
pub(super) fn is_taken(
    snapshot: &Snapshot,
    path: &[u8],
    existing: Option<Existing>,
) -> Result<bool, StoreError> {
    Ok(existing.is_some() || matches!(snapshot.find(path)?, Found::BelowFile))
}

/// The files that have to give way where files are written: those of a folder in whose place a file comes, and one in
/// whose place a folder comes. `written` says what is at each path below `folder`. Paths are relative to `folder`, but
/// for a file at or above it. Sorted.
pub(super) fn giving_way<'a>(
    snapshot: &Snapshot,
    folder: &BStr,
    written: impl IntoIterator<Item = (&'a BStr, Option<Existing>)>,
) -> Result<Vec<FileEntry>, StoreError> {
    let mut gone = BTreeMap::new();
    let mut looked_at = HashSet::new();
    for (target, existing) in written {
        let path = join(folder, target);
        match existing.map(|existing| existing.file_type) {
            Some(FileType::Tree) => {
                for (below, file) in files_below(snapshot, path.as_bstr())? {
                    gone.insert(join(&path, &below), file.file_type);
                }
            }
            Some(_) => {}
            None => {
                for parent in above(&path) {
                    if !looked_at.insert(BString::from(parent)) {
                        continue;
                    }
                    if let Found::Entry(entry) = snapshot.find(parent)?
                        && entry.file_type != FileType::Tree
                    {
                        gone.insert(parent.into(), entry.file_type);
                    }
                }
            }
        }
    }
    let skip = match folder.is_empty() {
        true => 0,
        false => folder.len() + 1,
    };
    let entries = gone.into_iter().map(|(path, file_type)| FileEntry {
        path: path[if path.len() > skip { skip } else { 0 }..].into(),
        file_type,
        source: Some(path),
    });
    Ok(entries.collect())
}

/// From how many names on a folder is sorted into a map instead of being searched for each.
const MAP_FROM: usize = 8;

/// What is at each of `targets` below a folder; sorted targets are found fastest.
pub(super) fn at_targets<'a>(
    snapshot: &Snapshot,
    folder: &BStr,
    targets: impl IntoIterator<Item = &'a BStr>,
) -> Result<Vec<Option<Existing>>, StoreError> {
    let targets: Vec<&BStr> = targets.into_iter().collect();
    let mut found = Vec::with_capacity(targets.len());
    for group in targets.chunk_by(|a, b| split(a).0 == split(b).0) {
        let below = split(group[0]).0;
        let parent = match below.is_empty() {
            true => BString::from(folder),
            false => join(folder, below),
        };
        let Some(tree) = tree_at(snapshot, &parent)? else {
            found.extend(group.iter().map(|_| None));
            continue;
        };
        let data = snapshot.database().bytes_of(tree, ObjectKind::Tree)?;
        let broken = |source| ReadError::decode(tree, source);
        let map = match group.len() < MAP_FROM {
            true => None,
            false => {
                let entries = Scan::new(&data).map(|entry| entry.map(|entry| (entry.name, entry)));
                Some(
                    entries
                        .collect::<Result<HashMap<_, _>, _>>()
                        .map_err(broken)?,
                )
            }
        };
        for target in group {
            let name = BStr::new(split(target).1);
            let entry = match &map {
                Some(map) => map.get(name).copied(),
                None => Scan::new(&data).find(name).map_err(broken)?,
            };
            found.push(entry.map(|entry| Existing {
                file_type: entry.file_type(),
                id: entry.id,
            }));
        }
    }
    Ok(found)
}

fn tree_at(snapshot: &Snapshot, path: &[u8]) -> Result<Option<ObjectId>, StoreError> {
    if path.is_empty() {
        return Ok(Some(snapshot.tree()));
    }
    Ok(match snapshot.find(path)? {
        Found::Entry(entry) if entry.file_type == FileType::Tree => Some(entry.id),
        _ => None,
    })
}
