//! Where two texts differ, line by line, exactly as `git diff` finds it by default.
//!
//! Myers' algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986) in linear space, with
//! what Git does around it, since that decides which of several shortest answers is given:
//! - lines that cannot match, or match too often among such lines, take no part in the search;
//! - a search that has become expensive ends at a good place instead of the best;
//! - changes that could stand in several places are moved to where people expect them.
//!
//! What always holds:
//! - the hunks are in order, none empty, and at least one common line is between two of them;
//! - time is bounded: after [`MAX_STEPS`] the rest of the texts counts as changed.

mod compact;
mod discard;
mod indent;
mod lines;
mod marks;
mod myers;
mod tail;

use std::borrow::Cow;
use std::ops::Range;

pub use lines::split_lines;

pub(crate) use compact::slide;
pub(crate) use marks::Marks;
use tail::without_common_tail;

/// Steps of the search after which the rest of the texts counts as changed: some seconds, and far
/// more than texts that people write need.
pub const MAX_STEPS: u64 = 1 << 31;

/// The longest text that is compared line by line, as in Git; one beyond it differs as a whole.
pub const MAX_TEXT_BYTES: usize = 1023 << 20;

/// How lines are compared, and how the result is shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineDiffOptions {
    /// Whether lines that differ only in amounts of white space, or in white space at their end,
    /// are equal (`git diff -b`).
    pub ignore_space_change: bool,
    /// Whether indentation decides where a change stands that could stand in several places.
    /// `git diff` and `git blame` do so; Git's merges do not.
    pub indent_heuristic: bool,
    /// Whether a common end of both texts is left out of the comparison, as Git does where it
    /// needs no lines around the changes: in `git blame` and `git diff -U0`.
    pub trim_tail: bool,
}

impl Default for LineDiffOptions {
    /// What `git diff` does.
    fn default() -> LineDiffOptions {
        LineDiffOptions {
            ignore_space_change: false,
            indent_heuristic: true,
            trim_tail: false,
        }
    }
}

/// Lines of one text, and the lines of another that stand in their place. Counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineHunk {
    /// The lines that are gone; empty where lines were only added: in front of line `start`.
    pub before: Range<usize>,
    /// The lines that are there instead.
    pub after: Range<usize>,
}

/// Where two texts differ, in the order of their lines.
///
/// Lines are as [`split_lines`] cuts them.
///
/// ```
/// use packhouse_repo::line_diff::{LineDiffOptions, LineHunk, diff_lines};
///
/// let hunks = diff_lines(b"one\ntwo\n", b"one\n2\n3\n", LineDiffOptions::default());
/// assert_eq!(hunks, [LineHunk { before: 1..2, after: 1..3 }]);
/// ```
pub fn diff_lines(before: &[u8], after: &[u8], options: LineDiffOptions) -> Vec<LineHunk> {
    let (before, after) = match options.trim_tail {
        true => without_common_tail(before, after),
        false => (before, after),
    };
    if before.len().max(after.len()) > MAX_TEXT_BYTES {
        let lines = |text: &[u8]| 0..split_lines(text).count();
        let whole = LineHunk {
            before: lines(before),
            after: lines(after),
        };
        return (before != after).then_some(whole).into_iter().collect();
    }
    if options.ignore_space_change {
        let shape = |line| lines::without_space_amounts(line);
        compare::<Cow<'_, [u8]>>(before, after, shape, options)
    } else {
        compare(before, after, |line| line, options)
    }
}

/// Compares texts whose lines are equal if their keys are.
fn compare<'a, K: std::hash::Hash + Eq>(
    before: &'a [u8],
    after: &'a [u8],
    key: impl Fn(&'a [u8]) -> K,
    options: LineDiffOptions,
) -> Vec<LineHunk> {
    let [before, after] = lines::tokenize([before, after], key);
    let mut marks = Marks::none(before.tokens.len(), after.tokens.len());
    let kept = discard::worth_comparing(&before.tokens, &after.tokens, &mut marks);
    myers::compare(&before.tokens, &after.tokens, &kept, &mut marks, MAX_STEPS);
    let indents = options
        .indent_heuristic
        .then_some([&before.lines[..], &after.lines[..]]);
    slide(&before.tokens, &after.tokens, &mut marks, indents);
    marks.hunks()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(before: &str, after: &str) -> Vec<LineHunk> {
        diff_lines(before.as_bytes(), after.as_bytes(), Default::default())
    }

    #[test]
    fn equal_texts_have_no_hunks() {
        assert_eq!(diff("", ""), []);
        assert_eq!(diff("a\nb", "a\nb"), []);
    }

    #[test]
    fn a_missing_line_break_is_a_difference() {
        let whole = LineHunk {
            before: 0..1,
            after: 0..1,
        };
        assert_eq!(diff("a", "a\n"), [whole]);
    }

    #[test]
    fn amounts_of_white_space_can_be_ignored() {
        let options = LineDiffOptions {
            ignore_space_change: true,
            ..Default::default()
        };
        let diff = |before: &[u8], after: &[u8]| diff_lines(before, after, options).len();
        assert_eq!(diff(b"a b\n", b"a  \tb \r\n"), 0);
        assert_eq!(diff(b"a", b"a\n"), 0);
        assert_eq!(diff(b"a\n", b" a\n"), 1);
        assert_eq!(diff(b"a b\n", b"ab\n"), 1);
    }

    #[test]
    fn a_hostile_text_takes_bounded_steps() {
        let before: Vec<u8> = (0..60_000u32)
            .flat_map(|at| [b'a' + (at.wrapping_mul(2654435761) >> 29) as u8, b'\n'])
            .collect();
        let after: Vec<u8> = (0..60_000u32)
            .flat_map(|at| [b'a' + (at.wrapping_mul(40503) >> 13) as u8 % 8, b'\n'])
            .collect();
        let [old, new] = lines::tokenize([&before[..], &after[..]], |line| line);
        let mut marks = Marks::none(old.tokens.len(), new.tokens.len());
        let kept = discard::worth_comparing(&old.tokens, &new.tokens, &mut marks);
        myers::compare(&old.tokens, &new.tokens, &kept, &mut marks, 100_000);
        let rest = |text: &[imara_diff::Token], changed: &[bool]| {
            let lines = text.iter().zip(changed).filter(|(_, changed)| !**changed);
            lines.map(|(token, _)| token.0).collect::<Vec<_>>()
        };
        let (old, new) = (
            rest(&old.tokens, &marks.removed),
            rest(&new.tokens, &marks.added),
        );
        assert_eq!(old, new);
    }
}
