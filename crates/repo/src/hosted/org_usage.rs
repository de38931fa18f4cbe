//! How many bytes the repositories of an organisation have together, as far as that is limited.
//!
//! Nobody counts them as they are written: a row that all writers of an organisation change would make them wait for each
//! other. A node measures now and then, and adds what it wrote itself since. Before a write it reserves the room for it, so
//! that the lanes of one node keep the limit together. Several nodes may exceed it by no more than what the others write
//! between two measurements.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packhouse_catalog::{Catalog, CatalogError, OrgId};
use parking_lot::Mutex;

use crate::quota::Room;

/// How long a measurement holds, at least.
const HOLDS: Duration = Duration::from_secs(10);
/// How many times as long as it took it holds, at least: measuring never takes more than a small part of the catalog.
const REST: u32 = 20;
/// Organisations remembered, beside those that are being written to.
const KNOWN: usize = 4096;

/// What is known of each organisation.
pub(super) struct OrgUsages {
    limit_bytes: Option<u64>,
    known: Mutex<HashMap<OrgId, Arc<OrgUsage>>>,
}

#[derive(Default)]
struct OrgUsage {
    /// Held while one measures, so that others wait for what it finds.
    measuring: tokio::sync::Mutex<()>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Bytes that this node has written, ever.
    written: u64,
    /// Bytes of writes that are under way: a measurement may or may not see them.
    reserved: u64,
    measured: Option<Measured>,
    /// How often what was measured became too much because something was deleted.
    deletions: u64,
}

#[derive(Clone, Copy)]
struct Measured {
    bytes: u64,
    /// What was written before: all of it is in `bytes`.
    written: u64,
    until: Instant,
}

impl Counts {
    /// The bytes there are at most, as far as this node can know.
    fn used(&self, measured: &Measured) -> u64 {
        let since = self.written.saturating_sub(measured.written);
        let known = measured.bytes.saturating_add(since);
        known.saturating_add(self.reserved)
    }

    fn reserve(&mut self, bytes: u64, limit_bytes: u64) -> bool {
        let used = self.measured.map(|measured| self.used(&measured));
        let fits = used.is_some_and(|used| used.saturating_add(bytes) <= limit_bytes);
        // To add nothing is always allowed.
        if fits || bytes == 0 {
            self.reserved += bytes;
        }
        fits || bytes == 0
    }
}

/// Room that a write has taken before it is made. It is given back when this is dropped.
pub(super) struct Reservation {
    usage: Arc<OrgUsage>,
    bytes: u64,
}

impl Reservation {
    /// The write was made, or may have been made, and has this many bytes.
    pub(super) fn written(self, bytes: u64) {
        // At one moment, with what is reserved: nobody sees the room in between.
        let mut counts = self.usage.counts.lock();
        counts.written += bytes;
        counts.reserved -= self.bytes;
        drop(counts);
        self.forget();
    }

    /// Ends without giving anything back.
    fn forget(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.usage.counts.lock().reserved -= self.bytes;
    }
}

impl OrgUsages {
    pub(super) fn new(limit_bytes: Option<u64>) -> OrgUsages {
        OrgUsages {
            limit_bytes,
            known: Mutex::default(),
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limit_bytes.is_some()
    }

    /// The room of an organisation, if it is limited.
    pub(super) async fn room(
        &self,
        catalog: &Catalog,
        org: OrgId,
    ) -> Result<Option<Room>, CatalogError> {
        let Some(limit_bytes) = self.limit_bytes else {
            return Ok(None);
        };
        let usage = self.of(org);
        let _one = usage.measuring.lock().await;
        let (written, deletions) = {
            let counts = usage.counts.lock();
            if let Some(known) = counts.measured.filter(|known| Instant::now() < known.until) {
                let used_bytes = counts.used(&known);
                return Ok(Some(Room {
                    limit_bytes,
                    used_bytes,
                }));
            }
            // Before the statement: what is counted twice is on the safe side, what is not counted is not.
            (counts.written, counts.deletions)
        };
        let begun = Instant::now();
        let bytes = catalog.org_bytes(org).await?;
        let now = Instant::now();
        let mut counts = usage.counts.lock();
        let until = match counts.deletions == deletions {
            true => now + HOLDS.max((now - begun) * REST),
            false => now,
        };
        let measured = Measured {
            bytes,
            written,
            until,
        };
        counts.measured = Some(measured);
        Ok(Some(Room {
            limit_bytes,
            used_bytes: counts.used(&measured),
        }))
    }

    /// Takes room for a write that is about to be made. `None`: others were faster, and there is not so much left.
    pub(super) fn reserve(&self, org: OrgId, bytes: u64) -> Option<Reservation> {
        let limit_bytes = self.limit_bytes.unwrap_or(u64::MAX);
        let usage = self.of(org);
        let has_room = usage.counts.lock().reserve(bytes, limit_bytes);
        // Made only then: dropping one gives room back.
        has_room.then(|| Reservation { usage, bytes })
    }

    /// Has it measured anew: much is gone.
    pub(super) fn forget(&self, org: OrgId) {
        if self.is_limited() {
            let usage = self.of(org);
            let mut counts = usage.counts.lock();
            counts.measured = None;
            counts.deletions += 1;
        }
    }

    fn of(&self, org: OrgId) -> Arc<OrgUsage> {
        let mut known = self.known.lock();
        if known.len() >= KNOWN && !known.contains_key(&org) {
            // What is reserved must not be forgotten; the rest is measured again.
            known.retain(|_, usage| Arc::strong_count(usage) > 1);
        }
        known.entry(org).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: OrgId = OrgId(7);

    fn measured(limit_bytes: u64, bytes: u64) -> OrgUsages {
        let usages = OrgUsages::new(Some(limit_bytes));
        let known = Measured {
            bytes,
            written: 0,
            until: Instant::now() + HOLDS,
        };
        usages.of(ORG).counts.lock().measured = Some(known);
        usages
    }

    #[test]
    fn what_is_reserved_is_nobody_elses_until_it_is_given_back() {
        let usages = measured(100, 40);
        let one = usages.reserve(ORG, 30).unwrap();
        let two = usages.reserve(ORG, 30).unwrap();
        assert!(usages.reserve(ORG, 1).is_none());
        assert!(usages.reserve(ORG, 0).is_some());
        drop(one);
        assert!(usages.reserve(ORG, 31).is_none());
        // It became smaller than was thought.
        two.written(10);
        assert!(usages.reserve(ORG, 51).is_none());
        usages.reserve(ORG, 50).unwrap().written(50);
        assert!(usages.reserve(ORG, 1).is_none());
    }

    #[test]
    fn neither_a_deletion_nor_other_organisations_make_it_forget_what_is_reserved() {
        let usages = measured(100, 0);
        let one = usages.reserve(ORG, 70).unwrap();
        usages.forget(ORG);
        assert!(
            usages.reserve(ORG, 1).is_none(),
            "nothing is known before it is measured"
        );
        for other in 0..2 * KNOWN as i64 {
            usages.of(OrgId(1000 + other));
        }
        assert!(usages.known.lock().len() <= KNOWN + 1);
        assert_eq!(usages.of(ORG).counts.lock().reserved, 70);
        drop(one);
        assert_eq!(usages.of(ORG).counts.lock().reserved, 0);
    }
}
