//! Renames: which file that is gone is which file that was added, which folders went where with them, and what becomes
//! of the paths of a merge by that.
//!
//! Git's choices are followed to the letter, down to the order in which candidates are looked at.

mod apply;
mod counts;
mod find;
mod folders;
mod matrix;
mod similarity;

use packhouse_object::Database;

use self::find::find_renames;
use super::collect::Collected;
use super::entry::{OURS, THEIRS};
use super::options::{MergeError, TreeMergeOptions};
use super::{blob::Merger, loose::LooseConflict};

pub(super) use self::similarity::Similarities;

/// A file of one side that was added, is gone, or was renamed.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Where it was; for an added file, where that is.
    pub(super) old: bstr::BString,
    /// Where it is; for one that is gone, where that was.
    pub(super) new: bstr::BString,
    pub(super) kind: PairKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PairKind {
    Added,
    Gone,
    Renamed,
}

/// Finds the renames of both sides and brings the files of the entries together. Answers the conflicts that are in no
/// file.
pub(super) fn follow(
    merger: &mut Merger<'_>,
    collected: &mut Collected,
    look: &folders::Look<'_>,
) -> Result<Vec<LooseConflict>, MergeError> {
    let database: &Database = merger.database;
    let options: &TreeMergeOptions = merger.options;
    let may_be = |side: usize| {
        let ends = &collected.sides[side];
        !ends.ends.is_empty() && !ends.wanted.is_empty()
    };
    if !may_be(OURS) && !may_be(THEIRS) {
        return Ok(Vec::new());
    }
    let mut similarities = Similarities::new(database, options.text_bytes);
    let ours = find_renames(
        &mut similarities,
        &mut collected.sides[OURS],
        options.rename_limit,
    )?;
    let theirs = find_renames(
        &mut similarities,
        &mut collected.sides[THEIRS],
        options.rename_limit,
    )?;
    drop(similarities);
    let only_wanted = collected.is_walked_again && !ours.is_limited && !theirs.is_limited;
    let [_, our_side, their_side] = &collected.sides;
    let mut found = folders::Found {
        pairs: [
            ours.pairs(our_side, only_wanted),
            theirs.pairs(their_side, only_wanted),
        ],
        moved: Default::default(),
        conflicts: Vec::new(),
    };
    // Git does not look for moved folders in a base.
    if merger.depth == 0 {
        found.settle_moves([
            ours.counts.moves(&our_side.folders_gone),
            theirs.counts.moves(&their_side.folders_gone),
        ]);
    }
    let pairs = found.collect(&mut collected.entries, look)?;
    apply::apply(merger, &mut collected.entries, &pairs)?;
    Ok(found.conflicts)
}
