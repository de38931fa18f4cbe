//! One path looked up in many trees.

use bstr::{BStr, ByteSlice};
use packhouse_object::{Database, EntryMode, ObjectId, ReadError, TreeIter};

/// The way to one path in the tree that was looked at last. From one commit to the next most folders on the way stay
/// the same, and what is below such a one need not be read again.
#[derive(Debug, Default)]
pub(crate) struct PathLookup {
    folders: Vec<ObjectId>,
    found: Option<(EntryMode, ObjectId)>,
}

impl PathLookup {
    /// What is at the path below `root`. One lookup is for one path, always the same.
    pub(crate) fn find(
        &mut self,
        database: &Database,
        root: ObjectId,
        path: &BStr,
    ) -> Result<Option<(EntryMode, ObjectId)>, ReadError> {
        let mut way = Vec::with_capacity(self.folders.len());
        let mut at = Some((EntryMode::Tree, root));
        for (depth, name) in path.split_str(b"/").enumerate() {
            let Some((EntryMode::Tree, tree)) = at else {
                at = None;
                break;
            };
            if self.folders.get(depth) == Some(&tree) {
                way.extend_from_slice(&self.folders[depth..]);
                at = self.found;
                break;
            }
            way.push(tree);
            at = entry(database, tree, name)?;
        }
        (self.folders, self.found) = (way, at);
        Ok(at)
    }
}

fn entry(
    database: &Database,
    tree: ObjectId,
    name: &[u8],
) -> Result<Option<(EntryMode, ObjectId)>, ReadError> {
    let data = database.tree_bytes(tree)?;
    for entry in TreeIter::new(&data) {
        let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
        if entry.name == name {
            return Ok(Some((entry.mode, entry.id)));
        }
    }
    Ok(None)
}
