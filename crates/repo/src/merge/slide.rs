//! Moving changes to where people expect them.
//!
//! A change between equal lines can stand in several places. As in Git, each is moved as far down
//! as it goes, joining those it meets, unless on the way it stands beside a change of the other
//! text: then the two become one.

use std::ops::Range;

use imara_diff::Token;

use super::histogram::Marks;

/// Moves the changes of both texts.
pub(super) fn slide(before: &[Token], after: &[Token], marks: &mut Marks) {
    slide_one(before, &mut marks.removed, &marks.added);
    slide_one(after, &mut marks.added, &marks.removed);
}

fn slide_one(text: &[Token], changed: &mut [bool], other: &[bool]) {
    let mut group = Group::first(changed);
    let mut beside = Group::first(other);
    loop {
        if !group.lines.is_empty() {
            settle(text, changed, &mut group, other, &mut beside);
        }
        if !group.next(changed) {
            return;
        }
        beside.next(other);
    }
}

/// Moves one change, as far as `beside` (the changes of the other text between the same lines) tells.
fn settle(
    text: &[Token],
    changed: &mut [bool],
    group: &mut Group,
    other: &[bool],
    beside: &mut Group,
) {
    let (highest_end, meets) = loop {
        let lines = group.lines.len();
        while group.up(text, changed) {
            beside.previous(other);
        }
        let highest_end = group.lines.end;
        let mut meets = !beside.lines.is_empty();
        while group.down(text, changed) {
            beside.next(other);
            meets |= !beside.lines.is_empty();
        }
        // If it has grown on the way, it may go further up.
        if lines == group.lines.len() {
            break (highest_end, meets);
        }
    };
    if group.lines.end == highest_end || !meets {
        return;
    }
    while beside.lines.is_empty() && group.up(text, changed) {
        beside.previous(other);
    }
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
