//! Myers' search for a short way from one text to the other, in linear space.
//!
//! A box is a stretch of either text. The search goes from both of its corners at once along the
//! diagonals (a diagonal: places in both texts with the same distance) until the two meet; there
//! the box is split, and both parts are searched in turn. Two rules end a search earlier, as they
//! do in Git, at the price of a longer answer.

use std::ops::Range;

use imara_diff::Token;

use super::Marks;
use super::discard::{Kept, rough_root};

/// A run of equal lines longer than this is worth stopping at.
const LONG_RUN: i32 = 20;

/// Rounds before a search may stop at a long run.
const ROUNDS_BEFORE_RUNS: i32 = 256;

/// How much further than the number of rounds a way must have come to be worth stopping at.
const FAR_FACTOR: i64 = 4;

/// A search may always take this number of rounds.
const ROUNDS_MIN: usize = 256;

/// Beyond any place in a text.
const NOWHERE: i32 = i32::MAX;

/// Marks the lines, of those that are kept, that are not in the other text.
pub(super) fn compare(
    before: &[Token],
    after: &[Token],
    kept: &Kept,
    marks: &mut Marks,
    max_steps: u64,
) {
    let pick = |text: &[Token], kept: &[u32]| -> Vec<u32> {
        kept.iter().map(|at| text[*at as usize].0).collect()
    };
    let (old, new) = (pick(before, &kept.before), pick(after, &kept.after));
    let diagonals = old.len() + new.len() + 3;
    let mut search = Search {
        forward: vec![0; diagonals + 1],
        backward: vec![0; diagonals + 1],
        // Diagonals are numbered from minus the length of the new text.
        zero: new.len() as i32 + 1,
        rounds_max: rough_root(diagonals).max(ROUNDS_MIN) as i32,
        old: &old,
        new: &new,
        steps: 0,
    };
    let mut open = vec![(Area::all(&old, &new), false)];
    while let Some((mut area, shortest)) = open.pop() {
        search.steps += area.shrink(&old, &new);
        if area.is_one_sided() || search.steps > max_steps {
            mark(&mut marks.removed, &kept.before[area.old_lines()]);
            mark(&mut marks.added, &kept.after[area.new_lines()]);
            continue;
        }
        let split = search.split(&area, shortest);
        let [first, second] = area.cut(split.old, split.new);
        open.push((second, split.second_shortest));
        open.push((first, split.first_shortest));
    }
}

fn mark(changed: &mut [bool], lines: &[u32]) {
    for line in lines {
        changed[*line as usize] = true;
    }
}

/// A stretch of either text.
#[derive(Clone, Copy)]
struct Area {
    old_start: i32,
    old_end: i32,
    new_start: i32,
    new_end: i32,
}

impl Area {
    fn all(old: &[u32], new: &[u32]) -> Area {
        Area {
            old_start: 0,
            old_end: old.len() as i32,
            new_start: 0,
            new_end: new.len() as i32,
        }
    }

    fn old_lines(&self) -> Range<usize> {
        self.old_start as usize..self.old_end as usize
    }

    fn new_lines(&self) -> Range<usize> {
        self.new_start as usize..self.new_end as usize
    }

    fn is_one_sided(&self) -> bool {
        self.old_start == self.old_end || self.new_start == self.new_end
    }

    /// Leaves out the lines that both begin and end with. Returns their number.
    fn shrink(&mut self, old: &[u32], new: &[u32]) -> u64 {
        let (a, b) = (&old[self.old_lines()], &new[self.new_lines()]);
        let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let (a, b) = (&a[start..], &b[start..]);
        let backwards = a.iter().rev().zip(b.iter().rev());
        let end = backwards.take_while(|(a, b)| a == b).count();
        self.old_start += start as i32;
        self.new_start += start as i32;
        self.old_end -= end as i32;
        self.new_end -= end as i32;
        (start + end) as u64
    }

    fn cut(&self, old: i32, new: i32) -> [Area; 2] {
        let first = Area {
            old_end: old,
            new_end: new,
            ..*self
        };
        let second = Area {
            old_start: old,
            new_start: new,
            ..*self
        };
        [first, second]
    }
}

/// Where a box is split, and whether the way through each part must be a shortest one: only where
/// it is known not to be long.
struct Split {
    old: i32,
    new: i32,
    first_shortest: bool,
    second_shortest: bool,
}

struct Search<'a> {
    old: &'a [u32],
    new: &'a [u32],
    /// By diagonal: how far into the old text the ways from the first corner have come.
    forward: Vec<i32>,
    /// By diagonal: how far down the ways from the last corner have come.
    backward: Vec<i32>,
    zero: i32,
    rounds_max: i32,
    steps: u64,
}

/// The diagonals that the ways from one corner are on.
struct Span {
    middle: i32,
    min: i32,
    max: i32,
}

impl Span {
    fn at(middle: i32) -> Span {
        Span {
            middle,
            min: middle,
            max: middle,
        }
    }

    /// Every second diagonal, from the last: those that this round's ways are on.
    fn diagonals(&self) -> impl Iterator<Item = i32> + use<> {
        let last = self.max;
        (0..=(self.max - self.min) / 2).map(move |step| last - 2 * step)
    }

    fn contains(&self, diagonal: i32) -> bool {
        (self.min..=self.max).contains(&diagonal)
    }

    /// Widens by one diagonal on either side, within the box; narrows where it is at the edge,
    /// so that it stays with the diagonals of this round. `unset` is written beside it.
    fn widen(&mut self, area: &Area, ways: &mut [i32], zero: i32, unset: i32) {
        if self.min > area.old_start - area.new_end {
            self.min -= 1;
            ways[(self.min - 1 + zero) as usize] = unset;
        } else {
            self.min += 1;
        }
        if self.max < area.old_end - area.new_start {
            self.max += 1;
            ways[(self.max + 1 + zero) as usize] = unset;
        } else {
            self.max -= 1;
        }
    }
}

impl Search<'_> {
    fn split(&mut self, area: &Area, shortest: bool) -> Split {
        let mut forward = Span::at(area.old_start - area.new_start);
        let mut backward = Span::at(area.old_end - area.new_end);
        let meets_forward = (forward.middle - backward.middle) & 1 != 0;
        self.forward[(forward.middle + self.zero) as usize] = area.old_start;
        self.backward[(backward.middle + self.zero) as usize] = area.old_end;
        for round in 1.. {
            let mut has_long_run = false;
            let mut steps = 0;
            let zero = self.zero;
            forward.widen(area, &mut self.forward, zero, -1);
            for diagonal in forward.diagonals() {
                let (old, run) = self.go_forward(area, diagonal);
                has_long_run |= run > LONG_RUN;
                steps += 1 + run as u64;
                let met = meets_forward
                    && backward.contains(diagonal)
                    && self.backward[(diagonal + zero) as usize] <= old;
                if met {
                    return exact(old, diagonal);
                }
            }
            backward.widen(area, &mut self.backward, zero, NOWHERE);
            for diagonal in backward.diagonals() {
                let (old, run) = self.go_backward(area, diagonal);
                has_long_run |= run > LONG_RUN;
                steps += 1 + run as u64;
                let met = !meets_forward
                    && forward.contains(diagonal)
                    && old <= self.forward[(diagonal + zero) as usize];
                if met {
                    return exact(old, diagonal);
                }
            }
            self.steps += steps;
            if shortest {
                continue;
            }
            if has_long_run && round > ROUNDS_BEFORE_RUNS {
                let split = self
                    .far_forward(area, &forward, round)
                    .or_else(|| self.far_backward(area, &backward, round));
                if let Some(split) = split {
                    return split;
                }
            }
            if round >= self.rounds_max {
                return self.furthest(area, &forward, &backward);
            }
        }
        unreachable!("the ways from both corners meet")
    }

    /// The next step of the way on a diagonal, and the equal lines behind it.
    fn go_forward(&mut self, area: &Area, diagonal: i32) -> (i32, i32) {
        let at = (diagonal + self.zero) as usize;
        let from = (self.forward[at - 1] + 1).max(self.forward[at + 1]);
        let end = area.old_end.min(area.new_end + diagonal);
        let mut old = from;
        while old < end && self.old[old as usize] == self.new[(old - diagonal) as usize] {
            old += 1;
        }
        self.forward[at] = old;
        (old, old - from)
    }

    fn go_backward(&mut self, area: &Area, diagonal: i32) -> (i32, i32) {
        let at = (diagonal + self.zero) as usize;
        let from = self.backward[at - 1].min(self.backward[at + 1] - 1);
        let start = area.old_start.max(area.new_start + diagonal);
        let mut old = from;
        while old > start && self.old[old as usize - 1] == self.new[(old - diagonal) as usize - 1] {
            old -= 1;
        }
        self.backward[at] = old;
        (old, from - old)
    }

    /// The end of a long run on the way from the first corner that has come furthest, if it has
    /// come far for its cost.
    fn far_forward(&self, area: &Area, span: &Span, round: i32) -> Option<Split> {
        let mut best = 0;
        let mut place = None;
        for diagonal in span.diagonals() {
            let old = self.forward[(diagonal + self.zero) as usize];
            let new = old - diagonal;
            let aside = i64::from((diagonal - span.middle).abs());
            let come = i64::from(old - area.old_start) + i64::from(new - area.new_start) - aside;
            let fits = area.old_start + LONG_RUN <= old
                && old < area.old_end
                && area.new_start + LONG_RUN <= new
                && new < area.new_end;
            if come > FAR_FACTOR * i64::from(round)
                && come > best
                && fits
                && self.are_equal(old - LONG_RUN, new - LONG_RUN)
            {
                best = come;
                place = Some((old, new));
            }
        }
        place.map(|(old, new)| Split {
            old,
            new,
            first_shortest: true,
            second_shortest: false,
        })
    }

    fn far_backward(&self, area: &Area, span: &Span, round: i32) -> Option<Split> {
        let mut best = 0;
        let mut place = None;
        for diagonal in span.diagonals() {
            let old = self.backward[(diagonal + self.zero) as usize];
            let new = old.wrapping_sub(diagonal);
            let fits = area.old_start < old
                && old <= area.old_end - LONG_RUN
                && area.new_start < new
                && new <= area.new_end - LONG_RUN;
            if !fits {
                continue;
            }
            let aside = i64::from((diagonal - span.middle).abs());
            let come = i64::from(area.old_end - old) + i64::from(area.new_end - new) - aside;
            if come > FAR_FACTOR * i64::from(round) && come > best && self.are_equal(old, new) {
                best = come;
                place = Some((old, new));
            }
        }
        place.map(|(old, new)| Split {
            old,
            new,
            first_shortest: false,
            second_shortest: true,
        })
    }

    /// Whether a long run begins at a place.
    fn are_equal(&self, old: i32, new: i32) -> bool {
        let run = LONG_RUN as usize;
        let (old, new) = (old as usize, new as usize);
        self.old[old..old + run] == self.new[new..new + run]
    }

    /// Where the way that has come furthest is.
    fn furthest(&self, area: &Area, forward: &Span, backward: &Span) -> Split {
        let mut ahead = (-1i64, 0);
        for diagonal in forward.diagonals() {
            let old = self.forward[(diagonal + self.zero) as usize]
                .min(area.old_end)
                .min(area.new_end + diagonal);
            let sum = i64::from(old) * 2 - i64::from(diagonal);
            if ahead.0 < sum {
                ahead = (sum, old);
            }
        }
        let mut back = (i64::MAX, 0);
        for diagonal in backward.diagonals() {
            let old = self.backward[(diagonal + self.zero) as usize]
                .max(area.old_start)
                .max(area.new_start + diagonal);
            let sum = i64::from(old) * 2 - i64::from(diagonal);
            if sum < back.0 {
                back = (sum, old);
            }
        }
        let start = i64::from(area.old_start) + i64::from(area.new_start);
        let end = i64::from(area.old_end) + i64::from(area.new_end);
        let is_ahead = end - back.0 < ahead.0 - start;
        let (sum, old) = if is_ahead { ahead } else { back };
        Split {
            old,
            new: (sum - i64::from(old)) as i32,
            first_shortest: is_ahead,
            second_shortest: !is_ahead,
        }
    }
}

fn exact(old: i32, diagonal: i32) -> Split {
    Split {
        old,
        new: old - diagonal,
        first_shortest: true,
        second_shortest: true,
    }
}
