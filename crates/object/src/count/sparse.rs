//! Paths that a client wants files of: the filter `sparse:oid`.
//!
//! What a filter says of a blob depends on the paths it has, so trees are gone through once for each path they are at, not once for
//! each tree. As in Git, all trees are sent, and a blob is if it is wanted at any of its paths.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::{Database, IdSet, ObjectId, PathPatterns, Progress, ReadError, TreeIter};

/// So many places of trees are looked at, at most: a few trees in one another may stand for any number of paths. They are what a
/// table of 2^23 has room for before it grows.
const PLACES_MAX: usize = 7 << 20;

/// So much memory paths and places may take, roughly: while tables grow, or are half empty, it may be half as much again.
const BYTES_MAX: usize = 512 << 20;

/// What a path takes beside its bytes, roughly.
const PATH_OVERHEAD: usize = 96;

/// What a place takes, roughly: in the table, and where it waits to be looked at.
const PLACE_BYTES: usize = 64;

/// Patterns of the paths that are wanted, as in a sparse checkout. Two are the same if they were read from the same blob.
#[derive(Clone, Debug)]
pub struct SparsePaths {
    blob: ObjectId,
    patterns: Arc<PathPatterns>,
}

impl SparsePaths {
    /// Those in the text of a blob.
    pub fn read(blob: ObjectId, text: &[u8]) -> SparsePaths {
        SparsePaths {
            blob,
            patterns: Arc::new(PathPatterns::parse(text)),
        }
    }

    /// Whether a path is wanted: by itself, or, if no pattern is about it, as its folder is.
    fn wants(&self, path: &[u8], is_folder: bool, folder: bool) -> bool {
        self.patterns.verdict(path, is_folder).unwrap_or(folder)
    }
}

impl PartialEq for SparsePaths {
    fn eq(&self, other: &SparsePaths) -> bool {
        self.blob == other.blob
    }
}

impl Eq for SparsePaths {}

impl Hash for SparsePaths {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.blob.hash(state);
    }
}

/// Where a walk for wanted paths begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Root {
    /// At the tree of a commit, which patterns may be about like any folder.
    OfCommit,
    /// At a tree that the client named.
    Named,
}

/// A folder by its path, and whether its files are wanted of which no pattern speaks.
struct Folder {
    path: Vec<u8>,
    is_wanted: bool,
}

/// Finds which of the blobs below some trees are wanted.
pub(super) struct SparseWalk<'a> {
    db: &'a Database,
    paths: &'a SparsePaths,
    /// What the other side has is not gone through.
    theirs: &'a IdSet,
    folders: Vec<Folder>,
    numbers: HashMap<(Root, Vec<u8>), u32>,
    seen: HashSet<(ObjectId, u32)>,
    to_do: Vec<(ObjectId, Root, u32)>,
    wanted: IdSet,
    places_left: usize,
    bytes_left: usize,
}

impl<'a> SparseWalk<'a> {
    pub(super) fn new(db: &'a Database, paths: &'a SparsePaths, theirs: &'a IdSet) -> Self {
        SparseWalk {
            db,
            paths,
            theirs,
            folders: Vec::new(),
            numbers: HashMap::new(),
            seen: HashSet::new(),
            to_do: Vec::new(),
            wanted: IdSet::default(),
            places_left: PLACES_MAX,
            bytes_left: BYTES_MAX,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), ReadError> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or(ReadError::TooManyPaths)?;
        Ok(())
    }

    /// Goes through a tree.
    pub(super) fn walk(
        &mut self,
        tree: ObjectId,
        root: Root,
        progress: &dyn Progress,
    ) -> Result<(), ReadError> {
        let is_wanted = match root {
            Root::OfCommit => self.paths.wants(b"", true, false),
            Root::Named => false,
        };
        let number = self.number(root, Vec::new(), is_wanted)?;
        self.push(tree, root, number)?;
        while let Some((tree, root, folder)) = self.to_do.pop() {
            if progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            self.folder(tree, root, folder)?;
        }
        Ok(())
    }

    /// The blobs that are wanted.
    pub(super) fn wanted(self) -> IdSet {
        self.wanted
    }

    fn folder(&mut self, tree: ObjectId, root: Root, folder: u32) -> Result<(), ReadError> {
        let data = self.db.tree_bytes(tree)?;
        let Folder { path, is_wanted } = &self.folders[folder as usize];
        let (mut path, is_wanted) = (path.clone(), *is_wanted);
        if !path.is_empty() {
            path.push(b'/');
        }
        let folder_len = path.len();
        for entry in TreeIter::new(&data) {
            let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
            if entry.mode.is_submodule() || self.theirs.contains(&entry.id) {
                continue;
            }
            let is_folder = entry.mode.is_tree();
            if !is_folder && self.wanted.contains(&entry.id) {
                continue;
            }
            path.truncate(folder_len);
            path.extend_from_slice(entry.name);
            let is_wanted = self.paths.wants(&path, is_folder, is_wanted);
            if is_folder {
                let number = self.number(root, path.clone(), is_wanted)?;
                self.push(entry.id, root, number)?;
            } else if is_wanted {
                self.wanted.insert(entry.id);
            }
        }
        Ok(())
    }

    fn number(&mut self, root: Root, path: Vec<u8>, is_wanted: bool) -> Result<u32, ReadError> {
        let next = self.folders.len() as u32;
        let key = (root, path);
        if let Some(known) = self.numbers.get(&key) {
            return Ok(*known);
        }
        let path = key.1.clone();
        self.take(2 * path.len() + PATH_OVERHEAD)?;
        self.folders.push(Folder { path, is_wanted });
        self.numbers.insert(key, next);
        Ok(next)
    }

    fn push(&mut self, tree: ObjectId, root: Root, folder: u32) -> Result<(), ReadError> {
        if self.seen.contains(&(tree, folder)) {
            return Ok(());
        }
        // Before it is there: one too many would have the table grow.
        let left = self.places_left.checked_sub(1);
        self.places_left = left.ok_or(ReadError::TooManyPaths)?;
        self.take(PLACE_BYTES)?;
        self.seen.insert((tree, folder));
        self.to_do.push((tree, root, folder));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewObject, ObjectCache, ObjectKind, hash_object};

    fn object(kind: ObjectKind, data: Vec<u8>) -> NewObject {
        let id = hash_object(kind, &data).unwrap();
        NewObject {
            id,
            kind,
            data: data.into(),
        }
    }

    /// A file, and folders in one another that each have it so many times.
    fn nested(depth: usize, times: usize) -> (Database, ObjectId, ObjectId) {
        let blob = object(ObjectKind::Blob, b"text".to_vec());
        let (file, mut last, mut mode) = (blob.id, blob.id, "100644");
        let mut objects = vec![blob];
        for _ in 0..depth {
            let mut data = Vec::new();
            for number in 0..times {
                data.extend_from_slice(format!("{mode} {number}\0").as_bytes());
                data.extend_from_slice(last.as_slice());
            }
            let tree = object(ObjectKind::Tree, data);
            (last, mode) = (tree.id, "40000");
            objects.push(tree);
        }
        let cache = Arc::new(ObjectCache::new(1 << 20));
        let database = Database::new(cache, 1).with_objects(objects);
        (database, last, file)
    }

    #[test]
    fn trees_that_stand_for_too_many_paths_are_given_up() {
        let (database, tree, file) = nested(5, 8);
        let theirs = IdSet::default();
        let found = |text: &str, places: usize, bytes: usize| {
            let paths = SparsePaths::read(file, text.as_bytes());
            let mut walk = SparseWalk::new(&database, &paths, &theirs);
            (walk.places_left, walk.bytes_left) = (places, bytes);
            walk.walk(tree, Root::OfCommit, &())?;
            Ok::<_, ReadError>(walk.wanted().contains(&file))
        };
        let is_given_up = |found| matches!(found, Err(ReadError::TooManyPaths));
        // One for the root, and for each folder below it.
        let places = 1 + 8 + 64 + 512 + 4096;
        let lens = 8 + 64 * 3 + 512 * 5 + 4096 * 7;
        let bytes = places * (PATH_OVERHEAD + PLACE_BYTES) + 2 * lens;
        assert!(found("/7/7/7/7/7", places, bytes).unwrap());
        assert!(!found("/7/7/7/7/8", places, bytes).unwrap());
        assert!(is_given_up(found("/7/7/7/7/8", places - 1, bytes)));
        assert!(is_given_up(found("/7/7/7/7/8", places, bytes - 1)));
        assert!(matches!(found("*", PLACES_MAX, BYTES_MAX), Ok(true)));
    }

    /// A long history has many trees at each path.
    #[test]
    fn what_places_take_is_bounded_as_what_paths_take_is() {
        let (mut objects, mut trees) = (Vec::new(), Vec::new());
        for number in 0..100 {
            let blob = object(ObjectKind::Blob, format!("{number}").into());
            let data = [b"100644 file\0", blob.id.as_slice()].concat();
            let tree = object(ObjectKind::Tree, data);
            trees.push(tree.id);
            objects.extend([blob, tree]);
        }
        let cache = Arc::new(ObjectCache::new(1 << 20));
        let database = Database::new(cache, 1).with_objects(objects);
        let (paths, theirs) = (SparsePaths::read(trees[0], b"*"), IdSet::default());
        let walk = |bytes: usize| {
            let mut walk = SparseWalk::new(&database, &paths, &theirs);
            walk.bytes_left = bytes;
            // Again and again: what was seen takes nothing.
            for tree in trees.iter().chain(&trees) {
                walk.walk(*tree, Root::OfCommit, &())?;
            }
            Ok::<_, ReadError>(walk.wanted().len())
        };
        let bytes = PATH_OVERHEAD + trees.len() * PLACE_BYTES;
        assert_eq!(walk(bytes).unwrap(), trees.len());
        assert!(matches!(walk(bytes - 1), Err(ReadError::TooManyPaths)));
    }
}
