//! Ids of organisations and repositories: made here, never by the database, so that a row's id is
//! known before it is written and both databases agree on it.

use std::sync::atomic::{AtomicI64, Ordering};

/// An organisation's id.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct OrgId(pub i64);

/// A repository's id; never used again, also not after the repository is deleted.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct RepoId(pub i64);

/// A hook's id.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct HookId(pub i64);

impl std::fmt::Display for HookId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for OrgId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for RepoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Bits of an id below its time in milliseconds. 43 bits are left for the time: until the year 2248.
const RANDOM_BITS: u32 = 20;

/// Makes ids that grow with time, so that new rows land at the end of an index, and differ between
/// nodes by their random low bits. Two nodes may still collide: the primary key decides.
#[derive(Debug, Default)]
pub(crate) struct IdSource {
    last: AtomicI64,
}

impl IdSource {
    /// An id greater than every id this source gave before.
    pub(crate) fn next(&self, now_ms: i64) -> i64 {
        let random = i64::from(rand::random::<u32>() >> (32 - RANDOM_BITS));
        let wanted = (now_ms << RANDOM_BITS) | random;
        // Within one millisecond, or when the clock went back, step on by a random amount: by one
        // would make two nodes that collided once collide again and again.
        let after = |last: i64| wanted.max(last + 1 + (random & 0xff));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(after(last))
            })
            .expect("the update never declines");
        after(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_and_carry_their_time() {
        let ids = IdSource::default();
        let mut last = 0;
        for _ in 0..10_000 {
            let id = ids.next(1_700_000_000_000);
            assert!(id > last);
            last = id;
        }
        let later = ids.next(1_700_000_100_000);
        assert!(later > last);
        assert_eq!(later >> RANDOM_BITS, 1_700_000_100_000);
    }
}
