//! The three trees of a merge, walked side by side, in the order and as far as Git walks them.
//!
//! A folder that only one side changed is passed over at first. If it turns out that no file of the other side is
//! looked for, it is taken as it is; else what was added in it may be where such a file went.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;
use packhouse_object::{
    Database, EntryMode, MAX_TREE_DEPTH, ObjectId, ReadError, TreeEntryRef, TreeIter,
    compare_entries,
};

use super::entry::{BASE, Entries, Entry, OURS, THEIRS};
use super::git_map::GitMap;
use super::options::MergeError;
use super::stages::Stage;

/// Entries of a merge at most: trees that name one another many times over have more paths than there is memory.
pub(super) const MAX_ENTRIES: usize = 1_000_000;

/// How many times as many paths are that much more.
const MUCH_MORE: usize = 3;

/// All the bits.
const ALL: u8 = 7;

/// Why it matters where a file that is gone from a side went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relevance {
    /// The other side changed it.
    Content,
    /// It tells where its folder went.
    Location,
}

/// Why it matters where a folder that is gone from a side went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderRelevance {
    None,
    /// It tells where the folder around it went.
    ForAncestor,
    /// The other side added files to it.
    ForItself,
}

/// A file that a side added or that is gone from it.
#[derive(Clone, Debug)]
pub(super) struct LooseEnd {
    pub(super) path: BString,
    pub(super) file: Stage,
    pub(super) is_added: bool,
}

/// What is known of one side for finding renames.
#[derive(Debug, Default)]
pub(super) struct SideEnds {
    /// In the order in which Git meets them.
    pub(super) ends: Vec<LooseEnd>,
    /// Files that are gone and wanted.
    pub(super) wanted: HashMap<BString, Relevance>,
    /// Folders that are gone.
    pub(super) folders_gone: HashMap<BString, FolderRelevance>,
}

/// What the walk finds.
#[derive(Debug, Default)]
pub(super) struct Collected {
    pub(super) entries: Entries,
    /// For ours and theirs, at their indexes.
    pub(super) sides: [SideEnds; 3],
    /// Folders that are taken from one side as they are: what base (or ours) and that side have there.
    pub(super) taken: Vec<TakenFolder>,
    /// Whether so much more had to be looked at for renames that Git begins again once it knows them. It then knows
    /// only those that it looked for.
    pub(super) is_walked_again: bool,
}

/// A folder that is taken as one side has it.
#[derive(Debug)]
pub(super) struct TakenFolder {
    pub(super) path: BString,
    /// Ours and the taken one; `None`: no folder.
    pub(super) ours: Option<ObjectId>,
    pub(super) taken: Option<ObjectId>,
}

type Item = Option<(EntryMode, ObjectId)>;

/// What the three trees have under one name.
struct Step {
    name: Bytes,
    items: [Item; 3],
}

struct Deferred {
    trees: [Option<ObjectId>; 3],
    folder_mask: u8,
}

struct Frame {
    /// With a slash at its end, but for the root.
    path: BString,
    steps: std::vec::IntoIter<Step>,
    folder_mask: u8,
}

/// Walks the trees of base, ours and theirs. Without `renames`, folders that one side changed are always taken whole.
pub(super) fn collect(
    database: &Database,
    trees: [Option<ObjectId>; 3],
    renames: bool,
) -> Result<Collected, MergeError> {
    let mut walk = Walk {
        database,
        renames,
        found: Collected::default(),
        deferred: Default::default(),
        may_defer: [true; 3],
        seen: 0,
    };
    walk.walk(BString::default(), trees, 0)?;
    let (before, mut after) = (walk.seen, 0);
    for side in [OURS, THEIRS] {
        walk.see_to_deferred(side)?;
        if !walk.may_defer[side] || after > 0 {
            after = walk.seen;
        }
    }
    walk.found.is_walked_again = before > 0 && after / before >= MUCH_MORE;
    Ok(walk.found)
}

struct Walk<'a> {
    database: &'a Database,
    renames: bool,
    found: Collected,
    /// Folders passed over, by the side that changed them.
    deferred: [GitMap<Deferred>; 3],
    may_defer: [bool; 3],
    /// Paths that were met, those that are the same everywhere too.
    seen: usize,
}

impl Walk<'_> {
    fn walk(
        &mut self,
        path: BString,
        trees: [Option<ObjectId>; 3],
        folder_mask: u8,
    ) -> Result<(), MergeError> {
        let mut frames = vec![self.open(path, trees, folder_mask)?];
        while let Some(frame) = frames.last_mut() {
            let Some(step) = frame.steps.next() else {
                frames.pop();
                continue;
            };
            let mut path = frame.path.clone();
            path.extend_from_slice(&step.name);
            let folder_mask = frame.folder_mask;
            let below = self.visit(path, step, folder_mask)?;
            if let Some((mut path, trees, folder_mask)) = below {
                if frames.len() > MAX_TREE_DEPTH
                    && let Some(id) = trees.into_iter().flatten().next()
                {
                    let limit = MAX_TREE_DEPTH;
                    return Err(ReadError::TreeTooDeep { id, limit }.into());
                }
                path.push(b'/');
                frames.push(self.open(path, trees, folder_mask)?);
            }
        }
        Ok(())
    }

    fn open(
        &mut self,
        path: BString,
        trees: [Option<ObjectId>; 3],
        mut folder_mask: u8,
    ) -> Result<Frame, MergeError> {
        let (steps, same) = steps(self.database, trees)?;
        self.seen += same + steps.len();
        if folder_mask == 2 || folder_mask == 4 {
            // The folder is gone from the other side, and this one added a file to it.
            let is_added = |step: &Step| file_mask(&step.items) == folder_mask;
            if steps.iter().any(is_added) {
                folder_mask = ALL;
            }
        }
        Ok(Frame {
            path,
            steps: steps.into_iter(),
            folder_mask,
        })
    }

    /// Takes note of a path; answers the folder to go into.
    #[allow(clippy::type_complexity)]
    fn visit(
        &mut self,
        path: BString,
        step: Step,
        parent_mask: u8,
    ) -> Result<Option<(BString, [Option<ObjectId>; 3], u8)>, MergeError> {
        if self.found.entries.len() >= MAX_ENTRIES {
            return Err(MergeError::TooManyPaths { limit: MAX_ENTRIES });
        }
        let [base, ours, theirs] = step.items;
        let ours_same = base.is_some() && base == ours;
        let theirs_same = base.is_some() && base == theirs;
        let same = match (ours_same, theirs_same) {
            (true, _) => 3,
            (false, true) => 5,
            (false, false) if ours.is_some() && ours == theirs => 6,
            _ => 0,
        };
        let (files, folders) = (file_mask(&step.items), folder_mask_of(&step.items));
        let file = |item: Item| item.filter(|(mode, _)| !mode.is_tree());
        let mut entry = Entry {
            files: step.items.map(file),
            folders,
            same,
            in_ours: file(ours),
            folder_in_ours: folders & 2 != 0,
            ..Entry::default()
        };
        if files == ALL && same != 0 {
            entry.settled = Some(if same == 3 { theirs } else { ours });
            self.found.entries.insert(path, entry);
            return Ok(None);
        }
        let mut folder_mask = parent_mask;
        if folder_mask != ALL && (folders == 3 || folders == 5) {
            folder_mask = folders & !1;
        }
        if self.renames {
            self.note_for_renames(&path, &entry, files, folder_mask);
        }
        if folders == 0 {
            self.found.entries.insert(path, entry);
            return Ok(None);
        }
        let mut changed_side = match (ours_same, theirs_same) {
            (true, _) => THEIRS,
            (_, true) => OURS,
            _ => BASE,
        };
        if files == 0 && (folders == 2 || folders == 4) {
            changed_side = usize::from(folders / 2);
        }
        let tree = |item: Item| item.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id);
        let trees = step.items.map(tree);
        let is_deferred =
            folder_mask != ALL && changed_side != BASE && self.may_defer[changed_side];
        if is_deferred {
            let deferred = Deferred { trees, folder_mask };
            self.deferred[changed_side].entry_or(path.as_bstr(), deferred);
            self.found.entries.insert(path, entry);
            return Ok(None);
        }
        entry.same &= files;
        self.found.entries.insert(path.clone(), entry);
        Ok(Some((path, trees, folder_mask)))
    }

    fn note_for_renames(&mut self, path: &BString, entry: &Entry, files: u8, folder_mask: u8) {
        let folders = entry.folders;
        if matches!(folders, 1 | 3 | 5) {
            let relevance = match folder_mask {
                ALL => FolderRelevance::ForAncestor,
                _ => FolderRelevance::None,
            };
            for side in [OURS, THEIRS] {
                if folders & (1 << side) == 0 {
                    let gone = &mut self.found.sides[side].folders_gone;
                    gone.insert(path.clone(), relevance);
                }
            }
        }
        if folder_mask == ALL && (files == 2 || files == 4) {
            let side = usize::from(3 - (files >> 1));
            let gone = &mut self.found.sides[side].folders_gone;
            gone.insert(
                parent(path.as_bstr()).to_owned(),
                FolderRelevance::ForItself,
            );
        }
        if files == 0 || files == ALL {
            return;
        }
        let same = entry.same & files;
        for side in [OURS, THEIRS] {
            let ends = &mut self.found.sides[side];
            match (entry.files[BASE], entry.files[side]) {
                (Some(file), None) => {
                    let relevance = match (same, folder_mask) {
                        (0, _) => Some(Relevance::Content),
                        (_, ALL) => Some(Relevance::Location),
                        _ => None,
                    };
                    if let Some(relevance) = relevance {
                        ends.wanted.insert(path.clone(), relevance);
                    }
                    ends.ends.push(LooseEnd {
                        path: path.clone(),
                        file,
                        is_added: false,
                    });
                }
                (None, Some(file)) => ends.ends.push(LooseEnd {
                    path: path.clone(),
                    file,
                    is_added: true,
                }),
                _ => {}
            }
        }
    }

    /// Takes the folders that a side changed as they are, or goes into them after all.
    fn see_to_deferred(&mut self, side: usize) -> Result<(), MergeError> {
        let may_take = self.found.sides[side].wanted.is_empty();
        self.may_defer[side] = may_take;
        let deferred = std::mem::take(&mut self.deferred[side]);
        for (path, folder) in deferred.in_git_order() {
            if may_take {
                self.take(side, path, folder);
                continue;
            }
            if let Some(entry) = self.found.entries.get_mut(path) {
                entry.same &= entry.mask();
            }
            let mut path = path.clone();
            path.push(b'/');
            self.walk(path, folder.trees, folder.folder_mask)?;
        }
        Ok(())
    }

    fn take(&mut self, side: usize, path: &BString, folder: &Deferred) {
        if let Some(entry) = self.found.entries.get_mut(path) {
            entry.settled = Some(entry.files[side]);
        }
        self.found.taken.push(TakenFolder {
            path: path.clone(),
            ours: folder.trees[OURS],
            taken: folder.trees[side],
        });
    }
}

/// The folder a path is in; the root has no name.
pub(super) fn parent(path: &BStr) -> &BStr {
    path.rfind_byte(b'/')
        .map_or(&b""[..], |at| &path[..at])
        .as_bstr()
}

fn file_mask(items: &[Item; 3]) -> u8 {
    mask(items, |mode| !mode.is_tree())
}

fn folder_mask_of(items: &[Item; 3]) -> u8 {
    mask(items, EntryMode::is_tree)
}

fn mask(items: &[Item; 3], is_it: impl Fn(EntryMode) -> bool) -> u8 {
    let bit =
        |(side, item): (usize, &Item)| u8::from(item.is_some_and(|(mode, _)| is_it(mode))) << side;
    items.iter().enumerate().map(bit).sum()
}

/// The names at which three trees are not all the same, in the order in which Git meets them, and how many there are
/// beside them.
fn steps(
    database: &Database,
    trees: [Option<ObjectId>; 3],
) -> Result<(Vec<Step>, usize), ReadError> {
    let mut data: [Bytes; 3] = Default::default();
    for side in 0..3 {
        data[side] = match (trees[side], side.checked_sub(1).map(|before| trees[before])) {
            (None, _) => Bytes::new(),
            (Some(tree), Some(Some(before))) if tree == before => data[side - 1].clone(),
            (Some(tree), _) => database.tree_bytes(tree)?,
        };
    }
    let mut iters = [&data[0], &data[1], &data[2]].map(|data| TreeIter::new(data));
    let mut heads: [Option<TreeEntryRef<'_>>; 3] = [None; 3];
    for side in 0..3 {
        heads[side] = advance(&mut iters[side], trees[side])?;
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut same = 0;
    loop {
        let in_order = |a: &TreeEntryRef<'_>, b: &TreeEntryRef<'_>| {
            compare_entries(a.name, a.mode, b.name, b.mode)
        };
        let Some((first_side, first)) = heads
            .iter()
            .enumerate()
            .filter_map(|(side, head)| head.map(|head| (side, head)))
            .min_by(|(_, a), (_, b)| in_order(a, b))
        else {
            break;
        };
        let mut items: [Item; 3] = [None; 3];
        for side in 0..3 {
            if let Some(head) = heads[side]
                && in_order(&head, &first).is_eq()
            {
                items[side] = Some((head.mode, head.id));
                heads[side] = advance(&mut iters[side], trees[side])?;
            }
        }
        if items[BASE].is_some() && items[BASE] == items[OURS] && items[OURS] == items[THEIRS] {
            same += 1;
            continue;
        }
        let name = data[first_side].slice_ref(first.name);
        steps.push(Step { name, items });
    }
    Ok((joined(steps), same))
}

fn advance<'a>(
    iter: &mut TreeIter<'a>,
    tree: Option<ObjectId>,
) -> Result<Option<TreeEntryRef<'a>>, ReadError> {
    match iter.next() {
        None => Ok(None),
        Some(Ok(entry)) => Ok(Some(entry)),
        Some(Err(source)) => {
            let tree = tree.expect("only the bytes of a tree have entries");
            Err(ReadError::decode(tree, source))
        }
    }
}

/// Joins what is a file in one tree and a folder in another: the two do not stand in the same place in their trees.
fn joined(steps: Vec<Step>) -> Vec<Step> {
    let is_folder = |step: &Step| folder_mask_of(&step.items) != 0;
    if steps.iter().all(is_folder) || !steps.iter().any(is_folder) {
        return steps;
    }
    let mut places: HashMap<Bytes, usize> = HashMap::with_capacity(steps.len());
    let mut joined: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps {
        match places.get(&step.name) {
            Some(place) => {
                for (to, from) in joined[*place].items.iter_mut().zip(step.items) {
                    *to = to.or(from);
                }
            }
            None => {
                places.insert(step.name.clone(), joined.len());
                joined.push(step);
            }
        }
    }
    joined
}
