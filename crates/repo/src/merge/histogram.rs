//! The histogram diff: texts are split at their longest common stretch of rare lines, over and over.
//!
//! Stretches are chosen as Git (and JGit before it) chooses them, so that merges find the same
//! conflicts. Where every common line repeats itself too often, Myers' algorithm takes over.

use std::collections::HashMap;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, Token};

use crate::line_diff::Marks;

/// Lines that occur more often split nothing, as in Git.
const OCCURRENCES_MAX: usize = 64;

/// After so many looked-at lines Myers' algorithm does the rest: strangers may send texts for
/// which splitting takes time in the square of their length.
const STEPS_MAX: u64 = 1 << 27;

/// Compares two texts, line for line.
pub(super) fn compare(before: &[Token], after: &[Token]) -> Marks {
    let mut search = Search {
        before,
        after,
        marks: Marks::none(before.len(), after.len()),
        steps: 0,
    };
    let mut open = vec![(0..before.len(), 0..after.len())];
    while let Some((old, new)) = open.pop() {
        if old.is_empty() || new.is_empty() {
            search.differ(old, new);
            continue;
        }
        match search.split(&old, &new) {
            Split::Nothing => search.differ(old, new),
            Split::At(common) => {
                open.push((common.old.end..old.end, common.new.end..new.end));
                open.push((old.start..common.old.start, new.start..common.new.start));
            }
            Split::TooCommon => search.classic(old, new),
        }
    }
    search.marks
}

struct Search<'a> {
    before: &'a [Token],
    after: &'a [Token],
    marks: Marks,
    steps: u64,
}

enum Split {
    /// The two have no line in common.
    Nothing,
    At(Common),
    /// Every common line occurs too often.
    TooCommon,
}

/// A stretch that both texts have.
struct Common {
    old: Range<usize>,
    new: Range<usize>,
    /// How often its rarest line occurs in the old text.
    occurrences: usize,
}

impl Search<'_> {
    fn differ(&mut self, old: Range<usize>, new: Range<usize>) {
        self.marks.removed[old].fill(true);
        self.marks.added[new].fill(true);
    }

    fn classic(&mut self, old: Range<usize>, new: Range<usize>) {
        let (before, after) = (&self.before[old.clone()], &self.after[new.clone()]);
        let mut diff = Diff::default();
        let numbers = before.iter().chain(after).map(|token| token.0 + 1);
        diff.compute_with(Algorithm::Myers, before, after, numbers.max().unwrap_or(0));
        for at in 0..before.len() {
            self.marks.removed[old.start + at] = diff.is_removed(at as u32);
        }
        for at in 0..after.len() {
            self.marks.added[new.start + at] = diff.is_added(at as u32);
        }
    }

    fn split(&mut self, old: &Range<usize>, new: &Range<usize>) -> Split {
        self.steps += (old.len() + new.len()) as u64;
        if self.steps > STEPS_MAX {
            return Split::TooCommon;
        }
        let index = Index::of(self.before, old);
        let mut best = Common {
            old: 0..0,
            new: 0..0,
            occurrences: OCCURRENCES_MAX + 1,
        };
        let mut has_common = false;
        let mut at = new.start;
        while at < new.end {
            let places = index.places(self.after[at]);
            has_common |= !places.is_empty();
            let mut next = at + 1;
            // Behind the last stretch that was looked at, which covers the places in it.
            let mut behind = old.start;
            for &place in places {
                // The best may have become a rarer one meanwhile: only where a line begins is asked again.
                if places.len() > best.occurrences && behind == old.start {
                    break;
                }
                if place < behind {
                    continue;
                }
                let found = self.stretch(&index, place, at, old, new);
                behind = found.old.end;
                next = next.max(found.new.end);
                if found.old.len() > best.old.len().max(1) || found.occurrences < best.occurrences {
                    best = found;
                }
            }
            at = next;
        }
        if !has_common {
            Split::Nothing
        } else if best.occurrences > OCCURRENCES_MAX {
            Split::TooCommon
        } else {
            Split::At(best)
        }
    }

    /// The whole common stretch around two equal lines.
    fn stretch(
        &mut self,
        index: &Index,
        place: usize,
        at: usize,
        old: &Range<usize>,
        new: &Range<usize>,
    ) -> Common {
        let mut occurrences = index.occurrences(place);
        let (mut old_start, mut new_start) = (place, at);
        while old_start > old.start
            && new_start > new.start
            && self.before[old_start - 1] == self.after[new_start - 1]
        {
            old_start -= 1;
            new_start -= 1;
            occurrences = occurrences.min(index.occurrences(old_start));
        }
        let (mut old_end, mut new_end) = (place + 1, at + 1);
        while old_end < old.end && new_end < new.end && self.before[old_end] == self.after[new_end]
        {
            occurrences = occurrences.min(index.occurrences(old_end));
            old_end += 1;
            new_end += 1;
        }
        self.steps += (old_end - old_start) as u64;
        Common {
            old: old_start..old_end,
            new: new_start..new_end,
            occurrences,
        }
    }
}

/// Where each line of a stretch occurs in it.
struct Index {
    start: usize,
    /// By line: which of `places` it is one of.
    kinds: Vec<u32>,
    by_token: HashMap<u32, u32>,
    places: Vec<Vec<usize>>,
}

impl Index {
    fn of(text: &[Token], range: &Range<usize>) -> Index {
        let mut index = Index {
            start: range.start,
            kinds: Vec::with_capacity(range.len()),
            by_token: HashMap::with_capacity(range.len()),
            places: Vec::new(),
        };
        for at in range.clone() {
            let next = index.places.len() as u32;
            let kind = *index.by_token.entry(text[at].0).or_insert(next);
            if kind == next {
                index.places.push(Vec::new());
            }
            index.places[kind as usize].push(at);
            index.kinds.push(kind);
        }
        index
    }

    fn places(&self, token: Token) -> &[usize] {
        match self.by_token.get(&token.0) {
            Some(kind) => &self.places[*kind as usize],
            None => &[],
        }
    }

    fn occurrences(&self, at: usize) -> usize {
        self.places[self.kinds[at - self.start] as usize].len()
    }
}
