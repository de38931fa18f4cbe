//! Trees of notes, read.

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, ObjectId, ObjectKind, ReadError};

use super::HEX_LEN;
use crate::store::FileType;
use crate::store::scan::Scan;

/// Folders of two digits each may lie one in another until no digit is left.
const FAN_OUT_DEPTH_MAX: usize = HEX_LEN / 2;

/// A note in a tree: where it is, and the blob.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: BString,
    pub(crate) id: ObjectId,
}

/// The tree of notes that a ref names, through a commit. `None` if what it names is none.
pub(crate) fn tree_of(
    database: &Database,
    target: ObjectId,
) -> Result<Option<ObjectId>, ReadError> {
    let (id, kind) = database.peel(target)?;
    Ok(match kind {
        ObjectKind::Commit => Some(database.commit(id)?.tree),
        ObjectKind::Tree => Some(id),
        ObjectKind::Blob | ObjectKind::Tag => None,
    })
}

/// Every file that is a note of an object, the one in the innermost folder first: one, unless someone made a mess.
pub(crate) fn find(
    database: &Database,
    root: ObjectId,
    id: &ObjectId,
) -> Result<Vec<Found>, ReadError> {
    let hex = id.to_string();
    let mut found = Vec::new();
    let mut path = BString::default();
    let mut tree = root;
    for depth in 0..FAN_OUT_DEPTH_MAX {
        let rest = &hex[2 * depth..];
        let data = database.tree_bytes(tree)?;
        let entry = |name: &str| {
            let found = Scan::new(&data).find(name.as_bytes());
            found.map_err(|source| ReadError::decode(tree, source))
        };
        if let Some(entry) = entry(rest)?.filter(|entry| is_file(entry.file_type())) {
            let path = join(path.as_bstr(), rest);
            found.push(Found { path, id: entry.id });
        }
        match entry(&rest[..2])?.filter(|entry| entry.file_type() == FileType::Tree) {
            Some(folder) => {
                path = join(path.as_bstr(), &rest[..2]);
                tree = folder.id;
            }
            None => break,
        }
    }
    found.reverse();
    Ok(found)
}

/// The ids of all objects that have a note in a tree, as they come.
pub(crate) fn ids(database: &Database, root: ObjectId) -> Result<Vec<String>, ReadError> {
    let mut ids = Vec::new();
    let mut open = vec![(String::new(), root)];
    while let Some((digits, tree)) = open.pop() {
        for entry in entries(database, tree, HEX_LEN - digits.len())? {
            let whole = format!("{digits}{}", entry.digits);
            if entry.is_folder {
                open.push((whole, entry.id));
            } else {
                ids.push(whole);
            }
        }
    }
    Ok(ids)
}

/// An entry of a folder of notes: a note, or a folder of two digits.
pub(super) struct Entry {
    pub(super) digits: String,
    pub(super) is_folder: bool,
    pub(super) id: ObjectId,
}

/// The notes and the folders of notes in a folder, where ids lack `rest` more digits. What else is there is not for
/// this crate.
pub(super) fn entries(
    database: &Database,
    tree: ObjectId,
    rest: usize,
) -> Result<Vec<Entry>, ReadError> {
    let data = database.tree_bytes(tree)?;
    let mut entries = Vec::new();
    for entry in Scan::new(&data) {
        let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
        let file_type = entry.file_type();
        let is_folder = file_type == FileType::Tree;
        let len = if is_folder { 2 } else { rest };
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !is_folder && !is_file(file_type) || is_folder && rest <= 2 {
            continue;
        }
        if entry.name.len() != len || !entry.name.bytes().all(is_hex) {
            continue;
        }
        entries.push(Entry {
            digits: entry.name.to_string(),
            is_folder,
            id: entry.id,
        });
    }
    Ok(entries)
}

/// Whether an entry has content of its own, which a submodule does not.
fn is_file(file_type: FileType) -> bool {
    !matches!(file_type, FileType::Tree | FileType::Commit)
}

pub(super) fn join(folder: &BStr, name: &str) -> BString {
    let mut path = folder.to_owned();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}
