//! The objects of a pack by where their entries begin.

use std::path::Path;

use super::{Index, ReverseIndex};

/// Positions in an index, ordered by offset.
pub(crate) enum Order {
    /// As the file beside the pack has them.
    Stored(ReverseIndex),
    /// Sorted here.
    Sorted(Vec<u32>),
}

impl Order {
    /// What the reverse index at `path` says, if there is one for this pack; else the offsets are sorted.
    pub(crate) fn of(index: &Index, path: &Path) -> Order {
        match ReverseIndex::open(path, index.count(), &index.pack_checksum()) {
            Ok(Ok(reverse)) => Order::Stored(reverse),
            // It is there to save time only.
            Ok(Err(_)) | Err(_) => {
                let mut positions: Vec<u32> = (0..index.count()).collect();
                positions.sort_unstable_by_key(|position| index.offset(*position));
                Order::Sorted(positions)
            }
        }
    }

    /// The position in the index of the entry at a place, which must be under the number of objects.
    pub(crate) fn position(&self, place: usize) -> u32 {
        match self {
            Order::Stored(reverse) => reverse.position(place),
            Order::Sorted(positions) => positions[place],
        }
    }
}
