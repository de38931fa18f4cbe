//! Texts cut into lines, and lines as numbers.

use std::borrow::Cow;
use std::hash::Hash;

use imara_diff::{Interner, Token, sources::byte_lines};

/// The lines of a text, each with its line break, which the last may lack.
pub fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    byte_lines(text)
}

/// A text as lines. Equal tokens are equal lines.
pub(super) struct Lines<'a> {
    pub(super) lines: Vec<&'a [u8]>,
    pub(super) tokens: Vec<Token>,
}

/// Cuts texts into lines whose tokens can be compared with each other; equal keys, equal tokens.
pub(super) fn tokenize<'a, const N: usize, K: Hash + Eq>(
    texts: [&'a [u8]; N],
    key: impl Fn(&'a [u8]) -> K,
) -> [Lines<'a>; N] {
    let mut interner = Interner::new(0);
    texts.map(|text| {
        let lines: Vec<&[u8]> = split_lines(text).collect();
        let tokens = lines
            .iter()
            .map(|line| interner.intern(key(line)))
            .collect();
        Lines { lines, tokens }
    })
}

/// What of a line counts where amounts of white space do not: each stretch of it as one space,
/// and none at the end.
pub(super) fn without_space_amounts(line: &[u8]) -> Cow<'_, [u8]> {
    let end = line.iter().rposition(|byte| !is_space(*byte));
    let line = &line[..end.map_or(0, |last| last + 1)];
    let is_plain = |pair: &[u8]| pair[0] == b' ' && !is_space(pair[1]) || !is_space(pair[0]);
    if line.windows(2).all(is_plain) {
        return Cow::Borrowed(line);
    }
    let mut shaped = Vec::with_capacity(line.len());
    for byte in line {
        match is_space(*byte) {
            false => shaped.push(*byte),
            true if shaped.last() != Some(&b' ') => shaped.push(b' '),
            true => {}
        }
    }
    Cow::Owned(shaped)
}

/// What Git takes for white space.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
