//! What a tree holds that the trees it follows do not.
//!
//! A tree that is sent is compared with the trees at the same path in the parent commits. What it
//! shares with one of them is there already, or is sent with that parent. So the cost of a commit
//! is what it changed, however large its tree is.
//!
//! What makes this complete: the trees a tree is compared with were gone through before it, or
//! are with the other side. That holds at the root if parents come first, and is handed down:
//! the entries of a tree become tasks in the order of the trees.

use bytes::Bytes;

use crate::tree::common_entries;
use crate::{Database, EntryMode, ObjectId, ReadError, TreeEntryRef, TreeIter, compare_entries};

/// More parents than this are not compared with: it only costs finding some things again.
const MAX_BASES: usize = 8;

/// Trees to go through, all at the same depth.
#[derive(Default)]
pub(crate) struct Level {
    pub(crate) tasks: Vec<Task>,
    bases: Vec<(ObjectId, bool)>,
}

/// A tree that is sent, and where the trees it is compared with are in the level.
pub(crate) struct Task {
    pub(crate) tree: ObjectId,
    first: u32,
    count: u8,
}

impl Level {
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Adds a tree with the trees at its path in the parents, and whether the other side has each.
    pub(crate) fn push(&mut self, tree: ObjectId, bases: &[(ObjectId, bool)]) {
        let first = self.bases.len() as u32;
        let count = bases.len().min(MAX_BASES);
        self.bases.extend_from_slice(&bases[..count]);
        self.tasks.push(Task {
            tree,
            first,
            count: count as u8,
        });
    }

    pub(crate) fn bases(&self, task: &Task) -> &[(ObjectId, bool)] {
        &self.bases[task.first as usize..][..usize::from(task.count)]
    }
}

/// What one tree brings.
#[derive(Default)]
pub(crate) struct Introduced {
    pub(crate) blobs: Vec<ObjectId>,
    trees: Vec<(ObjectId, u32)>,
    /// For each tree, up to the end given with it, the trees it is to be compared with.
    bases: Vec<(ObjectId, bool)>,
    /// Trees the other side has, met on the way.
    pub(crate) their_trees: Vec<ObjectId>,
    /// Blobs in these.
    pub(crate) their_blobs: Vec<ObjectId>,
}

impl Introduced {
    /// Compares a tree with others.
    pub(crate) fn by(
        db: &Database,
        tree: ObjectId,
        bases: &[(ObjectId, bool)],
    ) -> Result<Introduced, ReadError> {
        let mut introduced = Introduced::default();
        let mut readers = Vec::with_capacity(bases.len());
        for (id, is_theirs) in bases {
            let data = db.tree_bytes(id)?;
            if *is_theirs {
                introduced.keep_theirs(*id, &data)?;
            }
            readers.push(Base {
                data,
                at: 0,
                is_theirs: *is_theirs,
            });
        }
        let data = db.tree_bytes(tree)?;
        let mut at = 0;
        while at < data.len() {
            if let Some(shared) = readers
                .iter_mut()
                .find_map(|base| base.skip_shared(&data[at..]))
            {
                at += shared;
                continue;
            }
            let mut entries = TreeIter::new(&data[at..]);
            if let Some(entry) = entries.next() {
                let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
                introduced.take(entry, &mut readers);
            }
            at = data.len() - entries.rest_len();
        }
        Ok(introduced)
    }

    /// The trees, each with those it is to be compared with.
    pub(crate) fn trees(&self) -> impl Iterator<Item = (ObjectId, &[(ObjectId, bool)])> {
        let mut first = 0;
        self.trees.iter().map(move |(tree, end)| {
            let bases = &self.bases[first..*end as usize];
            first = *end as usize;
            (*tree, bases)
        })
    }

    fn take(&mut self, entry: TreeEntryRef<'_>, readers: &mut [Base]) {
        if entry.mode.is_submodule() {
            return;
        }
        let first = self.bases.len();
        for reader in readers {
            match reader.find(&entry) {
                Some(id) if id == entry.id => {
                    self.bases.truncate(first);
                    return;
                }
                Some(id) if entry.mode.is_tree() => self.bases.push((id, reader.is_theirs)),
                _ => {}
            }
        }
        match entry.mode {
            EntryMode::Tree => self.trees.push((entry.id, self.bases.len() as u32)),
            _ => self.blobs.push(entry.id),
        }
    }

    fn keep_theirs(&mut self, id: ObjectId, data: &[u8]) -> Result<(), ReadError> {
        self.their_trees.push(id);
        for entry in TreeIter::new(data) {
            let entry = entry.map_err(|source| ReadError::decode(id, source))?;
            match entry.mode {
                EntryMode::Tree => self.their_trees.push(entry.id),
                mode if mode.is_submodule() => {}
                _ => self.their_blobs.push(entry.id),
            }
        }
        Ok(())
    }
}

/// A tree that is read along with another, in the same order.
struct Base {
    data: Bytes,
    at: usize,
    is_theirs: bool,
}

impl Base {
    /// Passes over entries that come next in both trees; returns their length, if there are any.
    fn skip_shared(&mut self, tree: &[u8]) -> Option<usize> {
        let shared = common_entries(tree, &self.data[self.at..]);
        self.at += shared;
        (shared > 0).then_some(shared)
    }

    /// The id of the entry of the same name, and both are trees or neither is.
    ///
    /// In a tree out of order it may be missed, which costs sending something again.
    fn find(&mut self, wanted: &TreeEntryRef<'_>) -> Option<ObjectId> {
        let mut entries = TreeIter::new(&self.data[self.at..]);
        while let Some(Ok(entry)) = entries.next() {
            match compare_entries(entry.name, entry.mode, wanted.name, wanted.mode) {
                std::cmp::Ordering::Less => self.at = self.data.len() - entries.rest_len(),
                std::cmp::Ordering::Equal => {
                    self.at = self.data.len() - entries.rest_len();
                    return Some(entry.id);
                }
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }
}
