//! The files that differ between two trees.
//!
//! The cost follows the difference: subtrees with equal ids are not read. At most [`MAX_TREE_DEPTH`] folders are open
//! at a time on either side.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::ControlFlow;

use bstr::{BString, ByteVec};
use bytes::Bytes;

use crate::{
    Database, EntryMode, MAX_TREE_DEPTH, ObjectId, ReadError, TreeEntryRef, TreeIter,
    compare_entries,
};

/// A file that is in one tree only, or not the same in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// Its path from the root.
    pub path: BString,
    /// What it was; `None` if it was added.
    pub old: Option<(EntryMode, ObjectId)>,
    /// What it is; `None` if it was deleted.
    pub new: Option<(EntryMode, ObjectId)>,
}

/// Calls `visit` with each file (or link, or submodule) that differs, in the order of
/// `git diff-tree -r`, until it breaks. No tree is an empty one.
pub fn diff_trees(
    db: &Database,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    visit: &mut dyn FnMut(TreeChange) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    if old == new {
        return Ok(());
    }
    let mut diff = Diff {
        db,
        path: BString::default(),
        folders: Vec::new(),
        barren: HashSet::new(),
    };
    diff.open(b"", (old, new))?;
    while let Some(folder) = diff.folders.last_mut() {
        match folder.step()? {
            Some(step) => {
                if diff.take(step, visit)?.is_break() {
                    break;
                }
            }
            None => diff.close(),
        }
    }
    Ok(())
}

type Trees = (Option<ObjectId>, Option<ObjectId>);

struct Diff<'a> {
    db: &'a Database,
    /// The path of the innermost open folder, with a slash behind it unless it is the root.
    path: BString,
    folders: Vec<Folder>,
    /// Pairs of trees below which no file differs: trees that name one another many times over
    /// must not cost more than their number.
    barren: HashSet<Trees>,
}

/// A pair of folders that is being compared.
struct Folder {
    trees: Trees,
    old: Side,
    new: Side,
    path_len: usize,
    changed: bool,
}

/// The entries of one of the two, with the next one looked at.
struct Side {
    tree: Option<ObjectId>,
    data: Bytes,
    at: usize,
    next: Option<Entry>,
}

#[derive(Clone)]
struct Entry {
    mode: EntryMode,
    id: ObjectId,
    name: Bytes,
}

/// Entries of the same name, or one that only one folder has.
struct Step {
    old: Option<Entry>,
    new: Option<Entry>,
}

impl Diff<'_> {
    fn open(&mut self, name: &[u8], trees: Trees) -> Result<(), ReadError> {
        if self.barren.contains(&trees) {
            return Ok(());
        }
        if self.folders.len() > MAX_TREE_DEPTH
            && let Some(id) = trees.1.or(trees.0)
        {
            let limit = MAX_TREE_DEPTH;
            return Err(ReadError::TreeTooDeep { id, limit });
        }
        let path_len = self.path.len();
        self.path.push_str(name);
        if !name.is_empty() {
            self.path.push(b'/');
        }
        let (old, new) = (Side::open(self.db, trees.0)?, Side::open(self.db, trees.1)?);
        self.folders.push(Folder {
            trees,
            old,
            new,
            path_len,
            changed: false,
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(closed) = self.folders.pop() else {
            return;
        };
        self.path.truncate(closed.path_len);
        match self.folders.last_mut() {
            Some(parent) if closed.changed => parent.changed = true,
            _ if !closed.changed => drop(self.barren.insert(closed.trees)),
            _ => {}
        }
    }

    fn take(
        &mut self,
        step: Step,
        visit: &mut dyn FnMut(TreeChange) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let Step { old, new } = step;
        let Some(name) = old
            .as_ref()
            .or(new.as_ref())
            .map(|entry| entry.name.clone())
        else {
            return Ok(ControlFlow::Continue(()));
        };
        let tree = |entry: &Option<Entry>| {
            entry
                .as_ref()
                .filter(|entry| entry.mode.is_tree())
                .map(|entry| entry.id)
        };
        let trees = (tree(&old), tree(&new));
        if trees != (None, None) {
            // Files and folders sort apart, so that both sides are folders here, or one is absent.
            self.open(&name, trees)?;
            return Ok(ControlFlow::Continue(()));
        }
        if let Some(folder) = self.folders.last_mut() {
            folder.changed = true;
        }
        let mut path = self.path.clone();
        path.push_str(&name);
        let value = |entry: Option<Entry>| entry.map(|entry| (entry.mode, entry.id));
        Ok(visit(TreeChange {
            path,
            old: value(old),
            new: value(new),
        }))
    }
}

impl Folder {
    /// The next entries that differ.
    fn step(&mut self) -> Result<Option<Step>, ReadError> {
        loop {
            let order = match (&self.old.next, &self.new.next) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => compare_entries(&old.name, old.mode, &new.name, new.mode),
            };
            let old = if order.is_le() {
                self.old.advance()?
            } else {
                None
            };
            let new = if order.is_ge() {
                self.new.advance()?
            } else {
                None
            };
            let same = match (&old, &new) {
                (Some(old), Some(new)) => old.mode == new.mode && old.id == new.id,
                _ => false,
            };
            if !same {
                return Ok(Some(Step { old, new }));
            }
        }
    }
}

impl Side {
    fn open(db: &Database, tree: Option<ObjectId>) -> Result<Side, ReadError> {
        let data = match tree {
            Some(tree) => db.tree_bytes(tree)?,
            None => Bytes::new(),
        };
        let mut side = Side {
            tree,
            data,
            at: 0,
            next: None,
        };
        side.advance()?;
        Ok(side)
    }

    /// Takes the entry looked at, and looks at the one behind it.
    fn advance(&mut self) -> Result<Option<Entry>, ReadError> {
        let mut entries = TreeIter::new(&self.data[self.at..]);
        let next = match entries.next() {
            None => None,
            Some(Ok(TreeEntryRef { mode, name, id })) => Some(Entry {
                mode,
                id,
                name: self.data.slice_ref(name),
            }),
            Some(Err(source)) => {
                let tree = self.tree.expect("only the bytes of a tree have entries");
                return Err(ReadError::decode(tree, source));
            }
        };
        self.at = self.data.len() - entries.rest_len();
        Ok(std::mem::replace(&mut self.next, next))
    }
}
