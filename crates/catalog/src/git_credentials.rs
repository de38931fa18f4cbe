//! Credentials for upstreams: sealed before they come here, so that the database never sees one.

use crate::dialect::Row;
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, UpstreamWork};
use crate::{Catalog, CatalogError, text};

/// Longest id and key id that are stored.
const MAX_ID_BYTES: usize = 256;
/// Longest sealed text that is stored.
const MAX_SEALED_BYTES: usize = 64 << 10;

/// A credential to store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewCredential {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub org: OrgId,
    /// The repository whose upstream it is for.
    pub repo: RepoId,
    /// Which key opens it.
    pub key_id: String,
    /// The credential, sealed.
    pub sealed: Vec<u8>,
}

/// A stored credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialRow {
    /// What was stored.
    pub credential: NewCredential,
    /// When it was first stored.
    pub created_at_ms: i64,
}

const COLUMNS: &str = "SELECT id, org_id, repo_id, key_id, sealed, created_at_ms FROM git_credentials \
                       WHERE id = $1";

fn read(row: &Row) -> Result<CredentialRow, CatalogError> {
    Ok(CredentialRow {
        credential: NewCredential {
            id: row.get(0)?,
            org: OrgId(row.get(1)?),
            repo: RepoId(row.get(2)?),
            key_id: row.get(3)?,
            sealed: row.get(4)?,
        },
        created_at_ms: row.get(5)?,
    })
}

impl Catalog {
    /// Stores a credential. False if its repository has one already, or is gone.
    pub async fn create_credential(
        &self,
        credential: NewCredential,
        at_ms: i64,
    ) -> Result<bool, CatalogError> {
        check(&credential)?;
        let repo = credential.repo;
        let work = UpstreamWork::CreateCredential { credential, at_ms };
        Ok(matches!(
            self.upstream_lane(repo, work).await?,
            Done::Changed(true)
        ))
    }

    /// Replaces a credential by another with the same id. False if it is gone.
    pub async fn update_credential(
        &self,
        credential: NewCredential,
        at_ms: i64,
    ) -> Result<bool, CatalogError> {
        check(&credential)?;
        let repo = credential.repo;
        let work = UpstreamWork::UpdateCredential { credential, at_ms };
        Ok(matches!(
            self.upstream_lane(repo, work).await?,
            Done::Changed(true)
        ))
    }

    /// Forgets the credential of a repository. False if it has none.
    pub async fn delete_credential(&self, repo: RepoId) -> Result<bool, CatalogError> {
        let work = UpstreamWork::DeleteCredential { repo };
        Ok(matches!(
            self.upstream_lane(repo, work).await?,
            Done::Changed(true)
        ))
    }

    /// The credential with that id, of whichever organisation.
    pub async fn credential(&self, id: &str) -> Result<Option<CredentialRow>, CatalogError> {
        if text::check("credential id", id, MAX_ID_BYTES).is_err() {
            return Ok(None);
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(id);
        let row = conn.fetch_optional(COLUMNS, args).await?;
        row.as_ref().map(read).transpose()
    }

    /// The credential for the upstream of a repository.
    pub async fn credential_of(&self, repo: RepoId) -> Result<Option<CredentialRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        let sql = "SELECT id, org_id, repo_id, key_id, sealed, created_at_ms FROM git_credentials \
                   WHERE repo_id = $1";
        let row = conn.fetch_optional(sql, args).await?;
        row.as_ref().map(read).transpose()
    }
}

pub(crate) fn check(credential: &NewCredential) -> Result<(), CatalogError> {
    text::check("credential id", &credential.id, MAX_ID_BYTES)?;
    text::check("key id", &credential.key_id, MAX_ID_BYTES)?;
    text::check_length("sealed credential", &credential.sealed, MAX_SEALED_BYTES)
}
