//! Deltas that wait in memory for their bases, inflated, so that this is done once.

use std::num::NonZeroU32;

/// Room is taken in pieces of this size; a delta is in one of them.
const CHUNK_BITS: u32 = 20;
const CHUNK_LEN: usize = 1 << CHUNK_BITS;
/// A larger delta does not wait here: it would leave much of a piece empty.
pub(super) const LARGEST: usize = CHUNK_LEN / 4;

/// Where a delta waits; one more than its number, counted in bytes over all pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(NonZeroU32);

/// The deltas that wait, up to a limit of memory.
pub(super) struct Kept {
    chunks: Vec<Vec<u8>>,
    most: usize,
}

impl Kept {
    pub(super) fn new(limit: u64) -> Kept {
        let most = (limit / CHUNK_LEN as u64).min(u64::from(u32::MAX >> CHUNK_BITS));
        Kept {
            chunks: Vec::new(),
            most: most as usize,
        }
    }

    /// Keeps a delta, if there is room for it.
    pub(super) fn keep(&mut self, delta: &[u8]) -> Option<Place> {
        let fits = |chunk: &Vec<u8>| chunk.len() + delta.len() <= CHUNK_LEN;
        if delta.is_empty() || delta.len() > LARGEST {
            return None;
        }
        if !self.chunks.last().is_some_and(fits) {
            if self.chunks.len() >= self.most {
                return None;
            }
            self.chunks.push(Vec::with_capacity(CHUNK_LEN));
        }
        let number = self.chunks.len() - 1;
        let chunk = self.chunks.last_mut()?;
        let place = number << CHUNK_BITS | chunk.len();
        chunk.extend_from_slice(delta);
        NonZeroU32::new(place as u32 + 1).map(Place)
    }

    /// The delta at a place, which has `len` bytes.
    pub(super) fn get(&self, place: Place, len: usize) -> &[u8] {
        let place = place.0.get() as usize - 1;
        let start = place % CHUNK_LEN;
        &self.chunks[place >> CHUNK_BITS][start..start + len]
    }

    /// The memory it takes.
    pub(super) fn bytes(&self) -> u64 {
        (self.chunks.len() * CHUNK_LEN) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_kept_up_to_the_limit() {
        let mut kept = Kept::new(2 * CHUNK_LEN as u64 + 5);
        assert_eq!(kept.keep(&[0; LARGEST + 1]), None);
        let mut places = Vec::new();
        for number in 1..u32::MAX {
            let delta = number.to_le_bytes().repeat(number as usize % 500 + 1);
            match kept.keep(&delta) {
                Some(place) => places.push((place, delta)),
                None => break,
            }
        }
        assert!(places.len() > 400, "{}", places.len());
        assert_eq!(kept.bytes(), 2 * CHUNK_LEN as u64);
        for (place, delta) in places {
            assert_eq!(kept.get(place, delta.len()), delta);
        }
    }
}
