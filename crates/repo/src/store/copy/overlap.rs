//! Several sources that want the same place.

use std::collections::HashSet;

use bstr::BString;

/// A file and where it goes, relative to the destination.
#[derive(Debug)]
pub(super) struct Pair<S> {
    pub(super) target: BString,
    pub(super) source: S,
}

/// Which one keeps a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Winner {
    First,
    Last,
}

/// The pairs that keep their places, sorted by target, and those that lose theirs. A file also takes the places below
/// it, and a folder the place of a file.
pub(super) fn settle<S>(pairs: Vec<Pair<S>>, winner: Winner) -> (Vec<Pair<S>>, Vec<Pair<S>>) {
    let mut keeps = vec![false; pairs.len()];
    {
        let mut files: HashSet<&[u8]> = HashSet::with_capacity(pairs.len());
        let mut folders: HashSet<&[u8]> = HashSet::new();
        let mut try_pair = |at: usize| {
            let target = pairs[at].target.as_slice();
            let mut above = above(target);
            if files.contains(target)
                || folders.contains(target)
                || above.any(|folder| files.contains(folder))
            {
                return;
            }
            files.insert(target);
            folders.extend(self::above(target));
            keeps[at] = true;
        };
        match winner {
            Winner::First => (0..pairs.len()).for_each(&mut try_pair),
            Winner::Last => (0..pairs.len()).rev().for_each(&mut try_pair),
        }
    }
    let (mut kept, mut lost) = (Vec::with_capacity(pairs.len()), Vec::new());
    for (pair, keeps) in pairs.into_iter().zip(keeps) {
        if keeps {
            kept.push(pair)
        } else {
            lost.push(pair)
        }
    }
    kept.sort_unstable_by(|a, b| a.target.cmp(&b.target));
    (kept, lost)
}

/// As [`settle`], for pairs of one source, which cannot be in each other's way.
pub(super) fn sorted<S>(mut pairs: Vec<Pair<S>>) -> Vec<Pair<S>> {
    pairs.sort_unstable_by(|a, b| a.target.cmp(&b.target));
    pairs
}

/// The folders a path is in, the outermost first.
pub(in crate::store) fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(targets: &[&str], winner: Winner) -> (Vec<usize>, Vec<usize>) {
        let pairs = targets.iter().enumerate().map(|(source, target)| Pair {
            target: BString::from(*target),
            source,
        });
        let (kept, lost) = settle(pairs.collect(), winner);
        let sources = |pairs: Vec<Pair<usize>>| pairs.into_iter().map(|pair| pair.source).collect();
        (sources(kept), sources(lost))
    }

    #[test]
    fn one_source_keeps_each_place() {
        use Winner::*;
        assert_eq!(settled(&["b", "a", "b"], First), (vec![1, 0], vec![2]));
        assert_eq!(settled(&["b", "a", "b"], Last), (vec![1, 2], vec![0]));
        assert_eq!(settled(&["a", "a/b", "a/c"], First), (vec![0], vec![1, 2]));
        assert_eq!(settled(&["a", "a/b", "a/c"], Last), (vec![1, 2], vec![0]));
        assert_eq!(
            settled(&["a/b/c", "a", "a.b"], First),
            (vec![2, 0], vec![1])
        );
    }
}
