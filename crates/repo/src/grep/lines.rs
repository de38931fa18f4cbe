//! The lines of one text that match.

use std::ops::{ControlFlow, Range};

use super::pattern::Pattern;
use super::{GrepError, Interrupt};

/// States times bytes that pass before it is asked again whether to go on: some tenths of a second at worst.
const STEPS_BETWEEN_CHECKS: usize = 100_000_000;

/// States times bytes of the longest line that is searched in one go.
const MAX_STEPS_IN_A_LINE: usize = 4_000_000_000;

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// From 1.
    pub number: u64,
    /// Its bytes, without the line break.
    pub range: Range<usize>,
}

/// Calls `take` with each line that matches, in order, until it breaks.
///
/// A line break at the very end begins no line, as in Git.
pub(super) fn matching_lines(
    text: &[u8],
    pattern: &Pattern,
    interrupt: &Interrupt,
    take: &mut dyn FnMut(Found) -> ControlFlow<()>,
) -> Result<(), GrepError> {
    let step = (STEPS_BETWEEN_CHECKS / pattern.states.max(1)).max(4096);
    // The number of the line that begins at `counted`.
    let (mut number, mut counted) = (1, 0);
    let mut at = 0;
    while at < text.len() {
        interrupt.check()?;
        let end = piece_end(text, at, step);
        while let Some(range) = next_in(text, at..end, pattern) {
            number += count_lines(&text[counted..range.start]);
            counted = range.start;
            at = range.end + 1;
            if take(Found { number, range }).is_break() {
                return Ok(());
            }
            if at > end {
                break;
            }
        }
        at = end + 1;
    }
    Ok(())
}

/// Whether any line matches.
pub(super) fn any_line(
    text: &[u8],
    pattern: &Pattern,
    interrupt: &Interrupt,
) -> Result<bool, GrepError> {
    let mut found = false;
    matching_lines(text, pattern, interrupt, &mut |_| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Whether a line is so long and the pattern so large that searching it could not be interrupted in time.
pub(super) fn has_endless_line(text: &[u8], pattern: &Pattern) -> bool {
    let most = MAX_STEPS_IN_A_LINE / pattern.states.max(1);
    if text.len() <= most {
        return false;
    }
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text).chain([text.len()]) {
        if end - start > most {
            return true;
        }
        start = end + 1;
    }
    false
}

/// Where the line that holds the byte `step` bytes behind `at` ends: its line break, or the end of the text.
fn piece_end(text: &[u8], at: usize, step: usize) -> usize {
    line_end(text, (at + step).min(text.len() - 1))
}

/// The first line that matches among those of `piece`, which begins and ends where a line does.
fn next_in(text: &[u8], piece: Range<usize>, pattern: &Pattern) -> Option<Range<usize>> {
    // The earliest end of a match is enough: no match contains a line break, so it lies in the line where it ends.
    let input = regex_automata::Input::new(text)
        .range(piece.clone())
        .earliest(true);
    let end = pattern.regex.search_half(&input)?.offset();
    let start = memchr::memrchr(b'\n', &text[piece.start..end])
        .map_or(piece.start, |newline| piece.start + newline + 1);
    Some(start..line_end(text, end))
}

/// The first line break at or behind `at`, or the end of the text.
pub(super) fn line_end(text: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |newline| at + newline)
}

fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, pattern: &str) -> Vec<u64> {
        let pattern = Pattern::new(pattern, true).unwrap();
        let mut found = Vec::new();
        matching_lines(
            text.as_bytes(),
            &pattern,
            &Interrupt::never(),
            &mut |line| {
                assert!(!text[line.range.clone()].contains('\n'));
                found.push(line.number);
                ControlFlow::Continue(())
            },
        )
        .unwrap();
        found
    }

    #[test]
    fn each_line_counts_once_and_for_itself() {
        assert_eq!(numbers("a\nba\n\naa", "a"), [1, 2, 4]);
        assert!(numbers("a\nb\n", "a\\s*b").is_empty());
        assert_eq!(numbers("a b\na\nb\n", "a[^x]b"), [1]);
        assert_eq!(numbers("a\nb\nab", "^b|^ab$"), [2, 3]);
        assert_eq!(numbers("a\nb\nab", "\\Ab|b\\z"), [2, 3]);
    }

    #[test]
    fn empty_matches_are_on_the_line_they_are_at() {
        assert_eq!(numbers("a\n\nb\n", "^$"), [2]);
        assert_eq!(numbers("a\n\nb\n\n", "x*"), [1, 2, 3, 4]);
        assert_eq!(numbers("\n", "$"), [1]);
        assert!(numbers("", "x*").is_empty());
        assert_eq!(numbers("ab", "$"), [1]);
    }

    #[test]
    fn long_texts_are_searched_in_pieces_without_losing_a_line() {
        let text: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
        // Many states, so that pieces are short.
        let pattern = "line (?:[0-9]{1,6}){1,30}7$";
        assert_eq!(numbers(&text, pattern).len(), 19_999);
        assert_eq!(numbers(&text, "^line 199999$"), [200_000]);
    }
}
