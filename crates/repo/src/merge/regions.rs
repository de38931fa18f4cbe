//! What becomes of each stretch of a text that two sides changed.
//!
//! Follows `git merge-file` at the level that merges use: changes that touch are one conflict,
//! what both sides did alike is none, a conflict is cut down to the lines that really differ, and
//! conflicts with at most three lines between them become one.

use std::ops::Range;

use super::lines::{LineHunk, Lines};

/// Conflicts with no more lines between them are shown as one.
const LINES_BETWEEN_MAX: usize = 3;

/// A stretch that is not the same in all three texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) base: Range<usize>,
    pub(super) ours: Range<usize>,
    pub(super) theirs: Range<usize>,
    pub(super) taken: Taken,
}

/// Whose lines a region gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Ours,
    Theirs,
    /// Both sides changed it, each in its own way.
    Conflict,
}

/// The regions of a merge, in order. What is between them is taken from `ours`.
///
/// `refine`: whether conflicts are cut down to the lines that differ between the sides, which
/// leaves `base` of such a region meaningless.
pub(super) fn merge_regions(
    base: &Lines<'_>,
    ours: &Lines<'_>,
    theirs: &Lines<'_>,
    refine: bool,
) -> Vec<Region> {
    let everything = 0..base.len();
    let our_hunks = base.hunks(&everything, ours, &(0..ours.len()));
    let their_hunks = base.hunks(&everything, theirs, &(0..theirs.len()));
    let regions = align(&our_hunks, &their_hunks, |a, b| ours.same(a, theirs, b));
    match refine {
        true => join_close(refined(regions, ours, theirs)),
        false => regions,
    }
}

/// Lays the changes of both sides over each other.
fn align(
    ours: &[LineHunk],
    theirs: &[LineHunk],
    same: impl Fn(&Range<usize>, &Range<usize>) -> bool,
) -> Vec<Region> {
    let mut regions = Regions(Vec::new());
    let (mut a, mut b) = (ours.iter().peekable(), theirs.iter().peekable());
    // How far the lines of a side are shifted against the base behind its last change.
    let (mut our_shift, mut their_shift) = (0isize, 0isize);
    loop {
        let shifted = |range: &Range<usize>, by: isize| {
            range.start.saturating_add_signed(by)..range.end.saturating_add_signed(by)
        };
        match (a.peek(), b.peek()) {
            (None, None) => return regions.0,
            (Some(our), their) if their.is_none_or(|their| our.before.end < their.before.start) => {
                regions.add(Region {
                    base: our.before.clone(),
                    ours: our.after.clone(),
                    theirs: shifted(&our.before, their_shift),
                    taken: Taken::Ours,
                });
                our_shift = shift_behind(our);
                a.next();
            }
            (our, Some(their)) if our.is_none_or(|our| their.before.end < our.before.start) => {
                regions.add(Region {
                    base: their.before.clone(),
                    ours: shifted(&their.before, our_shift),
                    theirs: their.after.clone(),
                    taken: Taken::Theirs,
                });
                their_shift = shift_behind(their);
                b.next();
            }
            (Some(our), Some(their)) => {
                if our.before != their.before || !same(&our.after, &their.after) {
                    regions.add(conflict(our, their));
                }
                let (our_end, their_end) = (our.before.end, their.before.end);
                if their_end <= our_end {
                    their_shift = shift_behind(their);
                    b.next();
                }
                if our_end <= their_end {
                    our_shift = shift_behind(our);
                    a.next();
                }
            }
            _ => unreachable!("one of two sides is first, or they meet"),
        }
    }
}

fn shift_behind(hunk: &LineHunk) -> isize {
    hunk.after.end as isize - hunk.before.end as isize
}

/// Changes that meet, each widened to what both cover of the base.
fn conflict(our: &LineHunk, their: &LineHunk) -> Region {
    let start = our.before.start.min(their.before.start);
    let end = our.before.end.max(their.before.end);
    let widened = |hunk: &LineHunk| {
        // Below the first line only where an earlier change of this side is part of the conflict.
        let first = hunk.after.start.saturating_sub(hunk.before.start - start);
        first..hunk.after.end + (end - hunk.before.end)
    };
    Region {
        base: start..end,
        ours: widened(our),
        theirs: widened(their),
        taken: Taken::Conflict,
    }
}

struct Regions(Vec<Region>);

impl Regions {
    /// Adds a region, which becomes one with the last if they touch.
    fn add(&mut self, region: Region) {
        match self.0.last_mut() {
            Some(last)
                if region.ours.start <= last.ours.end || region.theirs.start <= last.theirs.end =>
            {
                if last.taken != region.taken {
                    last.taken = Taken::Conflict;
                }
                last.base.end = region.base.end;
                last.ours.end = region.ours.end;
                last.theirs.end = region.theirs.end;
            }
            _ => self.0.push(region),
        }
    }
}

/// Cuts conflicts down to the lines in which the sides differ.
fn refined(regions: Vec<Region>, ours: &Lines<'_>, theirs: &Lines<'_>) -> Vec<Region> {
    let mut out = Vec::with_capacity(regions.len());
    for region in regions {
        let is_whole = region.ours.is_empty() || region.theirs.is_empty();
        if region.taken != Taken::Conflict || is_whole {
            out.push(region);
            continue;
        }
        let parts = ours.hunks(&region.ours, theirs, &region.theirs);
        out.extend(parts.into_iter().map(|part| Region {
            base: region.base.clone(),
            ours: part.before,
            theirs: part.after,
            taken: Taken::Conflict,
        }));
    }
    out
}

fn join_close(regions: Vec<Region>) -> Vec<Region> {
    let mut out: Vec<Region> = Vec::with_capacity(regions.len());
    for region in regions {
        match out.last_mut() {
            Some(last)
                if last.taken == Taken::Conflict
                    && region.taken == Taken::Conflict
                    && region.ours.start - last.ours.end <= LINES_BETWEEN_MAX =>
            {
                last.ours.end = region.ours.end;
                last.theirs.end = region.theirs.end;
            }
            _ => out.push(region),
        }
    }
    out
}
