//! Files that Git itself reads are judged before a commit names them, as in everything that strangers send: no store
//! may hold what `git fsck --strict` refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use packhouse_object::{
    Database, EntryMode, ObjectId, Pack, PathError, ReadError, SpecialFile, SpecialFileError,
    special_entry,
};

use super::StoreError;
use super::tree_edit::Change;
use crate::directory::Bring;
use crate::error::RepoError;

/// Judges the files among `entries` that Git reads. Their content is in `bring` or in the database.
pub(super) fn judge(
    database: &Database,
    entries: &BTreeMap<BString, Change>,
    bring: &Bring,
) -> Result<(), StoreError> {
    let mut with_packs = None;
    for (path, change) in entries {
        let Some((file_type, id)) = change else {
            continue;
        };
        let mut special = None;
        for (name, is_last) in parts(path) {
            let mode = if is_last {
                file_type.entry_mode()
            } else {
                EntryMode::Tree
            };
            special = match special_entry(name, mode) {
                Ok(special) => special,
                // Too long for a file system, not for a tree, and no name of a file that Git reads.
                Err(PathError::TooLong) => None,
                Err(error) => return Err(refused(path, error.to_string())),
            };
        }
        let Some(special) = special else { continue };
        let verdict = match content(bring, special, *id)? {
            Some(verdict) => verdict,
            None => {
                let all = match &with_packs {
                    Some(all) => all,
                    None => with_packs.insert(laid_over(database, bring)?),
                };
                special.check_blob(all, *id)?
            }
        };
        verdict.map_err(|error| refused(path, error.to_string()))?;
    }
    Ok(())
}

/// The names on a path, and whether each is the last.
fn parts(path: &BString) -> impl Iterator<Item = (&[u8], bool)> {
    let mut names = path.split_str("/").peekable();
    std::iter::from_fn(move || names.next().map(|name| (name, names.peek().is_none())))
}

fn refused(path: &BString, reason: String) -> StoreError {
    StoreError::Invalid {
        reason: format!("Invalid file '{path}': {reason}"),
    }
}

/// The verdict on a blob that waits outside a pack.
fn content(
    bring: &Bring,
    special: SpecialFile,
    id: ObjectId,
) -> Result<Option<Result<(), SpecialFileError>>, StoreError> {
    let unreadable = |source| StoreError::from(ReadError::Stream { id, source });
    if let Some(object) = bring.objects.iter().find(|object| object.id == id) {
        let size = object.data.len() as u64;
        return Ok(Some(
            special
                .check(size, &mut &*object.data)
                .map_err(unreadable)?,
        ));
    }
    match bring.staged.iter().find(|staged| staged.id() == id) {
        Some(staged) => {
            let (_, size, mut data) = staged.content().map_err(unreadable)?;
            Ok(Some(special.check(size, &mut data).map_err(unreadable)?))
        }
        None => Ok(None),
    }
}

/// The objects of the store and of the packs that come with the write.
fn laid_over(database: &Database, bring: &Bring) -> Result<Database, StoreError> {
    if bring.packs.is_empty() {
        return Ok(database.clone());
    }
    let mut packs = Vec::new();
    for finished in &bring.packs {
        packs.push(Arc::new(
            Pack::open(&finished.pack, &finished.idx).map_err(RepoError::from)?,
        ));
    }
    packs.extend(database.packs().iter().cloned());
    Ok(database.with_packs(packs))
}
