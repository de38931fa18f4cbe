//! The reflog: every move of every ref, in order. It is also how a view learns which refs changed.

use crate::ids::RepoId;
use crate::{Catalog, CatalogError};

/// One move of one ref.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReflogRow {
    /// Generation of the publish that moved it.
    pub generation: i64,
    /// Place within that publish, from 0.
    pub ordinal: i64,
    /// The ref.
    pub name: Vec<u8>,
    /// Where it was; `None`: absent.
    pub old: Option<Vec<u8>>,
    /// Where it went; `None`: deleted.
    pub new: Option<Vec<u8>>,
    /// Who moved it.
    pub who: String,
    /// Why.
    pub message: String,
    /// When.
    pub at_ms: i64,
}

impl Catalog {
    /// Moves after `(generation, ordinal)`, oldest first, at most `limit`; of one ref, or of all.
    pub async fn reflog(
        &self,
        repo: RepoId,
        name: Option<&[u8]>,
        after: (i64, i64),
        limit: u32,
    ) -> Result<Vec<ReflogRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        args.push(after.0);
        args.push(after.1);
        args.push(i64::from(limit));
        let rows = if let Some(name) = name {
            args.push(name);
            let sql = "SELECT generation, ordinal, name, old, new, who, message, at_ms FROM reflog \
                       WHERE repo_id = $1 AND (generation, ordinal) > ($2, $3) AND name = $5 \
                       AND kind IS NULL \
                       ORDER BY generation, ordinal LIMIT $4";
            conn.fetch_all(sql, args).await?
        } else {
            let sql = "SELECT generation, ordinal, name, old, new, who, message, at_ms FROM reflog \
                       WHERE repo_id = $1 AND (generation, ordinal) > ($2, $3) AND kind IS NULL \
                       ORDER BY generation, ordinal LIMIT $4";
            conn.fetch_all(sql, args).await?
        };
        rows.iter()
            .map(|row| {
                Ok(ReflogRow {
                    generation: row.get(0)?,
                    ordinal: row.get(1)?,
                    name: row.get(2)?,
                    old: row.get(3)?,
                    new: row.get(4)?,
                    who: row.get(5)?,
                    message: row.get(6)?,
                    at_ms: row.get(7)?,
                })
            })
            .collect()
    }
}
