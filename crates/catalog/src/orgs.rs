//! Organisations: who owns repositories and keys.

use crate::clock::now_ms;
use crate::dialect::Row;
use crate::ids::OrgId;
use crate::lane::{Done, Work};
use crate::{Catalog, CatalogError, text};

/// Longest name that is stored.
const MAX_NAME_BYTES: usize = 1024;

/// An organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// Its name, compared bytewise.
    pub name: String,
    /// When it was created.
    pub created_at_ms: i64,
}

/// Why an organisation was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateOrgError {
    /// The name is taken.
    #[error("organisation `{name}` exists already")]
    Exists {
        /// The name that was asked for.
        name: String,
    },
    /// The catalog failed.
    #[error("could not create organisation `{name}`")]
    Catalog {
        /// The name that was asked for.
        name: String,
        /// What failed.
        #[source]
        source: CatalogError,
    },
}

impl Catalog {
    /// Creates an organisation; its name must be free.
    pub async fn create_org(&self, name: &str) -> Result<Org, CreateOrgError> {
        let failed = |source| CreateOrgError::Catalog {
            name: name.to_owned(),
            source,
        };
        text::check("organisation name", name, MAX_NAME_BYTES).map_err(failed)?;
        let work = Work::CreateOrg {
            name: name.to_owned(),
            at_ms: now_ms(),
        };
        match self.submit_at(0, work).await.map_err(failed)? {
            Done::OrgCreated(org) => Ok(org),
            _ => Err(CreateOrgError::Exists {
                name: name.to_owned(),
            }),
        }
    }

    /// The organisation of that name.
    pub async fn org(&self, name: &str) -> Result<Option<Org>, CatalogError> {
        if text::check("organisation name", name, MAX_NAME_BYTES).is_err() {
            return Ok(None);
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(name);
        let sql = "SELECT id, name, created_at_ms FROM orgs WHERE name = $1";
        conn.fetch_optional(sql, args)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// All organisations, by name.
    pub async fn list_orgs(&self) -> Result<Vec<Org>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        let sql = "SELECT id, name, created_at_ms FROM orgs ORDER BY name";
        conn.fetch_all(sql, args).await?.iter().map(read).collect()
    }
}

fn read(row: &Row) -> Result<Org, CatalogError> {
    Ok(Org {
        id: OrgId(row.get(0)?),
        name: row.get(1)?,
        created_at_ms: row.get(2)?,
    })
}
