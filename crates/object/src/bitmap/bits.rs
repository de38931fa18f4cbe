//! A set of small numbers: a bit for each.

use std::ops::Range;

/// A set of numbers under a limit. Sets that are joined must have the same limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    limit: u32,
}

impl Bits {
    /// The empty set of numbers under `limit`.
    pub fn new(limit: u32) -> Bits {
        Bits {
            words: vec![0; limit.div_ceil(64) as usize],
            limit,
        }
    }

    /// All numbers under `limit`.
    pub fn full(limit: u32) -> Bits {
        let mut bits = Bits::new(limit);
        bits.words.fill(u64::MAX);
        if let Some(last) = bits.words.last_mut() {
            *last &= last_mask(limit);
        }
        bits
    }

    /// The first number that may not be in it.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether `bit` is in it.
    pub fn has(&self, bit: u32) -> bool {
        let word = self.words.get(bit as usize / 64);
        word.is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    /// Adds `bit`, which must be under the limit; returns whether it was not in it.
    pub fn insert(&mut self, bit: u32) -> bool {
        debug_assert!(bit < self.limit);
        let word = &mut self.words[bit as usize / 64];
        let mask = 1 << (bit % 64);
        let is_new = *word & mask == 0;
        *word |= mask;
        is_new
    }

    /// Takes away `bit`.
    pub fn remove(&mut self, bit: u32) {
        if let Some(word) = self.words.get_mut(bit as usize / 64) {
            *word &= !(1 << (bit % 64));
        }
    }

    /// Adds what is in `other`.
    pub fn union(&mut self, other: &Bits) {
        self.each_with(other, |word, other| word | other);
    }

    /// Takes away what is in `other`.
    pub fn subtract(&mut self, other: &Bits) {
        self.each_with(other, |word, other| word & !other);
    }

    /// Keeps what is in `other` too.
    pub fn intersect(&mut self, other: &Bits) {
        self.each_with(other, |word, other| word & other);
    }

    /// Keeps what is in one of both sets only.
    pub fn toggle(&mut self, other: &Bits) {
        self.each_with(other, |word, other| word ^ other);
    }

    fn each_with(&mut self, other: &Bits, join: impl Fn(u64, u64) -> u64) {
        debug_assert_eq!(self.limit, other.limit);
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word = join(*word, *other);
        }
    }

    /// How many numbers are in it.
    pub fn count(&self) -> u64 {
        let ones = self.words.iter().map(|word| u64::from(word.count_ones()));
        ones.sum()
    }

    /// How many numbers of it are in `other` too.
    pub fn count_in(&self, other: &Bits) -> u64 {
        let both = self.words.iter().zip(&other.words);
        both.map(|(a, b)| u64::from((a & b).count_ones())).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The numbers in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at as u32 * 64 + bit)
            })
        })
    }

    /// The longest ranges of numbers that are all in it, ascending.
    pub fn runs(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, 0)?;
            let end = self.next(start, u64::MAX).unwrap_or(self.limit);
            at = end;
            Some(start..end)
        })
    }

    /// The first number from `from` on that is in the set, or is not where `flip` has all bits.
    fn next(&self, from: u32, flip: u64) -> Option<u32> {
        let first = from as usize / 64;
        let mut mask = u64::MAX << (from % 64);
        for (at, word) in self.words.iter().enumerate().skip(first) {
            let found = (word ^ flip) & mask;
            if found != 0 {
                let bit = at as u32 * 64 + found.trailing_zeros();
                return (bit < self.limit).then_some(bit);
            }
            mask = u64::MAX;
        }
        None
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Whether there are no bits past the limit.
    pub(super) fn is_within_limit(&self) -> bool {
        let last = self.words.last().copied().unwrap_or(0);
        last & !last_mask(self.limit) == 0
    }
}

/// The bits of the last word that may be set.
fn last_mask(limit: u32) -> u64 {
    match limit % 64 {
        0 => u64::MAX,
        used => (1 << used) - 1,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(limit: u32, of: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::new(limit);
        for bit in of {
            assert!(bits.insert(*bit));
            assert!(!bits.insert(*bit));
        }
        bits
    }

    fn sets() -> impl Strategy<Value = (u32, BTreeSet<u32>, BTreeSet<u32>)> {
        (1..300u32).prop_flat_map(|limit| {
            let set = || prop::collection::btree_set(0..limit, 0..200);
            (Just(limit), set(), set())
        })
    }

    proptest! {
        #[test]
        fn it_is_a_set((limit, a, b) in sets()) {
            let (x, y) = (bits(limit, &a), bits(limit, &b));
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(x.count(), a.len() as u64);
            prop_assert_eq!(x.count_in(&y), a.intersection(&b).count() as u64);
            prop_assert_eq!(x.is_empty(), a.is_empty());
            let mut left = x.clone();
            b.iter().for_each(|bit| left.remove(*bit));
            prop_assert_eq!(&left, &bits(limit, &a.difference(&b).copied().collect()));
            let joined = |join: fn(&mut Bits, &Bits)| {
                let mut joined = x.clone();
                join(&mut joined, &y);
                joined
            };
            prop_assert_eq!(joined(Bits::union), bits(limit, &a.union(&b).copied().collect()));
            prop_assert_eq!(joined(Bits::subtract), bits(limit, &a.difference(&b).copied().collect()));
            prop_assert_eq!(joined(Bits::intersect), bits(limit, &a.intersection(&b).copied().collect()));
            prop_assert_eq!(joined(Bits::toggle), bits(limit, &a.symmetric_difference(&b).copied().collect()));
        }

        #[test]
        fn runs_are_as_long_as_they_can_be((limit, set, _) in sets()) {
            let bits = bits(limit, &set);
            let runs: Vec<_> = bits.runs().collect();
            prop_assert_eq!(runs.iter().cloned().flatten().collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
        }

        #[test]
        fn everything_is_under_the_limit(limit in 0..300u32) {
            let full = Bits::full(limit);
            prop_assert_eq!(full.count(), u64::from(limit));
            prop_assert!(full.is_within_limit() && !full.has(limit));
            let run = 0..limit;
            prop_assert_eq!(full.runs().collect::<Vec<_>>(), if limit == 0 { vec![] } else { vec![run] });
        }
    }
}
