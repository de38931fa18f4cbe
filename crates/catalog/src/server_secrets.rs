//! Secrets that the servers of one catalog share.

use crate::{Catalog, CatalogError};

impl Catalog {
    /// The secret that signs the tokens which SSH keys are given for LFS: 32 random bytes, as old as the catalog.
    pub async fn lfs_token_secret(&self) -> Result<Vec<u8>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        let sql = "SELECT secret FROM server_secrets WHERE name = 'lfs token'";
        let row = conn.fetch_optional(sql, args).await?;
        let row = row.ok_or_else(|| CatalogError::Unknown {
            what: "no secret for LFS tokens".to_owned(),
        })?;
        Ok(row.get(0)?)
    }
}
