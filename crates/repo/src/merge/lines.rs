//! Texts as lines, and how two of them differ.

use std::ops::Range;

use imara_diff::{Interner, Token, sources::byte_lines};

use super::histogram::compare;
use super::slide::slide;

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
        slide(before, after, &mut marks);
        let mut hunks = Vec::new();
        let (mut old, mut new) = (0, 0);
        loop {
            let removed = marks.removed[old..]
                .iter()
                .take_while(|removed| **removed)
                .count();
            let added = marks.added[new..]
                .iter()
                .take_while(|added| **added)
                .count();
            if removed + added > 0 {
                let (before, after) = (range.start + old, other_range.start + new);
                hunks.push(LineHunk {
                    before: before..before + removed,
                    after: after..after + added,
                });
            }
            // Behind a change comes a line that both have, or the end of both.
            (old, new) = (old + removed + 1, new + added + 1);
            if old > marks.removed.len() || new > marks.added.len() {
                return hunks;
            }
        }
    }
}

/// Lines of one text, and the lines of another that stand in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LineHunk {
    pub(super) before: Range<usize>,
    pub(super) after: Range<usize>,
}
