//! The files of a tree, by path.

use packhouse_object::{
    BString, Database, EntryMode, ObjectId, ReadError, RepoPath, Tree, find_path,
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

/// The entries a query asks for, in git's order; `None` if the path does not exist.
pub fn list_files(
    database: &Database,
    query: &ListFiles,
) -> Result<Option<Vec<FileEntry>>, ReadError> {
    let mut listing = Listing {
        database,
        query,
        after: cursor_key(database, query)?,
        found: Vec::new(),
    };
    match &query.path {
        None => listing.folder(query.tree, &BString::default())?,
        Some(path) => {
            let Some(entry) = find_path(database, query.tree, path)? else {
                return Ok(None);
            };
            let whole = BString::from(path.as_bytes());
            if entry.mode.is_tree() {
                listing.folder(entry.id, &whole)?;
            } else {
                listing.add(whole, entry.mode, entry.id);
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
    found: Vec<FileEntry>,
}

impl Listing<'_> {
    fn full(&self) -> bool {
        self.found.len() >= self.query.limit
    }

    fn add(&mut self, path: BString, mode: EntryMode, id: ObjectId) {
        let key = sort_key(&path, mode);
        let passed = self.after.as_ref().is_some_and(|after| key <= *after);
        if !passed && !self.full() {
            self.found.push(FileEntry { path, mode, id });
        }
    }

    fn folder(&mut self, tree: ObjectId, path: &BString) -> Result<(), ReadError> {
        let Tree { entries } = self.database.tree(tree)?;
        for entry in entries {
            if self.full() {
                return Ok(());
            }
            let mut whole = path.clone();
            if !whole.is_empty() {
                whole.push(b'/');
            }
            whole.extend_from_slice(&entry.name);
            if self.query.recursive && entry.mode.is_tree() {
                if !self.wholly_passed(&whole) {
                    self.folder(entry.id, &whole)?;
                }
            } else {
                self.add(whole, entry.mode, entry.id);
            }
        }
        Ok(())
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
