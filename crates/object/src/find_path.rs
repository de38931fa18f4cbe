//! Finding one entry by its path.

use crate::{Database, ObjectId, ReadError, RepoPath, TreeEntry, TreeIter};

/// The file, folder or submodule at `path` below the tree `root`; `None` if nothing is there.
///
/// Reads one tree for each part of the path.
pub fn find_path(
    db: &Database,
    root: ObjectId,
    path: &RepoPath,
) -> Result<Option<TreeEntry>, ReadError> {
    let mut tree = root;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let data = db.tree_bytes(tree)?;
        let found = TreeIter::new(&data).find(part);
        let found = found.map_err(|source| ReadError::decode(tree, source))?;
        match found {
            Some(entry) if parts.peek().is_none() => return Ok(Some(entry.to_owned())),
            Some(entry) if entry.mode.is_tree() => tree = entry.id,
            _ => return Ok(None),
        }
    }
    Ok(None)
}
