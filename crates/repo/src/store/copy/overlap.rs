//! Several sources that want the same place, and one whose place is its own or in itself.

use std::collections::HashSet;

use bstr::BString;

use super::destination::split;
use super::source::{Kind, StoredSource};
use crate::store::path::join;
use crate::store::{Snapshot, StoreError};

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

/// How a source lies to the place that it gets in the snapshot that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    /// Elsewhere.
    Apart,
    /// It is there already.
    There,
    /// It would be put into the folder, or below the file, that it is.
    Onto,
    /// The thing would come to be somewhere in itself.
    Into {
        /// The source, or what of it is on the way to the place.
        path: BString,
        /// Where it would be.
        place: BString,
    },
}

impl Overlap {
    /// Finds out how a source lies to its place, in a snapshot that has the source. `renamed`: the place is `dest`
    /// itself. `mirrored`: the place is to hold what the source holds and nothing else, so that it cannot be in the source even
    /// where nothing is yet.
    pub(super) fn find(
        snapshot: &Snapshot,
        source: &StoredSource,
        dest: &BString,
        renamed: bool,
        mirrored: bool,
    ) -> Result<Overlap, StoreError> {
        let place = match source.kind {
            _ if renamed => dest.clone(),
            Kind::Contents if source.prefix.is_empty() => dest.clone(),
            Kind::Contents => join(dest, &source.prefix),
            Kind::File | Kind::Folder => join(dest, &join(&source.prefix, split(&source.path).1)),
        };
        if place == source.path {
            return Ok(Overlap::There);
        }
        if *dest == source.path {
            return Ok(Overlap::Onto);
        }
        // What is in a folder is as many sources. One of them is on the way to the place, but it need not be there yet.
        let path = match source.kind {
            Kind::Contents => match name_towards(&source.path, &place) {
                Some(name) => join(&source.path, name),
                None => return Ok(Overlap::Apart),
            },
            Kind::File | Kind::Folder => source.path.clone(),
        };
        let is_inside = place == path || name_towards(&path, &place).is_some();
        let is_trouble = is_inside && (mirrored || snapshot.entry(&path)?.is_some());
        Ok(match is_trouble {
            true => Overlap::Into { path, place },
            false => Overlap::Apart,
        })
    }
}

/// The name in a folder by which one comes to a path below it.
fn name_towards<'a>(folder: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let below = match folder.is_empty() {
        true => Some(path),
        false => path.strip_prefix(folder)?.strip_prefix(b"/"),
    };
    below?
        .split(|&byte| byte == b'/')
        .next()
        .filter(|name| !name.is_empty())
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
