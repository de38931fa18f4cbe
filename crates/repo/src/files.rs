//! The files of a tree, by path.
//!
//! Trees come from strangers: open folders are kept on a stack, never in recursion, and no more than
//! [`MAX_TREE_DEPTH`] of them; a tree below which there is no file is read once, however often it is named.

use std::collections::HashSet;
use std::vec;

use packhouse_object::{
    BString, Database, EntryMode, MAX_TREE_DEPTH, ObjectId, ReadError, RepoPath, TreeEntry,
    find_path,
};

/// Which entries to list.
#[derive(Clone, Debug)]
pub struct ListFiles {
    /// The root tree.
    pub tree: ObjectId,
    /// Only what is in this folder; a file names itself.
    pub path: Option<RepoPath>,
    /// Descend into folders and list files only; otherwise list the folder's own entries.
    pub recursive: bool,
    /// Go on behind this path.
    pub after: Option<BString>,
    /// How many entries at most.
    pub limit: usize,
    /// End behind the entry that brings the paths to this many bytes.
    pub path_bytes: usize,
}

/// The entries that a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileList {
    /// In git's order.
    pub entries: Vec<FileEntry>,
    /// Whether a limit left some out.
    pub has_more: bool,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The whole path from the root.
    pub path: BString,
    /// What it is.
    pub mode: EntryMode,
    /// The blob, tree or submodule commit.
    pub id: ObjectId,
}

/// The entries a query asks for; `None` if the path does not exist.
pub fn list_files(database: &Database, query: &ListFiles) -> Result<Option<FileList>, ReadError> {
    let mut listing = Listing {
        database,
        query,
        after: cursor_key(database, query)?,
        found: FileList {
            entries: Vec::new(),
            has_more: false,
        },
        found_bytes: 0,
        folders: Vec::new(),
        path: BString::default(),
        barren: HashSet::new(),
    };
    match &query.path {
        None => listing.below(query.tree)?,
        Some(path) => {
            let Some(entry) = find_path(database, query.tree, path)? else {
                return Ok(None);
            };
            listing.path = BString::from(path.as_bytes());
            if entry.mode.is_tree() {
                listing.below(entry.id)?;
            } else {
                listing.add(entry.mode, entry.id);
            }
        }
    }
    Ok(Some(listing.found))
}

struct Listing<'a> {
    database: &'a Database,
    query: &'a ListFiles,
    /// The sort key of the cursor.
    after: Option<Vec<u8>>,
    found: FileList,
    /// The length of the paths found.
    found_bytes: usize,
    /// From the outermost to the innermost.
    folders: Vec<Folder>,
    /// The path of the innermost open folder, or of the entry at hand.
    path: BString,
    /// Trees below which there is no file.
    barren: HashSet<ObjectId>,
}

/// A folder that is being listed.
struct Folder {
    tree: ObjectId,
    entries: vec::IntoIter<TreeEntry>,
    /// How much of the path is the folder's own.
    path_len: usize,
    has_files: bool,
}

impl Listing<'_> {
    fn full(&self) -> bool {
        self.found.entries.len() >= self.query.limit || self.found_bytes >= self.query.path_bytes
    }

    /// Adds what is at the path.
    fn add(&mut self, mode: EntryMode, id: ObjectId) {
        let key = sort_key(&self.path, mode);
        let passed = self.after.as_ref().is_some_and(|after| key <= *after);
        if passed {
            return;
        }
        if self.full() {
            self.found.has_more = true;
            return;
        }
        let path = self.path.clone();
        self.found_bytes += path.len();
        self.found.entries.push(FileEntry { path, mode, id });
    }

    /// Lists `tree`, the folder at the path.
    fn below(&mut self, tree: ObjectId) -> Result<(), ReadError> {
        self.open(tree)?;
        while let Some(folder) = self.folders.last_mut() {
            self.path.truncate(folder.path_len);
            let Some(entry) = folder.entries.next() else {
                self.close();
                continue;
            };
            if self.found.has_more {
                return Ok(());
            }
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&entry.name);
            if !self.query.recursive || !entry.mode.is_tree() {
                self.note_files();
                self.add(entry.mode, entry.id);
            } else if self.wholly_passed(&self.path) {
                self.note_files();
            } else if !self.barren.contains(&entry.id) {
                self.open(entry.id)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, tree: ObjectId) -> Result<(), ReadError> {
        if self.folders.len() > MAX_TREE_DEPTH {
            let (id, limit) = (tree, MAX_TREE_DEPTH);
            return Err(ReadError::TreeTooDeep { id, limit });
        }
        self.folders.push(Folder {
            tree,
            entries: self.database.tree(tree)?.entries.into_iter(),
            path_len: self.path.len(),
            has_files: false,
        });
        Ok(())
    }

    fn close(&mut self) {
        match self.folders.pop() {
            Some(closed) if closed.has_files => self.note_files(),
            Some(closed) => drop(self.barren.insert(closed.tree)),
            None => {}
        }
    }

    /// The innermost open folder is not barren, as far as is known.
    fn note_files(&mut self) {
        if let Some(folder) = self.folders.last_mut() {
            folder.has_files = true;
        }
    }

    /// Whether everything in the folder stands before the cursor.
    fn wholly_passed(&self, folder: &BString) -> bool {
        let inside = sort_key(folder, EntryMode::Tree);
        self.after
            .as_ref()
            .is_some_and(|after| !after.starts_with(&inside) && inside < *after)
    }
}

/// Where the cursor stands in git's order. It does not say whether it names a folder, so the tree is asked.
fn cursor_key(database: &Database, query: &ListFiles) -> Result<Option<Vec<u8>>, ReadError> {
    let Some(after) = &query.after else {
        return Ok(None);
    };
    let mode = match RepoPath::parse(after.as_slice()) {
        Ok(path) if !query.recursive => {
            find_path(database, query.tree, &path)?.map(|entry| entry.mode)
        }
        _ => None,
    };
    Ok(Some(sort_key(after, mode.unwrap_or(EntryMode::Blob))))
}

/// Git sorts a folder as if its name ended in a slash.
fn sort_key(path: &BString, mode: EntryMode) -> Vec<u8> {
    let mut key = path.to_vec();
    if mode.is_tree() {
        key.push(b'/');
    }
    key
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use packhouse_object::{NewObject, ObjectCache, ObjectKind, Tree};

    use super::*;

    fn database() -> Database {
        Database::new(Arc::new(ObjectCache::new(1 << 20)), 1)
    }

    /// Adds a tree whose entries are `names`, all with the same content.
    fn add(database: &mut Database, mode: EntryMode, id: ObjectId, names: &[&str]) -> ObjectId {
        let entries = names.iter().map(|name| TreeEntry {
            mode,
            name: (*name).into(),
            id,
        });
        let tree = Tree {
            entries: entries.collect(),
        };
        let object = NewObject::new(ObjectKind::Tree, tree.encode()).unwrap();
        let id = object.id;
        *database = database.with_objects([object]);
        id
    }

    fn list(database: &Database, tree: ObjectId, path_bytes: usize) -> FileList {
        let query = ListFiles {
            tree,
            path: None,
            recursive: true,
            after: None,
            limit: 10,
            path_bytes,
        };
        list_files(database, &query).unwrap().unwrap()
    }

    #[test]
    fn folders_nest_as_deep_as_git_reads_them() {
        let mut database = database();
        let blob = NewObject::new(ObjectKind::Blob, &b"x"[..]).unwrap().id;
        let mut tree = add(&mut database, EntryMode::Blob, blob, &["f"]);
        for _ in 0..MAX_TREE_DEPTH {
            tree = add(&mut database, EntryMode::Tree, tree, &["d"]);
        }
        let FileList { entries, has_more } = list(&database, tree, usize::MAX);
        assert_eq!((entries.len(), has_more), (1, false));
        assert_eq!(entries[0].path, "d/".repeat(MAX_TREE_DEPTH) + "f");

        let deeper = add(&mut database, EntryMode::Tree, tree, &["d"]);
        let query = ListFiles {
            tree: deeper,
            path: None,
            recursive: true,
            after: None,
            limit: 1,
            path_bytes: 1,
        };
        let refused = list_files(&database, &query);
        assert!(matches!(refused, Err(ReadError::TreeTooDeep { .. })));
    }

    #[test]
    fn folders_without_files_cost_no_more_than_their_number() {
        let mut database = database();
        let nothing = ObjectId::empty_tree(packhouse_object::HashKind::Sha1);
        let mut tree = add(&mut database, EntryMode::Tree, nothing, &[]);
        // A hundred to the power of thirty ways down.
        let names: Vec<String> = (10..110).map(|n| format!("d{n:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for _ in 0..30 {
            tree = add(&mut database, EntryMode::Tree, tree, &names);
        }
        assert_eq!(list(&database, tree, usize::MAX).entries, []);
    }

    #[test]
    fn a_list_ends_at_either_limit() {
        let mut database = database();
        let blob = NewObject::new(ObjectKind::Blob, &b"x"[..]).unwrap().id;
        let names: Vec<String> = (10..21).map(|n| format!("f{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let eleven = add(&mut database, EntryMode::Blob, blob, &names);
        let ten = add(&mut database, EntryMode::Blob, blob, &names[..10]);
        for (tree, path_bytes, expected) in [
            (eleven, usize::MAX, (10, true)),
            (ten, usize::MAX, (10, false)),
            (ten, 30, (10, false)),
            (ten, 27, (9, true)),
            // A page always gets on.
            (ten, 1, (1, true)),
        ] {
            let FileList { entries, has_more } = list(&database, tree, path_bytes);
            assert_eq!((entries.len(), has_more), expected, "{path_bytes}");
        }
    }
}
