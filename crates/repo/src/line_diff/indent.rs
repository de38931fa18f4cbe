//! How natural it looks to cut a text in front of a line, judged by indentation and blank lines.
//!
//! The weights are Git's, found there by trying them on a corpus of histories: they have no other
//! reason, and what `git diff` prints depends on each of them.

use std::cmp::Ordering;

use super::lines::is_space;

/// Deeper indentation than this is not told apart.
const INDENT_MAX: i64 = 200;
/// So many blank lines are looked at on either side of a cut.
const BLANKS_MAX: i64 = 20;

const AT_START: i64 = 1;
const AT_END: i64 = 21;
const PER_BLANK: i64 = -30;
const PER_BLANK_BEHIND: i64 = 6;
const INDENTED: i64 = -4;
const INDENTED_BEHIND_BLANK: i64 = 10;
const BLOCK_BEGINS: i64 = 24;
const BLOCK_BEGINS_BEHIND_BLANK: i64 = 17;
const BLOCK_ENDS: i64 = 23;
const BLOCK_ENDS_BEHIND_BLANK: i64 = 17;
/// What more indentation counts against all the rest.
const INDENT_WEIGHT: i64 = 60;

/// How bad a place for a change is: the cuts at its two ends together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Badness {
    indent: i64,
    penalty: i64,
}

impl Badness {
    /// Of a change that stands in the lines `start..end`.
    pub(super) fn of_change(lines: &[&[u8]], start: usize, end: usize) -> Badness {
        let mut badness = Badness::default();
        badness.add(&Cut::before(lines, end));
        badness.add(&Cut::before(lines, start));
        badness
    }

    /// Whether a change stands at least as well here as there.
    pub(super) fn is_at_most(&self, other: &Badness) -> bool {
        let by_indent = match self.indent.cmp(&other.indent) {
            Ordering::Less => -INDENT_WEIGHT,
            Ordering::Equal => 0,
            Ordering::Greater => INDENT_WEIGHT,
        };
        by_indent + self.penalty - other.penalty <= 0
    }

    fn add(&mut self, cut: &Cut) {
        if cut.above.is_none() && cut.blanks_above == 0 {
            self.penalty += AT_START;
        }
        if cut.is_at_end {
            self.penalty += AT_END;
        }
        let blanks_behind = match cut.here {
            None => 1 + cut.blanks_below,
            Some(_) => 0,
        };
        let blanks = cut.blanks_above + blanks_behind;
        self.penalty += PER_BLANK * blanks + PER_BLANK_BEHIND * blanks_behind;
        let indent = cut.here.or(cut.below);
        self.indent += indent.unwrap_or(-1);
        let (Some(indent), Some(above)) = (indent, cut.above) else {
            return;
        };
        let begins_block = cut.below.is_some_and(|below| below > indent);
        self.penalty += match (indent.cmp(&above), blanks != 0) {
            (Ordering::Equal, _) => 0,
            (Ordering::Greater, false) => INDENTED,
            (Ordering::Greater, true) => INDENTED_BEHIND_BLANK,
            (Ordering::Less, false) if begins_block => BLOCK_BEGINS,
            (Ordering::Less, true) if begins_block => BLOCK_BEGINS_BEHIND_BLANK,
            (Ordering::Less, false) => BLOCK_ENDS,
            (Ordering::Less, true) => BLOCK_ENDS_BEHIND_BLANK,
        };
    }
}

/// What is around a cut. An indentation of `None`: no line, or blank ones only.
struct Cut {
    is_at_end: bool,
    /// Of the line behind the cut.
    here: Option<i64>,
    /// Of the next line above that is not blank.
    above: Option<i64>,
    blanks_above: i64,
    /// Of the next line below the one behind the cut that is not blank.
    below: Option<i64>,
    blanks_below: i64,
}

impl Cut {
    fn before(lines: &[&[u8]], at: usize) -> Cut {
        let (above, blanks_above) = next_text(lines[..at].iter().rev());
        let (below, blanks_below) = next_text(lines.iter().skip(at + 1));
        Cut {
            is_at_end: at >= lines.len(),
            here: lines.get(at).and_then(|line| indentation(line)),
            above,
            blanks_above,
            below,
            blanks_below,
        }
    }
}

/// The indentation of the first line that is not blank, and how many blank ones come before it.
fn next_text<'a>(lines: impl Iterator<Item = &'a &'a [u8]>) -> (Option<i64>, i64) {
    let mut blanks = 0;
    for line in lines {
        if let Some(indent) = indentation(line) {
            return (Some(indent), blanks);
        }
        blanks += 1;
        if blanks == BLANKS_MAX {
            return (Some(0), blanks);
        }
    }
    (None, blanks)
}

/// Columns in front of the text of a line; `None` if there is none.
fn indentation(line: &[u8]) -> Option<i64> {
    let mut columns = 0;
    for byte in line {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 8 - columns % 8,
            byte if is_space(*byte) => {}
            _ => return Some(columns),
        }
        if columns >= INDENT_MAX {
            return Some(INDENT_MAX);
        }
    }
    None
}
