//! Notes: texts about objects, kept beside history in refs of their own, as `git notes` keeps them.
//!
//! A notes ref names a commit whose tree has one file per annotated object. The file's path is the object's id,
//! which folders of two digits may cut into parts. Here notes are found however they are spread, and those of hosted
//! repositories are written where `git notes` would write them: flat, until each of the sixteen first digits has two
//! notes, and then in folders, by the same rule in each of these. So a note costs the trees on its own path, however
//! many there are. Embedded stores promise their users flat names.

mod layout;
mod tree;
mod write;

pub(crate) use layout::{Layout, edits};
pub(crate) use tree::{find, ids, tree_of};
pub use write::{NoteAction, NoteError, NoteOutcome, NoteRequest};

use bstr::BString;
use packhouse_object::{Database, ObjectId, ObjectKind, ReadError, RefName};

use crate::view::View;

/// Digits of an id.
const HEX_LEN: usize = 40;

/// The text about `object` in the notes of `notes_ref`. A ref that holds no notes has none.
///
/// Where a tree has several files for one object their texts are joined, as `git notes show` shows them.
pub fn note(
    view: &View,
    notes_ref: &RefName,
    object: &ObjectId,
) -> Result<Option<BString>, ReadError> {
    let Some(entry) = view.refs().get(notes_ref) else {
        return Ok(None);
    };
    let database = view.database();
    match tree_of(database, entry.target)? {
        Some(root) => text(database, root, object),
        None => Ok(None),
    }
}

/// The text about `object` in a tree of notes.
pub(crate) fn text(
    database: &Database,
    root: ObjectId,
    object: &ObjectId,
) -> Result<Option<BString>, ReadError> {
    let mut joined: Option<BString> = None;
    let mut last = None;
    for found in find(database, root, object)? {
        if last.replace(found.id) == Some(found.id) {
            continue;
        }
        let part = database.bytes_of(found.id, ObjectKind::Blob)?;
        match &mut joined {
            None => joined = Some(part.to_vec().into()),
            Some(text) => {
                if text.last() == Some(&b'\n') {
                    text.pop();
                }
                text.extend_from_slice(b"\n\n");
                text.extend_from_slice(&part);
            }
        }
    }
    Ok(joined)
}
