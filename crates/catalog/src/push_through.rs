//! Repositories whose branches and tags go to their upstream as well.
//!
//! Which of them have something to push is never counted up front: a ref's row has the generation that moved it, and the
//! upstream's row has the generation whose refs the upstream has. So no move is lost, whatever dies when: whoever looks next
//! finds it.

use crate::dialect::Conn;
use crate::ids::{OrgId, RepoId};
use crate::jobs::{self, NewJob};
use crate::lane::{Done, PushWork, UpstreamWork};
use crate::upstreams::SeenRef;
use crate::{Catalog, CatalogError, text};

/// A repository whose branches and tags go to its upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PushThrough {
    /// The repository.
    pub repo: RepoId,
    /// Its organisation.
    pub org: OrgId,
    /// Whether it has changed since it was last looked at.
    pub has_changed: bool,
}

/// How a push to an upstream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushEnd {
    /// What the upstream has now, where that changed.
    pub refs: Vec<SeenRef>,
    /// The generation of the repository that was compared with the upstream.
    pub through: i64,
    /// Why some refs did not get there, for people; `None`: all did.
    pub error: Option<String>,
}

impl Catalog {
    /// The repositories whose branches and tags go to their upstream, on all nodes.
    pub async fn push_through_repos(&self) -> Result<Vec<PushThrough>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let sql = "SELECT r.id, r.org_id, \
                   CAST(CASE WHEN r.generation > u.push_seen THEN 1 ELSE 0 END AS BIGINT) \
                   FROM upstreams AS u JOIN repos AS r ON r.id = u.repo_id \
                   WHERE u.push_through = 1 AND r.deleted_at_ms IS NULL";
        let args = conn.args();
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter()
            .map(|row| {
                Ok(PushThrough {
                    repo: RepoId(row.get(0)?),
                    org: OrgId(row.get(1)?),
                    has_changed: row.get::<i64>(2)? != 0,
                })
            })
            .collect()
    }

    /// Has what is written to a repository go to its upstream as well, or no longer. `forget` names what the upstream had
    /// and the repository has not: it comes back with the next sync, where it would else be deleted there. False if
    /// nothing changed.
    pub async fn set_push_through(
        &self,
        repo: RepoId,
        on: bool,
        forget: Vec<Vec<u8>>,
    ) -> Result<bool, CatalogError> {
        let work = PushWork::Set { repo, on, forget };
        self.push_lane(work).await
    }

    /// Asks for `job` if branches or tags of a repository moved that nobody has looked at yet, in one transaction. False if
    /// none did, nothing goes to its upstream, or such a job is under way.
    pub async fn ask_push(
        &self,
        repo: RepoId,
        job: NewJob,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        jobs::check(&job)?;
        let work = PushWork::Ask { repo, job, now_ms };
        self.push_lane(work).await
    }

    /// Notes how a push to an upstream ended. False if the repository follows nothing any more.
    pub async fn end_push(
        &self,
        repo: RepoId,
        mut end: PushEnd,
        at_ms: i64,
    ) -> Result<bool, CatalogError> {
        end.error = end.error.map(text::storable);
        let work = PushWork::End { repo, end, at_ms };
        self.push_lane(work).await
    }

    /// Whether branches or tags of a repository moved after a generation.
    pub async fn has_moved_since(
        &self,
        repo: RepoId,
        generation: i64,
    ) -> Result<bool, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        Ok(has_moved(&mut conn, repo, generation).await?)
    }

    async fn push_lane(&self, work: PushWork) -> Result<bool, CatalogError> {
        let repo = match &work {
            PushWork::Set { repo, .. }
            | PushWork::Ask { repo, .. }
            | PushWork::End { repo, .. } => *repo,
        };
        let done = self.upstream_lane(repo, UpstreamWork::Push(work)).await?;
        Ok(matches!(done, Done::Changed(true)))
    }
}

/// Whether branches or tags of a repository moved after a generation; deleted ones leave rows, too.
pub(crate) async fn has_moved(
    conn: &mut Conn<'_>,
    repo: RepoId,
    generation: i64,
) -> Result<bool, sqlx::Error> {
    let mut args = conn.args();
    args.push(repo.0);
    args.push(generation);
    // The byte after `/` ends each range.
    args.push(&b"refs/heads/"[..]);
    args.push(&b"refs/heads0"[..]);
    args.push(&b"refs/tags/"[..]);
    args.push(&b"refs/tags0"[..]);
    let sql = "SELECT 1 FROM refs WHERE repo_id = $1 AND generation > $2 \
               AND ((name >= $3 AND name < $4) OR (name >= $5 AND name < $6)) LIMIT 1";
    Ok(conn.fetch_optional(sql, args).await?.is_some())
}
