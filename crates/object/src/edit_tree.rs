//! Changing files by path: which trees come of it.
//!
//! The cost follows the folders that are touched. They are kept on a stack, never in recursion:
//! paths come from strangers and may be thousands of folders deep.

use std::collections::HashMap;

use bytes::Bytes;

use crate::tree::encode_entry;
use crate::{
    CollisionError, Database, EntryMode, IdSet, NewObject, ObjectId, ObjectKind, PathError,
    ReadError, RepoPath, SpecialFileError, TreeIter, check_entry, compare_entries, is_below,
    special_entry,
};

/// A change to one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathEdit {
    /// Adds a file, or replaces the one that is there.
    Upsert {
        /// Where.
        path: RepoPath,
        /// What it is; not a folder.
        mode: EntryMode,
        /// Its content: a blob, or a commit for a submodule.
        id: ObjectId,
    },
    /// Deletes a file, or a folder with everything in it.
    Delete {
        /// Where; something must be there.
        path: RepoPath,
    },
}

impl PathEdit {
    /// The path it changes.
    pub fn path(&self) -> &RepoPath {
        match self {
            PathEdit::Upsert { path, .. } | PathEdit::Delete { path } => path,
        }
    }

    fn is_upsert(&self) -> bool {
        matches!(self, PathEdit::Upsert { .. })
    }
}

/// Why edits cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum EditTreeError {
    /// Nothing is there to delete.
    #[error("`{path}` does not exist")]
    NotFound {
        /// The path of the edit.
        path: RepoPath,
    },
    /// A folder on the way is a file.
    #[error("`{path}` cannot be written: `{at}` is a file")]
    FileInTheWay {
        /// The path of the edit.
        path: RepoPath,
        /// The file.
        at: RepoPath,
    },
    /// A folder is where a file should go.
    #[error("`{path}` cannot be written: it is a folder")]
    FolderInTheWay {
        /// The path of the edit.
        path: RepoPath,
    },
    /// Two edits of one path, other than a folder's deletion and a file in its place.
    #[error("`{path}` is given twice")]
    Duplicate {
        /// The path of both.
        path: RepoPath,
    },
    /// The mode of a folder, which is made by writing files into it.
    #[error("`{path}` cannot be written with the mode of a folder")]
    FolderMode {
        /// The path of the edit.
        path: RepoPath,
    },
    /// A name that is refused for what it would be.
    #[error("`{path}` cannot be written")]
    Name {
        /// The path of the edit.
        path: RepoPath,
        /// Why.
        #[source]
        source: PathError,
    },
    /// The content of a file that Git reads is refused.
    #[error("`{path}` cannot be written")]
    SpecialFile {
        /// The path of the edit.
        path: RepoPath,
        /// Why.
        #[source]
        source: SpecialFileError,
    },
    /// A new tree is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
    /// A tree could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl EditTreeError {
    fn duplicate(edit: &PathEdit) -> EditTreeError {
        EditTreeError::Duplicate {
            path: edit.path().clone(),
        }
    }
}

/// Applies `edits` to the tree `root` (`None`: an empty one) and returns the resulting root.
///
/// All edits happen at once: deletions first, each of something that was there before, then what
/// is written. So a folder may be deleted and a file written in its place; any other path is given
/// once. Folders left empty disappear. A file that Git itself reads ([`crate::SpecialFile`]) is judged, so its blob must
/// be in `db`; other blobs need not be. Trees that did not exist before go into `out`.
pub fn edit_tree(
    db: &Database,
    root: Option<ObjectId>,
    edits: &[PathEdit],
    out: &mut Vec<NewObject>,
) -> Result<ObjectId, EditTreeError> {
    let mut sorted: Vec<&PathEdit> = edits.iter().collect();
    sorted.sort_by(|a, b| {
        let paths = a.path().components().cmp(b.path().components());
        paths.then_with(|| a.is_upsert().cmp(&b.is_upsert()))
    });
    let mut editor = Editor {
        db,
        out,
        made: IdSet::default(),
        folders: Vec::new(),
    };
    editor.folders.push(Folder::open(db, root, false)?);
    let mut edits = sorted.into_iter().peekable();
    while let Some(edit) = edits.next() {
        editor.enter(edit)?;
        let twice = edits.next_if(|next| next.path() == edit.path());
        let next = edits.peek().map(|edit| edit.path());
        if let Some(second) = twice {
            if next == Some(edit.path()) {
                return Err(EditTreeError::duplicate(edit));
            }
            editor.replace(edit, second)?;
            continue;
        }
        let path = edit.path().as_bytes();
        let has_edits_below = next.is_some_and(|next| is_below(next.as_bytes(), path));
        editor.apply(edit, has_edits_below)?;
    }
    editor.finish(root)
}

struct Editor<'a> {
    db: &'a Database,
    out: &'a mut Vec<NewObject>,
    /// Ids in `out`: different folders may become equal ones.
    made: IdSet,
    /// The root and the folders down to where the last edit was.
    folders: Vec<Folder<'a>>,
}

struct Folder<'a> {
    /// Its name in the folder before it; empty for the root.
    name: &'a [u8],
    entries: Entries,
    /// Its entries are gone, but for what the edits write: it was deleted, or is made anew.
    cleared: bool,
    /// By name, in the order of names.
    changes: Vec<(&'a [u8], Change)>,
    /// The last name at which a folder was deleted and a file written.
    replaced: Option<&'a [u8]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Set(EntryMode, ObjectId),
    Gone,
}

impl<'a> Editor<'a> {
    /// Opens the folders of the edit's path, and closes those that are not on it.
    fn enter(&mut self, edit: &'a PathEdit) -> Result<(), EditTreeError> {
        let mut parts: Vec<&'a [u8]> = edit.path().components().map(|part| &**part).collect();
        parts.pop();
        if edit.is_upsert() {
            let checked = parts
                .iter()
                .try_for_each(|part| check_entry(part, EntryMode::Tree));
            checked.map_err(|source| EditTreeError::Name {
                path: edit.path().clone(),
                source,
            })?;
        }
        let open = self.folders[1..].iter().map(|folder| folder.name);
        let common = open
            .zip(&parts)
            .take_while(|(open, part)| open == *part)
            .count();
        while self.folders.len() > common + 1 {
            self.close()?;
        }
        for part in &parts[common..] {
            self.open(part, edit)?;
        }
        Ok(())
    }

    fn open(&mut self, name: &'a [u8], edit: &'a PathEdit) -> Result<(), EditTreeError> {
        let depth = self.folders.len();
        let folder = self.innermost();
        let found = folder.entries.find(name)?;
        // An edit of the folder itself sorts before those of what is in it.
        let own = folder
            .changes
            .last()
            .filter(|(own, _)| *own == name)
            .map(|(_, change)| *change);
        let is_deleted = own == Some(Change::Gone) || folder.replaced == Some(name);
        let cleared = folder.cleared || is_deleted;
        let writes = edit.is_upsert();
        let in_the_way = match (found, own) {
            (_, Some(Change::Set(..))) => true,
            (Some((mode, _)), None) => !mode.is_tree() && !cleared,
            _ => false,
        };
        if writes && in_the_way {
            let path = edit.path().clone();
            let at = ancestor(&path, depth);
            return Err(EditTreeError::FileInTheWay { path, at });
        }
        let tree = found.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id);
        let mut opened = Folder::open(self.db, tree, cleared)?;
        opened.name = name;
        self.folders.push(opened);
        Ok(())
    }

    /// Applies an edit in the folder it is in, which is open.
    fn apply(&mut self, edit: &'a PathEdit, has_edits_below: bool) -> Result<(), EditTreeError> {
        let path = edit.path();
        let name: &'a [u8] = path.file_name();
        let db = self.db;
        let folder = self.innermost();
        let found = folder.entries.find(name)?;
        let change = match edit {
            PathEdit::Delete { .. } if found.is_some() => Change::Gone,
            PathEdit::Delete { .. } => return Err(EditTreeError::NotFound { path: path.clone() }),
            PathEdit::Upsert {
                mode: EntryMode::Tree,
                ..
            } => {
                return Err(EditTreeError::FolderMode { path: path.clone() });
            }
            PathEdit::Upsert { mode, id, .. } => {
                let special = special_entry(name, *mode).map_err(|source| EditTreeError::Name {
                    path: path.clone(),
                    source,
                })?;
                if let Some(file) = special {
                    let judged = file.check_blob(db, *id)?;
                    judged.map_err(|source| EditTreeError::SpecialFile {
                        path: path.clone(),
                        source,
                    })?;
                }
                // With edits below, the folder may be emptied yet: that is seen when it is closed.
                let is_folder = found.is_some_and(|(mode, _)| mode.is_tree()) && !folder.cleared;
                if is_folder && !has_edits_below {
                    return Err(EditTreeError::FolderInTheWay { path: path.clone() });
                }
                Change::Set(*mode, *id)
            }
        };
        folder.changes.push((name, change));
        Ok(())
    }

    /// Applies two edits of one path: the deletion of a folder, and a file in its place.
    fn replace(&mut self, first: &'a PathEdit, second: &'a PathEdit) -> Result<(), EditTreeError> {
        let name: &'a [u8] = first.path().file_name();
        let folder = self.innermost();
        let found = folder.entries.find(name)?;
        let is_folder = found.is_some_and(|(mode, _)| mode.is_tree());
        if first.is_upsert() || !second.is_upsert() || !is_folder {
            return Err(EditTreeError::duplicate(first));
        }
        folder.replaced = Some(name);
        // With the folder deleted, nothing is in the way of the file but what else is written there.
        self.apply(second, true)
    }

    /// Closes the innermost folder: what it became is a change of the one before it.
    fn close(&mut self) -> Result<(), EditTreeError> {
        let Some(closed) = self.folders.pop() else {
            return Ok(());
        };
        let tree = self.write(&closed)?;
        let name = closed.name;
        let path = || {
            let names = self.folders[1..]
                .iter()
                .map(|folder| folder.name)
                .chain([name]);
            let joined = names.collect::<Vec<_>>().join(&b'/');
            RepoPath::parse(joined).expect("it begins the path of an edit")
        };
        let path = tree.is_some().then(path);
        let changes = &mut self.innermost().changes;
        let change = match tree {
            Some(tree) => Change::Set(EntryMode::Tree, tree),
            None => Change::Gone,
        };
        match (changes.last_mut(), path) {
            (Some((own, Change::Set(..))), Some(path)) if *own == name => {
                return Err(EditTreeError::FolderInTheWay { path });
            }
            (Some((own, Change::Set(..))), None) if *own == name => {}
            (Some((own, set)), _) if *own == name => *set = change,
            _ => changes.push((name, change)),
        }
        Ok(())
    }

    /// The id of what the folder became; `None` if nothing is left in it.
    fn write(&mut self, folder: &Folder<'_>) -> Result<Option<ObjectId>, EditTreeError> {
        let data = folder.encode()?;
        if data.is_empty() {
            return Ok(None);
        }
        let tree = NewObject::new(ObjectKind::Tree, data)?;
        let id = tree.id;
        if folder.entries.tree != Some(id) && self.made.insert(id) {
            self.out.push(tree);
        }
        Ok(Some(id))
    }

    fn finish(mut self, root: Option<ObjectId>) -> Result<ObjectId, EditTreeError> {
        while self.folders.len() > 1 {
            self.close()?;
        }
        let folder = self.folders.pop().expect("the root is open until here");
        if let Some(id) = self.write(&folder)? {
            return Ok(id);
        }
        let empty = NewObject::new(ObjectKind::Tree, Bytes::new())?;
        let id = empty.id;
        if root != Some(id) {
            self.out.push(empty);
        }
        Ok(id)
    }

    fn innermost(&mut self) -> &mut Folder<'a> {
        self.folders
            .last_mut()
            .expect("the root is open to the end")
    }
}

/// The first `depth` parts of a longer path.
fn ancestor(path: &RepoPath, depth: usize) -> RepoPath {
    let parts: Vec<&[u8]> = path.components().take(depth).map(|part| &**part).collect();
    RepoPath::parse(parts.join(&b'/')).expect("it begins a path")
}

impl Folder<'_> {
    fn open(db: &Database, tree: Option<ObjectId>, cleared: bool) -> Result<Self, ReadError> {
        let data = match tree {
            Some(tree) => db.tree_bytes(tree)?,
            None => Bytes::new(),
        };
        let entries = Entries {
            tree,
            data,
            finds: 0,
            by_name: None,
        };
        Ok(Folder {
            name: b"",
            entries,
            cleared,
            changes: Vec::new(),
            replaced: None,
        })
    }

    /// The bytes of the tree it became.
    fn encode(&self) -> Result<Vec<u8>, ReadError> {
        let mut entries = Vec::new();
        if !self.cleared {
            for entry in TreeIter::new(&self.entries.data) {
                let entry = entry.map_err(|source| self.entries.malformed(source))?;
                let changed = self
                    .changes
                    .binary_search_by(|(name, _)| (*name).cmp(entry.name));
                if changed.is_err() {
                    entries.push((entry.mode, &**entry.name, entry.id));
                }
            }
        }
        for (name, change) in &self.changes {
            if let Change::Set(mode, id) = change {
                entries.push((*mode, *name, *id));
            }
        }
        // Two sorted runs, or nearly: the sort takes them as they are.
        entries.sort_by(|a, b| compare_entries(a.1, a.0, b.1, b.0));
        let mut data = Vec::with_capacity(self.entries.data.len() + 64 * self.changes.len());
        for (mode, name, id) in entries {
            encode_entry(&mut data, mode, name, &id);
        }
        Ok(data)
    }
}

/// The entries a folder had before the edits.
struct Entries {
    tree: Option<ObjectId>,
    data: Bytes,
    finds: u32,
    by_name: Option<HashMap<Bytes, (EntryMode, ObjectId)>>,
}

/// From this many lookups in one folder on, indexing it by name is cheaper than reading along it.
const FINDS_UNTIL_INDEXED: u32 = 8;

impl Entries {
    fn find(&mut self, name: &[u8]) -> Result<Option<(EntryMode, ObjectId)>, ReadError> {
        self.finds += 1;
        if self.finds > FINDS_UNTIL_INDEXED && self.by_name.is_none() {
            let entries = TreeIter::new(&self.data).map(|entry| {
                let entry = entry.map_err(|source| self.malformed(source))?;
                Ok((self.data.slice_ref(entry.name), (entry.mode, entry.id)))
            });
            self.by_name = Some(entries.collect::<Result<_, ReadError>>()?);
        }
        if let Some(by_name) = &self.by_name {
            return Ok(by_name.get(name).copied());
        }
        let found = TreeIter::new(&self.data).find(name);
        let found = found.map_err(|source| self.malformed(source))?;
        Ok(found.map(|entry| (entry.mode, entry.id)))
    }

    fn malformed(&self, source: crate::DecodeError) -> ReadError {
        let tree = self.tree.expect("only the bytes of a tree have entries");
        ReadError::decode(tree, source)
    }
}
