//! Sweeping the rows of deleted repositories, some at a time.
//!
//! What stays: the repository's own row, which names it where its history is shown, and its moves in the reflog. Events
//! that moved no ref go with the retention of events.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::dialect::Row;
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, SweepWork};
use crate::{Catalog, CatalogError};

/// A deleted repository whose rows are still there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeletedRepo {
    /// Its id.
    pub id: RepoId,
    /// Whose it was.
    pub org: OrgId,
    /// Its name.
    pub name: String,
    /// When it was deleted.
    pub deleted_at_ms: i64,
}

/// What one step removed.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct SweptRows {
    /// Rows.
    pub rows: u64,
    /// There is nothing more that can be removed now.
    pub is_last: bool,
    /// A job runs, or a webhook is still to be told: come again later.
    pub is_busy: bool,
}

/// Tail rows removed at a time: they may be large.
pub(crate) const TAIL_ROWS: i64 = 32;

/// What removes tail rows of repository `$1`, `$2` at most.
pub(crate) const TAIL: &str = "DELETE FROM tail WHERE repo_id = $1 AND generation IN \
     (SELECT generation FROM tail WHERE repo_id = $1 ORDER BY generation LIMIT $2)";

/// What removes rows of repository `$1` from each other table, `$2` at most. The hooks go last: what is left of their
/// queues is found through them.
pub(crate) const TABLES: [&str; 9] = [
    "DELETE FROM refs WHERE repo_id = $1 AND name IN \
     (SELECT name FROM refs WHERE repo_id = $1 LIMIT $2)",
    "DELETE FROM packs WHERE repo_id = $1 AND key IN \
     (SELECT key FROM packs WHERE repo_id = $1 LIMIT $2)",
    "DELETE FROM upstream_refs WHERE repo_id = $1 AND name IN \
     (SELECT name FROM upstream_refs WHERE repo_id = $1 LIMIT $2)",
    "DELETE FROM upstreams WHERE repo_id = $1 AND CAST($2 AS BIGINT) > 0",
    "DELETE FROM git_credentials WHERE repo_id = $1 AND CAST($2 AS BIGINT) > 0",
    // One that runs ends by itself.
    "DELETE FROM jobs WHERE id IN \
     (SELECT id FROM jobs WHERE repo_id = $1 AND state <> 1 LIMIT $2)",
    "DELETE FROM deliveries WHERE (hook_id, repo_id, generation, ordinal) IN \
     (SELECT d.hook_id, d.repo_id, d.generation, d.ordinal FROM deliveries AS d \
     WHERE d.repo_id = $1 AND d.hook_id IN (SELECT h.id FROM hooks AS h JOIN repos AS r \
     ON r.org_id = h.org_id WHERE r.id = $1) LIMIT $2)",
    // Those with something to deliver, the deletion for one, have it delivered first.
    "DELETE FROM hook_queues WHERE (hook_id, repo_id) IN \
     (SELECT q.hook_id, q.repo_id FROM hook_queues AS q \
     WHERE q.repo_id = $1 AND q.due_at_ms IS NULL AND q.hook_id IN \
     (SELECT h.id FROM hooks AS h JOIN repos AS r ON r.org_id = h.org_id WHERE r.id = $1) \
     LIMIT $2)",
    "DELETE FROM hooks WHERE id IN \
     (SELECT h.id FROM hooks AS h JOIN repos AS r ON r.org_id = h.org_id AND r.id = h.repo_id \
     WHERE r.id = $1 AND NOT EXISTS (SELECT 1 FROM hook_queues AS q \
     WHERE q.hook_id = h.id) LIMIT $2)",
];

const SELECT_LIVE: Bulk = Bulk {
    head: "SELECT r.id FROM (VALUES ",
    columns: &[Kind::Int],
    foot: ") AS v JOIN repos AS r ON r.id = v.column1 AND r.deleted_at_ms IS NULL",
    lock: "",
};

/// A page of deleted repositories.
const SELECT_DELETED: &str = "SELECT id, org_id, name, deleted_at_ms FROM repos \
     WHERE deleted_at_ms IS NOT NULL AND swept_at_ms IS NULL \
     AND deleted_at_ms <= $1 AND (deleted_at_ms, id) > ($2, $3) \
     ORDER BY deleted_at_ms, id LIMIT $4";

impl Catalog {
    /// Repositories deleted at `by_ms` or before whose rows are still there, in the order of their deletion; only those
    /// after `after` (a time of deletion and an id), at most `limit`.
    pub async fn deleted_repos(
        &self,
        by_ms: i64,
        after: (i64, RepoId),
        limit: u32,
    ) -> Result<Vec<DeletedRepo>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(by_ms);
        args.push(after.0);
        args.push(after.1.0);
        args.push(i64::from(limit));
        let rows = conn.fetch_all(SELECT_DELETED, args).await?;
        let read = |row: &Row| {
            Ok(DeletedRepo {
                id: RepoId(row.get(0)?),
                org: OrgId(row.get(1)?),
                name: row.get(2)?,
                deleted_at_ms: row.get(3)?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Removes rows of a deleted repository, about `limit` at most, in one transaction. A repository that is not
    /// deleted loses none.
    pub async fn sweep_repo(
        &self,
        repo: RepoId,
        limit: u32,
        now_ms: i64,
    ) -> Result<SweptRows, CatalogError> {
        let work = SweepWork::Rows {
            repo,
            limit,
            now_ms,
        };
        match self.submit(repo, work.into()).await? {
            Done::Swept(swept) => Ok(swept),
            _ => Ok(SweptRows {
                is_last: true,
                ..SweptRows::default()
            }),
        }
    }

    /// Which of these repositories are there and not deleted.
    pub async fn live_repos(&self, repos: &[RepoId]) -> Result<Vec<RepoId>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut list = List::new(conn.dialect(), &SELECT_LIVE);
        for repo in repos {
            list.row(|row| {
                row.push(repo.0);
            });
        }
        let rows = list.fetch(&mut conn, &mut Texts::default()).await?;
        let ids: Result<_, sqlx::Error> = rows.iter().map(|row| row.get(0).map(RepoId)).collect();
        Ok(ids?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Sql;
    use crate::open::Place;

    /// Every statement finds its rows by an index: the cost of a sweep follows what it removes.
    #[tokio::test]
    async fn no_statement_reads_a_table_through() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let mut owned = Place::parse(&url).unwrap().connect_writer().await.unwrap();
        crate::migrate::run(&mut owned).await.unwrap();
        let mut conn = owned.conn();
        for text in TABLES.into_iter().chain([TAIL, SELECT_DELETED]) {
            let explain = Sql::Built(format!("EXPLAIN QUERY PLAN {text}").into());
            let args = conn.args();
            for step in conn.fetch_all(explain, args).await.unwrap() {
                let step: String = step.get(3).unwrap();
                assert!(!step.starts_with("SCAN"), "{step}: {text}");
            }
        }
    }
}
