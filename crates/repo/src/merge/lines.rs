//! Texts as lines, and how two of them differ.

use std::ops::Range;

use imara_diff::{Interner, Token, sources::byte_lines};

use super::histogram::compare;
pub(super) use crate::line_diff::LineHunk;
use crate::line_diff::slide;

/// A text cut into lines, each with its line break. Equal tokens are equal lines.
pub(super) struct Lines<'a> {
    pub(super) lines: Vec<&'a [u8]>,
    tokens: Vec<Token>,
}

impl<'a> Lines<'a> {
    /// Cuts texts into lines whose tokens can be compared with each other.
    pub(super) fn of<const N: usize>(texts: [&'a [u8]; N]) -> [Lines<'a>; N] {
        let mut interner = Interner::new(0);
        texts.map(|text| {
            let lines: Vec<&[u8]> = byte_lines(text).collect();
            let tokens = lines.iter().map(|line| interner.intern(*line)).collect();
            Lines { lines, tokens }
        })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether two stretches of lines are the same.
    pub(super) fn same(
        &self,
        range: &Range<usize>,
        other: &Lines<'_>,
        other_range: &Range<usize>,
    ) -> bool {
        self.tokens[range.clone()] == other.tokens[other_range.clone()]
    }

    /// Where stretches of two texts differ, in their order, as Git's histogram diff finds it.
    pub(super) fn hunks(
        &self,
        range: &Range<usize>,
        other: &Lines<'_>,
        other_range: &Range<usize>,
    ) -> Vec<LineHunk> {
        let before = &self.tokens[range.clone()];
        let after = &other.tokens[other_range.clone()];
        let mut marks = compare(before, after);
        slide(before, after, &mut marks, None);
        let mut hunks = marks.hunks();
        for hunk in &mut hunks {
            hunk.before = hunk.before.start + range.start..hunk.before.end + range.start;
            hunk.after = hunk.after.start + other_range.start..hunk.after.end + other_range.start;
        }
        hunks
    }
}
