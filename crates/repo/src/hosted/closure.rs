//! That what a write builds on is still there.
//!
//! A request looks at one state and its write lands on a later one. Nothing that a state has goes away between the two, but
//! for what a drop takes: objects that no ref reached. So a write whose request began before the last drop is looked through
//! once more: whatever its objects name, and its refs are moved to, must be in the state that it lands on.

use std::sync::Arc;

use packhouse_object::{
    Database, DecodeError, EntryMode, NewObject, ObjectCache, ObjectId, ObjectKind, Pack,
    ReadError, TreeIter, commit_links, tag_target,
};

use crate::change::Change;
use crate::error::RepoError;

/// Looks through a change. `database` has all that the repository has, with the change and its packs.
/// [`RepoError::Vanished`] if something is missing.
pub(crate) fn check_change(database: &Database, change: &Change) -> Result<(), RepoError> {
    for object in &change.objects {
        each_named_by(object, &mut |id| check_named(database, id))?;
    }
    let mut targets = change.edits.iter().filter_map(|edit| edit.new);
    targets.try_for_each(|target| check_named(database, target))
}

/// Looks through a pack, as [`check_change`] does through a change.
pub(crate) fn check_pack(database: &Database, pack: &Pack) -> Result<(), RepoError> {
    each_named_in(pack, &mut |id| check_named(database, id))
}

/// Tells `look` everything that the objects of a pack name.
pub(crate) fn each_named_in(
    pack: &Pack,
    look: &mut dyn FnMut(ObjectId) -> Result<(), RepoError>,
) -> Result<(), RepoError> {
    // Hardly any of it is asked for again.
    let bases = Arc::new(ObjectCache::new(16 << 20));
    for (id, offset) in pack.iter_by_offset() {
        let kind = pack.header(offset)?.kind;
        if kind == ObjectKind::Blob {
            continue;
        }
        let data = pack.read(offset, &bases)?.data;
        each_named_by(&NewObject { id, kind, data }, look)?;
    }
    Ok(())
}

/// Tells `look` everything that an object names.
pub(crate) fn each_named_by(
    object: &NewObject,
    look: &mut dyn FnMut(ObjectId) -> Result<(), RepoError>,
) -> Result<(), RepoError> {
    let named = named_by(object).map_err(|error| ReadError::decode(object.id, error))?;
    named.into_iter().try_for_each(look)
}

fn named_by(object: &NewObject) -> Result<Vec<ObjectId>, DecodeError> {
    match object.kind {
        ObjectKind::Commit => {
            let (tree, mut named, _) = commit_links(&object.data)?;
            named.push(tree);
            Ok(named)
        }
        ObjectKind::Tag => Ok(vec![tag_target(&object.data)?.0]),
        ObjectKind::Tree => {
            let mut named = Vec::new();
            for entry in TreeIter::new(&object.data) {
                let entry = entry?;
                if entry.mode != EntryMode::Submodule {
                    named.push(entry.id);
                }
            }
            Ok(named)
        }
        ObjectKind::Blob => Ok(Vec::new()),
    }
}

fn check_named(database: &Database, id: ObjectId) -> Result<(), RepoError> {
    // Not by what is remembered of objects: those that are gone may be among them.
    match database.contains(&id)? {
        true => Ok(()),
        false => Err(RepoError::Vanished { id }),
    }
}
