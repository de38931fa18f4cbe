//! Lines that are left out of the search because comparing them would not pay.
//!
//! A line that the other text does not have is changed whatever else happens. A line that the
//! other text has very often says little, and is taken for changed where it stands among such
//! lines. The common start and end of both texts stay out of it.

use std::ops::Range;

use imara_diff::Token;

use super::Marks;

/// A line is very common only from this number of occurrences on, however long the text is.
const COMMON_MAX: usize = 1024;

/// How far around a very common line its neighbours are looked at.
const WINDOW_LINES: usize = 100;

/// A very common line is left out if less than one in so many of its neighbours are very common too.
const COMMON_SHARE: usize = 4;

/// The lines of both texts, by number, that take part in the search.
pub(super) struct Kept {
    pub(super) before: Vec<u32>,
    pub(super) after: Vec<u32>,
}

/// What the other text tells of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Matches {
    None,
    Some,
    Many,
}

/// Chooses the lines that take part, and marks those that do not as changed.
pub(super) fn worth_comparing(before: &[Token], after: &[Token], marks: &mut Marks) -> Kept {
    let tokens = before.iter().chain(after).map(|token| token.0 as usize + 1);
    let kinds = tokens.max().unwrap_or(0);
    let (in_before, in_after) = (count(before, kinds), count(after, kinds));
    let start = common(before.iter(), after.iter());
    let (rest_before, rest_after) = (&before[start..], &after[start..]);
    let end = common(rest_before.iter().rev(), rest_after.iter().rev());
    Kept {
        before: keep(
            before,
            start..before.len() - end,
            &in_after,
            &mut marks.removed,
        ),
        after: keep(
            after,
            start..after.len() - end,
            &in_before,
            &mut marks.added,
        ),
    }
}

fn common<'a>(a: impl Iterator<Item = &'a Token>, b: impl Iterator<Item = &'a Token>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

fn count(text: &[Token], kinds: usize) -> Vec<u32> {
    let mut counts = vec![0; kinds];
    for token in text {
        counts[token.0 as usize] += 1;
    }
    counts
}

fn keep(text: &[Token], range: Range<usize>, in_other: &[u32], changed: &mut [bool]) -> Vec<u32> {
    let many = rough_root(text.len()).min(COMMON_MAX);
    let matches: Vec<Matches> = text[range.clone()]
        .iter()
        .map(|token| match in_other[token.0 as usize] as usize {
            0 => Matches::None,
            occurrences if occurrences >= many => Matches::Many,
            _ => Matches::Some,
        })
        .collect();
    let mut kept = Vec::with_capacity(matches.len());
    for at in 0..matches.len() {
        let stays = match matches[at] {
            Matches::None => false,
            Matches::Some => true,
            Matches::Many => !is_noise(&matches, at),
        };
        match stays {
            true => kept.push((range.start + at) as u32),
            false => changed[range.start + at] = true,
        }
    }
    kept
}

/// Whether a very common line stands between lines that match nothing, with few of its own sort.
fn is_noise(matches: &[Matches], at: usize) -> bool {
    let first = at.saturating_sub(WINDOW_LINES);
    let end = (at + WINDOW_LINES + 1).min(matches.len());
    let above = neighbours(matches[first..at].iter().rev());
    if above.none == 0 {
        return false;
    }
    let below = neighbours(matches[at + 1..end].iter());
    if below.none == 0 {
        return false;
    }
    // The line itself is counted on either side.
    let many = above.many + below.many + 2;
    many * COMMON_SHARE < many + above.none + below.none
}

struct Neighbours {
    none: usize,
    many: usize,
}

/// Counts the neighbours up to the first that has a few matches.
fn neighbours<'a>(lines: impl Iterator<Item = &'a Matches>) -> Neighbours {
    let mut found = Neighbours { none: 0, many: 0 };
    for line in lines.take_while(|line| **line != Matches::Some) {
        match line {
            Matches::None => found.none += 1,
            _ => found.many += 1,
        }
    }
    found
}

/// About the square root: the smallest power of two whose square is greater.
pub(super) fn rough_root(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    1 << bits.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::rough_root;

    #[test]
    fn roots_are_powers_of_two() {
        let roots = [0, 1, 3, 4, 15, 16, 100, 65_535, 65_536].map(rough_root);
        assert_eq!(roots, [1, 2, 2, 4, 4, 8, 16, 256, 512]);
    }
}
