//! How many bytes the repositories of an organisation have together, as far as that is limited.
//!
//! Nobody counts them as they are written: a row that all writers of an organisation change would make them wait for each
//! other. A node measures now and then, and adds what it wrote itself since. So what one node writes is always known, and
//! several may exceed the limit by no more than what the others write between two measurements.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use packhouse_catalog::{Catalog, CatalogError, OrgId};
use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use crate::quota::Room;

/// How long a measurement holds, at least.
const HOLDS: Duration = Duration::from_secs(10);
/// How many times as long as it took it holds, at least: measuring never takes more than a small part of the catalog.
const REST: u32 = 20;
/// Organisations remembered.
const KNOWN: usize = 4096;

/// What is known of each organisation.
pub(super) struct OrgUsages {
    limit_bytes: Option<u64>,
    known: Cache<OrgId, Arc<OrgUsage>>,
}

#[derive(Default)]
struct OrgUsage {
    /// Bytes that this node has written, ever.
    written: AtomicU64,
    /// Held while one measures, so that others wait for what it finds.
    measured: Mutex<Option<Measured>>,
}

struct Measured {
    bytes: u64,
    /// What was written before: all of it is in `bytes`.
    written: u64,
    until: Instant,
}

impl OrgUsages {
    pub(super) fn new(limit_bytes: Option<u64>) -> OrgUsages {
        OrgUsages {
            limit_bytes,
            known: Cache::new(KNOWN),
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
        let mut measured = usage.measured.lock().await;
        let (bytes, before) = match &*measured {
            Some(known) if Instant::now() < known.until => (known.bytes, known.written),
            _ => {
                // Before the statement: what is counted twice is on the safe side, what is not counted is not.
                let written = usage.written.load(Ordering::SeqCst);
                let begun = Instant::now();
                let bytes = catalog.org_bytes(org).await?;
                let until = Instant::now() + HOLDS.max(begun.elapsed() * REST);
                *measured = Some(Measured {
                    bytes,
                    written,
                    until,
                });
                (bytes, written)
            }
        };
        let since = usage.written.load(Ordering::SeqCst).saturating_sub(before);
        Ok(Some(Room {
            limit_bytes,
            used_bytes: bytes.saturating_add(since),
        }))
    }

    /// Counts what was written, after its COMMIT.
    pub(super) fn add(&self, org: OrgId, bytes: u64) {
        if self.is_limited() {
            self.of(org).written.fetch_add(bytes, Ordering::SeqCst);
        }
    }

    /// Has it measured anew: much is gone.
    pub(super) fn forget(&self, org: OrgId) {
        self.known.remove(&org);
    }

    fn of(&self, org: OrgId) -> Arc<OrgUsage> {
        let made = self
            .known
            .get_or_insert_with(&org, || Ok::<_, std::convert::Infallible>(Arc::default()));
        match made {
            Ok(usage) => usage,
            Err(never) => match never {},
        }
    }
}
