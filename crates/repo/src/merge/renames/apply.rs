//! What renames make of the paths of a merge: files that are one come to one path.

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::EntryMode;

use super::folders::SidePair;
use crate::merge::ConflictKind;
use crate::merge::blob::{Merger, Names, is_file};
use crate::merge::entry::{BASE, Entries, Entry, OURS, THEIRS};
use crate::merge::options::MergeError;
use crate::merge::stages::Stage;

/// Brings renames to the entries.
pub(super) fn apply(
    merger: &mut Merger<'_>,
    entries: &mut Entries,
    pairs: &[SidePair],
) -> Result<(), MergeError> {
    let mut pairs = pairs.iter().peekable();
    while let Some(pair) = pairs.next() {
        let (old, new) = (&pair.pair.old, &pair.pair.new);
        if entries.get(old).is_none_or(Entry::is_settled) {
            continue;
        }
        match pairs.next_if(|next| next.pair.old == *old) {
            Some(other) if other.pair.new == *new => renamed_alike(entries, old, new),
            Some(other) => renamed_apart(merger, entries, [old, new, &other.pair.new])?,
            None => renamed_once(merger, entries, old, new, pair.side)?,
        }
    }
    Ok(())
}

/// Both sides gave a file the same new name.
fn renamed_alike(entries: &mut Entries, old: &BString, new: &BString) {
    let base = settle_old(entries, old);
    if let Some(entry) = entries.get_mut(new) {
        entry.files[BASE] = base;
    }
}

/// Each side gave a file a new name of its own: it stands under both, merged.
fn renamed_apart(
    merger: &mut Merger<'_>,
    entries: &mut Entries,
    paths: [&BString; 3],
) -> Result<(), MergeError> {
    let [old, ours, theirs] = paths;
    let file = |path: &BString, side: usize| entries.get(path).and_then(|entry| entry.files[side]);
    let base = file(old, BASE);
    let (Some(our_file), Some(their_file)) = (file(ours, OURS), file(theirs, THEIRS)) else {
        return Ok(());
    };
    let names = Names::of(paths.map(|path| path.as_bstr()));
    let merged = merger.merge_renamed(base, our_file, their_file, &names)?;
    let is_one_side = merged.conflict.is_some() && merged.stage == Some(our_file);
    // What cannot be merged stays on each side what it is there.
    let their_result = if is_one_side {
        Some(their_file)
    } else {
        merged.stage
    };
    for (path, side, result) in [(ours, OURS, merged.stage), (theirs, THEIRS, their_result)] {
        if let Some(entry) = entries.get_mut(path) {
            entry.files[side] = result;
            entry.path_conflict = Some(ConflictKind::RenameRename);
        }
    }
    if let Some(entry) = entries.get_mut(old) {
        entry.path_conflict = Some(ConflictKind::RenameRename);
    }
    Ok(())
}

/// One side gave a file a new name.
fn renamed_once(
    merger: &mut Merger<'_>,
    entries: &mut Entries,
    old: &BString,
    new: &BString,
    side: usize,
) -> Result<(), MergeError> {
    let other = 3 - side;
    let (Some(before), Some(after)) = (entries.get(old), entries.get(new)) else {
        return Ok(());
    };
    let (base, kept) = (before.files[BASE], before.files[other]);
    let is_deleted = before.mask() == 1;
    let is_other_type = !is_deleted && file_of(kept) != file_of(after.files[side]);
    // A file in the place of the new name that is of another type is what the other side made of the old one.
    let collides = after.files[other].is_some() && !is_other_type;
    if collides && !is_deleted {
        merge_and_collide(merger, entries, [old, new], [base, kept], side)?;
    } else if let Some(entry) = entries.get_mut(new) {
        if is_deleted {
            entry.path_conflict = Some(ConflictKind::RenameDelete);
        }
        if !collides {
            entry.files[BASE] = base;
            entry.set_name(new.as_bstr(), BASE, old.as_bstr());
            if !is_deleted && !is_other_type {
                entry.files[other] = kept;
                entry.set_name(new.as_bstr(), other, old.as_bstr());
            }
        }
    }
    if !is_other_type {
        settle_old(entries, old);
    } else if !collides && let Some(entry) = entries.get_mut(old) {
        entry.files[BASE] = None;
    }
    Ok(())
}

/// The other side has another file under the new name: the renamed one is merged first, then the two.
fn merge_and_collide(
    merger: &mut Merger<'_>,
    entries: &mut Entries,
    [old, new]: [&BString; 2],
    [base, kept]: [Option<Stage>; 2],
    side: usize,
) -> Result<(), MergeError> {
    let renamed = entries.get(new).and_then(|entry| entry.files[side]);
    let (Some(kept), Some(renamed)) = (kept, renamed) else {
        return Ok(());
    };
    let mut names: [&BStr; 3] = [old.as_bstr(); 3];
    names[side] = new.as_bstr();
    let names = Names::of(names);
    let (ours, theirs) = if side == OURS {
        (renamed, kept)
    } else {
        (kept, renamed)
    };
    let merged = merger.merge_renamed(base, ours, theirs, &names)?;
    if let Some(entry) = entries.get_mut(new) {
        entry.files[side] = merged.stage;
    }
    Ok(())
}

/// Says that nothing is left at the old name; answers what base has there.
fn settle_old(entries: &mut Entries, old: &BString) -> Option<Stage> {
    let entry = entries.get_mut(old)?;
    entry.settled = Some(None);
    entry.files[BASE]
}

fn file_of(stage: Option<Stage>) -> bool {
    stage.is_some_and(|(mode, _): (EntryMode, _)| is_file(mode))
}
