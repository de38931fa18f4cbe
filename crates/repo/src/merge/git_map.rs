//! A map that is walked in the order of Git's own maps of names.
//!
//! Where Git takes the first of several that are as good as each other, it is this order that decides which one that
//! is, so a merge can only come out as Git's if it is the same here.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};

/// How many chains a map starts with.
const FIRST_CHAINS: usize = 64;

/// Values by name.
#[derive(Clone, Debug)]
pub(super) struct GitMap<V> {
    positions: HashMap<BString, usize>,
    entries: Vec<(BString, V)>,
}

impl<V> Default for GitMap<V> {
    fn default() -> Self {
        GitMap {
            positions: HashMap::new(),
            entries: Vec::new(),
        }
    }
}

impl<V> GitMap<V> {
    pub(super) fn entry_or(&mut self, name: &BStr, value: V) -> &mut V {
        let next = self.entries.len();
        let position = match self.positions.get(name) {
            Some(position) => *position,
            None => {
                self.positions.insert(name.to_owned(), next);
                self.entries.push((name.to_owned(), value));
                next
            }
        };
        &mut self.entries[position].1
    }

    /// In the order in which they were added.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&BString, &V)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// In Git's order.
    pub(super) fn in_git_order(&self) -> impl Iterator<Item = (&BString, &V)> {
        let order = git_order(self.entries.iter().map(|(name, _)| name.as_bstr()));
        order.into_iter().map(|position| {
            let (name, value) = &self.entries[position];
            (name, value)
        })
    }
}

/// The positions of names that were added one after the other, in the order in which Git walks them: chain by chain,
/// what was added last first; and when the map grows each chain is turned round.
fn git_order<'a>(names: impl Iterator<Item = &'a BStr>) -> Vec<usize> {
    let mut hashes: Vec<u32> = Vec::new();
    let mut chains: Vec<Vec<usize>> = vec![Vec::new(); FIRST_CHAINS];
    for (position, name) in names.enumerate() {
        let hash = hash(name);
        hashes.push(hash);
        let mask = chains.len() - 1;
        // The end of the vector is the head of the chain.
        chains[hash as usize & mask].push(position);
        if hashes.len() > chains.len() * 80 / 100 {
            let mut more: Vec<Vec<usize>> = vec![Vec::new(); chains.len() * 4];
            let mask = more.len() - 1;
            for chain in &chains {
                for position in chain.iter().rev() {
                    more[hashes[*position] as usize & mask].push(*position);
                }
            }
            chains = more;
        }
    }
    chains
        .into_iter()
        .flat_map(|chain| chain.into_iter().rev())
        .collect()
}

/// FNV-1, as Git computes it.
fn hash(name: &BStr) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash: u32, byte| {
        hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte)
    })
}
