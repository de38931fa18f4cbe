//! The files of one tree by path, for many paths.

use std::collections::HashMap;

use bstr::BString;
use bytes::Bytes;
use packhouse_object::{Database, EntryMode, IdMap, ObjectId, ReadError, RepoPath, TreeIter};

/// So often a folder is searched before its names are indexed.
const FINDS: u32 = 16;
/// Most names that all indexes together hold.
const MAX_INDEXED: usize = 2_000_000;

/// What is at a path.
pub(super) type Entry = (EntryMode, ObjectId);

/// Finds files below a root.
pub(super) struct Lookup<'a> {
    database: &'a Database,
    root: Option<ObjectId>,
    folders: IdMap<Folder>,
    indexed: usize,
}

struct Folder {
    data: Bytes,
    finds: u32,
    by_name: Option<HashMap<BString, Entry>>,
}

impl<'a> Lookup<'a> {
    /// Below `root`; `None`: there is no file.
    pub(super) fn new(database: &'a Database, root: Option<ObjectId>) -> Lookup<'a> {
        Lookup {
            database,
            root,
            folders: IdMap::default(),
            indexed: 0,
        }
    }

    /// The file, link or submodule at `path`; a folder is none.
    pub(super) fn file(&mut self, path: &RepoPath) -> Result<Option<Entry>, ReadError> {
        let Some(mut at) = self.root else {
            return Ok(None);
        };
        let mut parts = path.components().peekable();
        while let Some(part) = parts.next() {
            let Some((mode, id)) = self.entry(at, part)? else {
                return Ok(None);
            };
            match (mode.is_tree(), parts.peek().is_none()) {
                (true, false) => at = id,
                (false, true) => return Ok(Some((mode, id))),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn entry(&mut self, tree: ObjectId, name: &[u8]) -> Result<Option<Entry>, ReadError> {
        if self.indexed > MAX_INDEXED {
            self.folders.clear();
            self.indexed = 0;
        }
        if !self.folders.contains_key(&tree) {
            let folder = Folder {
                data: self.database.tree_bytes(tree)?,
                finds: 0,
                by_name: None,
            };
            self.indexed += 1;
            self.folders.insert(tree, folder);
        }
        let folder = self.folders.get_mut(&tree).expect("it was put there");
        let malformed = |source| ReadError::decode(tree, source);
        if let Some(by_name) = &folder.by_name {
            return Ok(by_name.get(name).copied());
        }
        folder.finds += 1;
        if folder.finds <= FINDS {
            let found = TreeIter::new(&folder.data).find(name).map_err(malformed)?;
            return Ok(found.map(|entry| (entry.mode, entry.id)));
        }
        let mut by_name = HashMap::new();
        for entry in TreeIter::new(&folder.data) {
            let entry = entry.map_err(malformed)?;
            by_name.insert(entry.name.to_owned(), (entry.mode, entry.id));
        }
        self.indexed += by_name.len();
        let found = by_name.get(name).copied();
        folder.by_name = Some(by_name);
        Ok(found)
    }
}
