//! Moving changes to where people expect them.
//!
//! A change between equal lines can stand in several places. As in Git, each is moved as far down
//! as it goes, joining those it meets, unless on the way it stands beside a change of the other
//! text: then the two become one. Where it meets none, indentation may tell of a better place.

use std::ops::Range;

use imara_diff::Token;

use super::Marks;
use super::indent::Badness;

/// After so many moves by a line the changes stay where they are: strangers may send texts in which
/// moving takes time in the square of their length.
const MOVES_MAX: u64 = 1 << 28;

/// So many places, from the lowest, are judged by their indentation.
const PLACES_MAX: usize = 100;

/// Moves the changes of both texts. `lines`: those of either text, if indentation is to be looked at.
pub(crate) fn slide(
    before: &[Token],
    after: &[Token],
    marks: &mut Marks,
    lines: Option<[&[&[u8]]; 2]>,
) {
    let [old_lines, new_lines] = lines.map_or([None; 2], |lines| lines.map(Some));
    let removed = Slide {
        text: before,
        lines: old_lines,
        changed: &mut marks.removed,
        other: &marks.added,
        moves: 0,
    };
    removed.run();
    let added = Slide {
        text: after,
        lines: new_lines,
        changed: &mut marks.added,
        other: &marks.removed,
        moves: 0,
    };
    added.run();
}

/// The changes of one text on the move.
struct Slide<'a> {
    text: &'a [Token],
    lines: Option<&'a [&'a [u8]]>,
    changed: &'a mut [bool],
    other: &'a [bool],
    moves: u64,
}

impl Slide<'_> {
    fn run(mut self) {
        let mut group = Group::first(self.changed);
        let mut beside = Group::first(self.other);
        while self.moves <= MOVES_MAX {
            if !group.lines.is_empty() {
                self.settle(&mut group, &mut beside);
            }
            if !group.next(self.changed) {
                return;
            }
            beside.next(self.other);
        }
    }

    /// Moves one change, as far as `beside` (the changes of the other text between the same lines)
    /// and indentation tell.
    fn settle(&mut self, group: &mut Group, beside: &mut Group) {
        let (highest_end, meets) = loop {
            let lines = group.lines.len();
            while self.up(group, beside) {}
            let highest_end = group.lines.end;
            let mut meets = !beside.lines.is_empty();
            while self.down(group, beside) {
                meets |= !beside.lines.is_empty();
            }
            // If it has grown on the way, it may go further up.
            if lines == group.lines.len() || self.moves > MOVES_MAX {
                break (highest_end, meets);
            }
        };
        if group.lines.end == highest_end {
            return;
        }
        if meets {
            while beside.lines.is_empty() && self.up(group, beside) {}
        } else if let Some(lines) = self.lines {
            let end = best_end(lines, group, highest_end);
            while group.lines.end > end && self.up(group, beside) {}
        }
    }

    fn up(&mut self, group: &mut Group, beside: &mut Group) -> bool {
        self.moves += 1;
        group.up(self.text, self.changed) && beside.previous(self.other)
    }

    fn down(&mut self, group: &mut Group, beside: &mut Group) -> bool {
        self.moves += 1;
        group.down(self.text, self.changed) && beside.next(self.other)
    }
}

/// Where a change that can be moved up to `highest_end` stands best; of equals, the lowest.
fn best_end(lines: &[&[u8]], group: &Group, highest_end: usize) -> usize {
    let (len, lowest) = (group.lines.len(), group.lines.end);
    // Further up than its own length it would only repeat itself.
    let highest = highest_end
        .max(lowest.saturating_sub(len + 1))
        .max(lowest.saturating_sub(PLACES_MAX));
    let mut best = (highest, Badness::of_change(lines, highest - len, highest));
    for end in highest + 1..=lowest {
        let badness = Badness::of_change(lines, end - len, end);
        if badness.is_at_most(&best.1) {
            best = (end, badness);
        }
    }
    best.0
}

/// The changed lines, perhaps none, in front of an unchanged line or of the end.
struct Group {
    lines: Range<usize>,
}

impl Group {
    fn first(changed: &[bool]) -> Group {
        Group {
            lines: 0..end_of(changed, 0),
        }
    }

    fn next(&mut self, changed: &[bool]) -> bool {
        if self.lines.end == changed.len() {
            return false;
        }
        let start = self.lines.end + 1;
        self.lines = start..end_of(changed, start);
        true
    }

    fn previous(&mut self, changed: &[bool]) -> bool {
        if self.lines.start == 0 {
            return false;
        }
        let end = self.lines.start - 1;
        self.lines = start_of(changed, end)..end;
        true
    }

    /// Moves one line down, if the line behind the group is its first; joins the group met there.
    fn down(&mut self, text: &[Token], changed: &mut [bool]) -> bool {
        let Range { start, end } = self.lines;
        if end == text.len() || text[start] != text[end] {
            return false;
        }
        changed[start] = false;
        changed[end] = true;
        self.lines = start + 1..end_of(changed, end + 1);
        true
    }

    /// Moves one line up, if the line in front of the group is its last; joins the group met there.
    fn up(&mut self, text: &[Token], changed: &mut [bool]) -> bool {
        let Range { start, end } = self.lines;
        if start == 0 || text[start - 1] != text[end - 1] {
            return false;
        }
        changed[start - 1] = true;
        changed[end - 1] = false;
        self.lines = start_of(changed, start - 1)..end - 1;
        true
    }
}

/// Where the changed lines that begin at `start` end.
fn end_of(changed: &[bool], start: usize) -> usize {
    let lines = changed[start..].iter().take_while(|changed| **changed);
    start + lines.count()
}

/// Where the changed lines that end at `end` begin.
fn start_of(changed: &[bool], end: usize) -> usize {
    let lines = changed[..end].iter().rev().take_while(|changed| **changed);
    end - lines.count()
}
