//! Folders that one side moved, and what the other side put into them meanwhile.
//!
//! What it put there is suggested to go where the folder went, and that suggestion is a conflict, as it is in Git
//! without settings.

use std::collections::{BTreeSet, HashMap};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::ReadError;

use super::{Pair, PairKind};
use crate::merge::ConflictKind;
use crate::merge::collect::parent;
use crate::merge::entry::{Entries, Entry, OURS, THEIRS};
use crate::merge::loose::LooseConflict;
use crate::merge::stages::Stage;

/// Looks up what the trees have at a path where they are all the same.
pub(super) type Look<'a> = dyn Fn(&BStr) -> Result<Option<Stage>, ReadError> + 'a;

/// Where a folder went, by its path.
type Moves = HashMap<BString, BString>;

/// Files that would come to one path, by that path.
type Arrivals = HashMap<BString, Arrival>;

#[derive(Debug, Default)]
struct Arrival {
    from: BTreeSet<BString>,
    is_reported: bool,
}

/// A rename that the paths of the merge have to follow.
#[derive(Clone, Debug)]
pub(super) struct SidePair {
    pub(super) side: usize,
    pub(super) pair: Pair,
}

/// The renames of both sides: ours first.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) pairs: [Vec<Pair>; 2],
    pub(super) moved: [Moves; 2],
    pub(super) conflicts: Vec<LooseConflict>,
}

impl Found {
    /// Decides which folders moved. A folder that both sides moved is left alone.
    pub(super) fn settle_moves(&mut self, counted: [Vec<(BString, Option<BString>)>; 2]) {
        for (moved, counted) in self.moved.iter_mut().zip(counted) {
            for (folder, to) in counted {
                match to {
                    Some(to) => drop(moved.insert(folder, to)),
                    None => self.conflicts.push(LooseConflict {
                        path: folder,
                        kind: ConflictKind::DirectorySplit,
                    }),
                }
            }
        }
        let [ours, theirs] = &mut self.moved;
        let both: Vec<BString> = ours
            .keys()
            .filter(|folder| theirs.contains_key(*folder))
            .cloned()
            .collect();
        for folder in both {
            ours.remove(&folder);
            theirs.remove(&folder);
        }
    }

    /// The renames of both sides, with those that moved folders bring about, by where the files were.
    pub(super) fn collect(
        &mut self,
        entries: &mut Entries,
        look: &Look<'_>,
    ) -> Result<Vec<SidePair>, ReadError> {
        let mut arrivals = [
            arrivals(&self.moved[1], &self.pairs[0]),
            arrivals(&self.moved[0], &self.pairs[1]),
        ];
        let mut collected = Vec::new();
        for side in [OURS, THEIRS] {
            for mut pair in std::mem::take(&mut self.pairs[side - 1]) {
                if pair.kind == PairKind::Gone {
                    continue;
                }
                let to =
                    self.destination(pair.new.as_bstr(), side, &mut arrivals, entries, look)?;
                if pair.kind == PairKind::Added && to.is_none() {
                    continue;
                }
                if let Some(to) = to {
                    move_entry(entries, pair.new.as_bstr(), to.as_bstr(), look)?;
                    pair.new = to;
                }
                collected.push(SidePair { side, pair });
            }
        }
        collected.sort_by(|a, b| a.pair.old.cmp(&b.pair.old));
        Ok(collected)
    }

    /// Where a file that a side put into a folder goes, if the other side moved the folder.
    fn destination(
        &mut self,
        path: &BStr,
        side: usize,
        arrivals: &mut [Arrivals; 2],
        entries: &Entries,
        look: &Look<'_>,
    ) -> Result<Option<BString>, ReadError> {
        let (own, other) = (side - 1, 2 - side);
        let (moves, own_moves) = (&self.moved[other], &self.moved[own]);
        let is_alone = |entry: &Entry| entry.mask() == 1 << side;
        if moves.is_empty()
            || arrivals[other].contains_key(path)
            || !entries.get(path).is_some_and(is_alone)
        {
            return Ok(None);
        }
        let Some((folder, to)) = moved_folder(path, moves) else {
            return Ok(None);
        };
        // What this side moved away itself is no place to go to.
        if own_moves.contains_key(to) {
            return Ok(None);
        }
        let new = moved_path(path, folder.as_bstr(), to.as_bstr());
        let arrival = arrivals[own].entry(new.clone()).or_default();
        let is_in_the_way = match entries.get(&new) {
            Some(entry) if entry.is_gone => false,
            Some(entry) => entry.is_settled() || (entry.mask() | entry.folders) & (1 << side) != 0,
            None => look(new.as_bstr())?.is_some(),
        };
        if !arrival.is_reported && !is_in_the_way && arrival.from.len() <= 1 {
            return Ok(Some(new));
        }
        if !std::mem::replace(&mut arrival.is_reported, true) {
            self.conflicts.push(LooseConflict {
                path: new,
                kind: ConflictKind::FileLocation,
            });
        }
        Ok(None)
    }
}

/// What a side has put into folders that the other moved, by where it would go.
fn arrivals(moves: &Moves, pairs: &[Pair]) -> Arrivals {
    let mut arrivals = Arrivals::new();
    if moves.is_empty() {
        return arrivals;
    }
    for pair in pairs.iter().filter(|pair| pair.kind != PairKind::Gone) {
        if let Some((folder, to)) = moved_folder(pair.new.as_bstr(), moves) {
            let new = moved_path(pair.new.as_bstr(), folder.as_bstr(), to.as_bstr());
            let arrival = arrivals.entry(new).or_default();
            arrival.from.insert(pair.new.clone());
        }
    }
    arrivals
}

/// The innermost folder around a path that moved, and where it went.
fn moved_folder<'a>(path: &BStr, moves: &'a Moves) -> Option<(&'a BString, &'a BString)> {
    let mut folder = parent(path);
    while !folder.is_empty() {
        if let Some(found) = moves.get_key_value(folder) {
            return Some(found);
        }
        folder = parent(folder);
    }
    None
}

fn moved_path(path: &BStr, folder: &BStr, to: &BStr) -> BString {
    let rest = &path[folder.len()..];
    let mut new = to.to_owned();
    // The root has no name, and so no slash behind it.
    new.extend_from_slice(if to.is_empty() { &rest[1..] } else { rest });
    new
}

/// Moves what a side has at one path to another.
fn move_entry(
    entries: &mut Entries,
    from: &BStr,
    to: &BStr,
    look: &Look<'_>,
) -> Result<(), ReadError> {
    let Some(old) = entries.get_mut(from) else {
        return Ok(());
    };
    let mut moved = std::mem::take(&mut old.files);
    let names = old.names.take();
    let same = std::mem::take(&mut old.same);
    old.settled = Some(None);
    old.is_gone = true;
    let side = if moved[OURS].is_some() { OURS } else { THEIRS };
    make_folders(entries, to, side, look)?;
    let entry = entries.entry(to.to_owned()).or_default();
    if entry.is_gone || entry.mask() == 0 && entry.folders == 0 {
        entry.files = moved;
        entry.same = same;
        entry.settled = None;
        entry.is_gone = false;
    } else {
        entry.files[side] = moved[side].take();
    }
    let name = names.map_or_else(|| from.to_owned(), |names| names[side].clone());
    if entry.mask() == 1 << side {
        // Git goes on calling all three by the old name.
        entry.names = Some(Box::new([name.clone(), name.clone(), name]));
    } else {
        entry.set_name(to, side, name.as_bstr());
    }
    entry.path_conflict = Some(ConflictKind::FileLocation);
    Ok(())
}

/// Sees to it that there are folders around a path. A file that no side touched makes room for one.
fn make_folders(
    entries: &mut Entries,
    path: &BStr,
    side: usize,
    look: &Look<'_>,
) -> Result<(), ReadError> {
    let mut folder = parent(path);
    while !folder.is_empty() {
        if let Some(entry) = entries.get_mut(folder) {
            if entry.settled.is_some_and(|stage| stage.is_some()) {
                entry.settled = Some(None);
            }
            return Ok(());
        }
        let file = look(folder)?.filter(|(mode, _)| !mode.is_tree());
        let new = Entry {
            folders: 1 << side,
            settled: file.map(|_| None),
            in_ours: file,
            ..Entry::default()
        };
        entries.insert(folder.to_owned(), new);
        if file.is_some() {
            return Ok(());
        }
        folder = parent(folder);
    }
    Ok(())
}
