//! Object ids, and maps keyed by them.
//!
//! An id carries its hash kind; nothing here assumes 20 bytes.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

pub use gix_hash::{Kind as HashKind, ObjectId, oid};

/// A map keyed by object id.
pub type IdMap<V> = HashMap<ObjectId, V, BuildIdHasher>;
/// A set of object ids.
pub type IdSet = HashSet<ObjectId, BuildIdHasher>;

/// Builds the hasher of [`IdMap`] and [`IdSet`].
///
/// An id is a hash already, so one multiplication is enough. It is keyed with a secret of the
/// process: strangers choose ids by grinding objects, and must not be able to aim at a bucket.
#[derive(Clone, Copy, Debug)]
pub struct BuildIdHasher(u64);

impl Default for BuildIdHasher {
    fn default() -> Self {
        // Not a `LazyLock`: a process forked off while it is made would wait for it.
        static SECRET: AtomicU64 = AtomicU64::new(0);
        match SECRET.load(Ordering::Relaxed) {
            0 => {
                let secret = RandomState::new().hash_one(0u64).max(1);
                let set = SECRET.compare_exchange(0, secret, Ordering::Relaxed, Ordering::Relaxed);
                BuildIdHasher(set.map_or_else(|others| others, |_| secret))
            }
            secret => BuildIdHasher(secret),
        }
    }
}

impl BuildHasher for BuildIdHasher {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher(self.0)
    }
}

/// Hashes ids (and small integers beside them) by folding eight of their bytes.
#[derive(Clone, Copy, Debug)]
pub struct IdHasher(u64);

impl IdHasher {
    fn fold(&mut self, word: u64) {
        // The multiplier is the fraction of the golden ratio, odd and without pattern.
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut word = [0; 8];
        let take = bytes.len().min(8);
        word[..take].copy_from_slice(&bytes[..take]);
        self.fold(u64::from_le_bytes(word));
    }

    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_hash_apart_and_equal_ones_alike() {
        let build = BuildIdHasher::default();
        let mut seen = HashSet::new();
        for n in 0..1000u16 {
            let mut raw = [0; 20];
            raw[..2].copy_from_slice(&n.to_be_bytes());
            let id = ObjectId::from(raw);
            assert_eq!(build.hash_one(id), build.hash_one(&*id));
            assert!(seen.insert(build.hash_one(id)));
        }
    }
}
