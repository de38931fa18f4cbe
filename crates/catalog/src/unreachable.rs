//! Packs of what no ref reached, set apart by full repacks.

use crate::dialect::Row;
use crate::ids::RepoId;
use crate::{Catalog, CatalogError};

/// What a repository has set apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnreachablePacks {
    /// The repository.
    pub repo: RepoId,
    /// Its name.
    pub name: String,
    /// Packs.
    pub packs: u64,
    /// Objects in them.
    pub objects: u64,
    /// Bytes of the packs.
    pub bytes: u64,
}

const SELECT: &str = "SELECT p.repo_id, r.name, COUNT(*), CAST(SUM(p.objects) AS BIGINT), \
     CAST(SUM(p.pack_bytes) AS BIGINT) FROM packs AS p JOIN repos AS r ON r.id = p.repo_id \
     WHERE p.apart_at_ms IS NOT NULL AND p.apart_at_ms <= $1 AND p.repo_id > $2 \
     AND r.deleted_at_ms IS NULL GROUP BY p.repo_id, r.name ORDER BY p.repo_id LIMIT $3";

impl Catalog {
    /// Repositories with packs that were set apart at `by_ms` or before, by id; only those after `after`, at most `limit`.
    pub async fn unreachable_packs(
        &self,
        by_ms: i64,
        after: RepoId,
        limit: u32,
    ) -> Result<Vec<UnreachablePacks>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(by_ms);
        args.push(after.0);
        args.push(i64::from(limit));
        let rows = conn.fetch_all(SELECT, args).await?;
        let count = |row: &Row, at| row.get::<i64>(at).map(i64::cast_unsigned);
        let read = |row: &Row| {
            Ok(UnreachablePacks {
                repo: RepoId(row.get(0)?),
                name: row.get(1)?,
                packs: count(row, 2)?,
                objects: count(row, 3)?,
                bytes: count(row, 4)?,
            })
        };
        rows.iter().map(read).collect()
    }
}
