//! Where notes are written.

use std::collections::BTreeMap;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, ObjectId, ReadError};

use super::HEX_LEN;
use super::tree::{entries, find, join};

/// Notes by the digits of their ids that are left below a folder.
type Notes = BTreeMap<String, ObjectId>;

/// How the notes of a tree are laid out. Both are read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As `git notes` does: flat until there are many, then in folders.
    Git,
    /// Always flat, which embedded stores promise.
    Flat,
}

/// The edits, by path, that set the note of each object to a blob, or remove it (`None`).
///
/// Other files of the tree stay as they are. Removing what is not there needs no edit.
pub(crate) fn edits(
    database: &Database,
    root: ObjectId,
    changes: &BTreeMap<ObjectId, Option<ObjectId>>,
    layout: Layout,
) -> Result<BTreeMap<BString, Option<ObjectId>>, ReadError> {
    let mut edits = BTreeMap::new();
    let mut added = Notes::new();
    for (object, note) in changes {
        for found in find(database, root, object)? {
            edits.insert(found.path, None);
        }
        if let Some(note) = note {
            added.insert(object.to_string(), *note);
        }
    }
    match layout {
        Layout::Git => place(database, Some(root), b"".as_bstr(), added, &mut edits)?,
        Layout::Flat => {
            let flat = added.into_iter();
            edits.extend(flat.map(|(id, note)| (id.into(), Some(note))));
        }
    }
    Ok(edits)
}

/// Writes notes into the folder `tree` at `path`.
fn place(
    database: &Database,
    tree: Option<ObjectId>,
    path: &BStr,
    mut added: Notes,
    edits: &mut BTreeMap<BString, Option<ObjectId>>,
) -> Result<(), ReadError> {
    let Some(rest) = added.keys().next().map(String::len) else {
        return Ok(());
    };
    let present = match tree {
        Some(tree) => entries(database, tree, rest)?,
        None => Vec::new(),
    };
    let mut folders = BTreeMap::new();
    let mut files = Notes::new();
    for entry in present {
        if entry.is_folder {
            folders.insert(entry.digits, entry.id);
        } else if edits.get(&join(path, &entry.digits)) != Some(&None) {
            files.insert(entry.digits, entry.id);
        }
    }
    if folders.is_empty() {
        if !is_dense(files.keys().chain(added.keys())) {
            for (digits, note) in added {
                edits.insert(join(path, &digits), Some(note));
            }
            return Ok(());
        }
        for digits in files.keys() {
            edits.insert(join(path, digits), None);
        }
        for (digits, note) in files {
            added.entry(digits).or_insert(note);
        }
    }
    let mut by_folder: BTreeMap<String, Notes> = BTreeMap::new();
    for (digits, note) in added {
        let (folder, digits) = digits.split_at(2);
        let notes = by_folder.entry(folder.to_owned()).or_default();
        notes.insert(digits.to_owned(), note);
    }
    for (folder, notes) in by_folder {
        let tree = folders.get(&folder).copied();
        place(database, tree, join(path, &folder).as_bstr(), notes, edits)?;
    }
    Ok(())
}

/// Whether a folder of these notes is to be cut into folders: Git's own rule, which looks at the next digit alone.
fn is_dense<'a>(notes: impl Iterator<Item = &'a String>) -> bool {
    let mut counts = [0u32; 16];
    let mut rest = HEX_LEN;
    for digits in notes {
        rest = rest.min(digits.len());
        let first = digits.chars().next().and_then(|digit| digit.to_digit(16));
        if let Some(count) = first.and_then(|digit| counts.get_mut(digit as usize)) {
            *count += 1;
        }
    }
    // The last folder leaves two digits for the file's name.
    rest > 2 && counts.iter().all(|count| *count >= 2)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use packhouse_object::{HashKind, ObjectCache};

    use super::*;

    fn id(number: u32) -> ObjectId {
        // Spread over all first digits.
        let hex = format!("{:08x}{:032x}", number.wrapping_mul(0x9e37_79b1), number);
        ObjectId::from_hex(hex.as_bytes()).unwrap()
    }

    fn paths(count: u32) -> Vec<String> {
        let database = Database::new(Arc::new(ObjectCache::new(1 << 20)), 1);
        let changes = (0..count)
            .map(|number| (id(number), Some(id(number))))
            .collect();
        let root = ObjectId::empty_tree(HashKind::Sha1);
        let edits = edits(&database, root, &changes, Layout::Git).unwrap();
        edits.into_keys().map(|path| path.to_string()).collect()
    }

    #[test]
    fn few_notes_are_flat_and_many_are_in_folders() {
        assert!(paths(20).iter().all(|path| path.len() == 40));
        assert!(
            paths(200)
                .iter()
                .all(|path| path.len() == 41 && path.as_bytes()[2] == b'/')
        );
        let deep = paths(40_000);
        assert_eq!(deep.len(), 40_000);
        assert!(deep.iter().all(|path| path.len() == 42), "two folders");
    }
}
