//! Public keys of organisations: whose signature on a token is believed.
//!
//! A revoked key keeps its row, with the time, so that who could sign when stays known.

use crate::clock::now_ms;
use crate::dialect::Row;
use crate::ids::OrgId;
use crate::lane::{Done, Work};
use crate::{Catalog, CatalogError, text};

/// Longest fingerprint that is stored.
const MAX_FINGERPRINT_BYTES: usize = 256;

/// A key to register.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewKey {
    /// What the key is known by within its organisation.
    pub fingerprint: String,
    /// JWT algorithm, such as `ES256`.
    pub algorithm: String,
    /// The public key in PEM.
    pub public_pem: String,
}

/// A registered key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// What the key is known by within its organisation.
    pub fingerprint: String,
    /// JWT algorithm, such as `ES256`.
    pub algorithm: String,
    /// The public key in PEM.
    pub public_pem: String,
    /// When it was registered, or registered again after it was revoked.
    pub created_at_ms: i64,
}

impl Catalog {
    /// Registers a key. False if it was registered already; a revoked key becomes valid again.
    pub async fn add_key(&self, org: OrgId, key: NewKey) -> Result<bool, CatalogError> {
        text::check("key fingerprint", &key.fingerprint, MAX_FINGERPRINT_BYTES)?;
        let work = Work::AddKey {
            org,
            key,
            at_ms: now_ms(),
        };
        Ok(matches!(
            self.submit_at(org.0, work).await?,
            Done::Changed(true)
        ))
    }

    /// The valid keys of an organisation, by fingerprint.
    pub async fn keys(&self, org: OrgId) -> Result<Vec<Key>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        let sql = "SELECT fingerprint, algorithm, public_pem, created_at_ms FROM org_keys \
                   WHERE org_id = $1 AND revoked_at_ms IS NULL ORDER BY fingerprint";
        conn.fetch_all(sql, args).await?.iter().map(read).collect()
    }

    /// Revokes a key. False if the organisation has no such valid key.
    pub async fn revoke_key(&self, org: OrgId, fingerprint: &str) -> Result<bool, CatalogError> {
        if text::check("key fingerprint", fingerprint, MAX_FINGERPRINT_BYTES).is_err() {
            return Ok(false);
        }
        let work = Work::RevokeKey {
            org,
            fingerprint: fingerprint.to_owned(),
            at_ms: now_ms(),
        };
        Ok(matches!(
            self.submit_at(org.0, work).await?,
            Done::Changed(true)
        ))
    }
}

fn read(row: &Row) -> Result<Key, CatalogError> {
    Ok(Key {
        fingerprint: row.get(0)?,
        algorithm: row.get(1)?,
        public_pem: row.get(2)?,
        created_at_ms: row.get(3)?,
    })
}
