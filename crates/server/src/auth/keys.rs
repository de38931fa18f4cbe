//! The keys of organisations, read from the catalog and kept for a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use packhouse_catalog::{Catalog, CatalogError, OrgId};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::public_key::PublicKey;

/// How long keys are used without asking the catalog again: a new or revoked key counts after this time.
const FRESH_FOR: Duration = Duration::from_millis(900);

/// Issuers remembered, unknown ones included, so that made-up issuers cannot fill the memory.
const MAX_ISSUERS: usize = 10_000;

/// An organisation and its valid keys.
#[derive(Debug)]
pub(super) struct OrgKeys {
    /// The organisation.
    pub org: OrgId,
    /// Its keys, with the fingerprint under which each is registered.
    pub keys: Vec<(String, PublicKey)>,
}

impl OrgKeys {
    /// Whether the key with this fingerprint is still registered.
    pub(super) fn has(&self, fingerprint: &str) -> bool {
        self.keys.iter().any(|(known, _)| known == fingerprint)
    }
}

/// What was read, and when the reading began.
type Read = (Instant, Option<Arc<OrgKeys>>);

/// One issuer's keys as last read.
#[derive(Debug, Default)]
struct Slot {
    read: Mutex<Option<Read>>,
    /// Held while reading, so that many requests at once cost one query.
    reading: tokio::sync::Mutex<()>,
}

impl Slot {
    fn fresh(&self) -> Option<Option<Arc<OrgKeys>>> {
        let read = self.read.lock();
        let (at, keys) = read.as_ref()?;
        (at.elapsed() < FRESH_FOR).then(|| keys.clone())
    }
}

/// All issuers.
#[derive(Debug)]
pub(super) struct KeyRing {
    catalog: Catalog,
    slots: Cache<String, Arc<Slot>>,
}

impl KeyRing {
    /// A ring over `catalog`.
    pub(super) fn new(catalog: Catalog) -> KeyRing {
        KeyRing {
            catalog,
            slots: Cache::new(MAX_ISSUERS),
        }
    }

    /// The keys of `issuer`, as they were at most [`FRESH_FOR`] ago; `None` if there is no such organisation.
    pub(super) async fn of(&self, issuer: &str) -> Result<Option<Arc<OrgKeys>>, CatalogError> {
        let slot = match self.slots.get(issuer) {
            Some(slot) => slot,
            None => {
                let slot = Arc::new(Slot::default());
                self.slots.insert(issuer.to_owned(), slot.clone());
                slot
            }
        };
        if let Some(keys) = slot.fresh() {
            return Ok(keys);
        }
        let _reading = slot.reading.lock().await;
        if let Some(keys) = slot.fresh() {
            return Ok(keys);
        }
        let began = Instant::now();
        let keys = self.load(issuer).await?;
        *slot.read.lock() = Some((began, keys.clone()));
        Ok(keys)
    }

    async fn load(&self, issuer: &str) -> Result<Option<Arc<OrgKeys>>, CatalogError> {
        let Some(org) = self.catalog.org(issuer).await? else {
            return Ok(None);
        };
        let mut keys = Vec::new();
        for row in self.catalog.keys(org.id).await? {
            match PublicKey::from_pem(&row.public_pem) {
                Ok(key) => keys.push((row.fingerprint, key)),
                Err(error) => {
                    tracing::warn!(org = issuer, key = row.fingerprint, %error, "a registered key is unusable")
                }
            }
        }
        Ok(Some(Arc::new(OrgKeys { org: org.id, keys })))
    }
}
