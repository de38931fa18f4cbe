//! Indexes of several packs, beside the list of all packs.

use std::sync::Arc;

use crate::{MultiPack, Pack, oid};

/// Indexes of several packs, and where their packs are in the list of all.
#[derive(Default)]
pub(super) struct Multi {
    pub(super) indexes: Vec<Arc<MultiPack>>,
    /// For each index, the places of its packs.
    places: Vec<Vec<usize>>,
    /// Which packs of the list have an index together with others.
    indexed: Vec<bool>,
}

impl Multi {
    pub(super) fn new(mut indexes: Vec<Arc<MultiPack>>, packs: &[Arc<Pack>]) -> Multi {
        if indexes.is_empty() {
            return Multi::default();
        }
        let mut indexed = vec![false; packs.len()];
        let mut places = Vec::new();
        indexes.retain(|index| {
            let place = |pack| packs.iter().position(|other| Arc::ptr_eq(other, pack));
            let found: Option<Vec<usize>> = index.packs().iter().map(place).collect();
            for at in found.iter().flatten() {
                indexed[*at] = true;
            }
            let is_usable = found.is_some();
            places.extend(found);
            is_usable
        });
        Multi {
            indexes,
            places,
            indexed,
        }
    }

    /// Whether the pack at a place of the list is in one of them.
    pub(super) fn has(&self, at: usize) -> bool {
        self.indexed.get(at).copied().unwrap_or(false)
    }

    pub(super) fn find(&self, id: &oid) -> Option<(usize, u64)> {
        let mut indexes = self.indexes.iter().zip(&self.places);
        indexes.find_map(|(index, places)| {
            let (number, offset) = index.lookup(id)?;
            Some((places[number], offset))
        })
    }
}
