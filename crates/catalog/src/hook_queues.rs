//! Queues: for each hook and repository, how far its events have been delivered.
//!
//! A queue is held by one node at a time, for as long as its lease says, so events of a repository go out in order. What
//! is due is found in two ways. The node that commits a change is told at once and takes the queues of the repository's
//! hooks. And every node *scans* now and then: it reads which repositories had events since the last scan of their
//! organisation and marks their queues, so that nothing waits for a node that is gone.

use crate::deliveries::Delivery;
use crate::events::horizon;
use crate::ids::{HookId, OrgId, RepoId};
use crate::lane::{Done, HookWork};
use crate::{Catalog, CatalogError, text};

/// Who wants to hold a queue, and until when.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Name of the node; no two have the same.
    pub holder: String,
    /// The time.
    pub now_ms: i64,
    /// When others may take it over.
    pub until_ms: i64,
}

/// A queue that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldQueue {
    /// The last event that is done with: generation and ordinal. Generation -1: none was, and where to start is for
    /// [`Catalog::queue_start`] to say.
    pub done: (i64, i64),
    /// How often in a row the next event failed.
    pub failures: i64,
    /// When it failed first, if it did.
    pub failing_since_ms: Option<i64>,
}

/// How far a holder got.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The hook.
    pub hook: HookId,
    /// The repository.
    pub repo: RepoId,
    /// Who holds the queue.
    pub holder: String,
    /// The last event that is done with.
    pub done: (i64, i64),
    /// How often in a row the next event failed.
    pub failures: i64,
    /// When it failed first, if it did.
    pub failing_since_ms: Option<i64>,
    /// What becomes of the queue.
    pub release: Release,
    /// What was tried, for the log.
    pub deliveries: Vec<Delivery>,
}

/// What becomes of a queue.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Release {
    /// It is held on until then.
    Hold {
        /// End of the lease.
        until_ms: i64,
    },
    /// Somebody shall go on, at this time.
    Due {
        /// When.
        at_ms: i64,
    },
    /// Nothing waits, unless a scan knows of something that the holder did not see.
    Idle {
        /// The time.
        now_ms: i64,
    },
}

/// Which repositories of an organisation had events, for their queues.
#[derive(Clone, Debug)]
pub struct HookScan {
    /// The organisation.
    pub org: OrgId,
    /// Everything up to this tick has been seen.
    pub through: i64,
    /// Repositories with the newest generation that has an event.
    pub repos: Vec<(RepoId, i64)>,
    /// Whether there is more to scan at once.
    pub has_more: bool,
}

impl Catalog {
    /// Takes a queue, making it if there is none. `None` if another holds it, if it is not due yet, or if the hook is
    /// gone.
    pub async fn hold_queue(
        &self,
        hook: HookId,
        repo: RepoId,
        lease: Lease,
    ) -> Result<Option<HeldQueue>, CatalogError> {
        text::check("lease holder", &lease.holder, 1024)?;
        let work = HookWork::Hold { hook, repo, lease };
        match self.submit_hook(work).await? {
            Done::Held(held) => Ok(held),
            _ => Ok(None),
        }
    }

    /// Records how far a holder got, and what it tried. False if it holds the queue no longer: then nothing was
    /// recorded, and it must stop.
    pub async fn record_progress(&self, mut progress: Progress) -> Result<bool, CatalogError> {
        for delivery in &mut progress.deliveries {
            delivery.make_storable();
        }
        let work = HookWork::Progress(progress);
        Ok(self.submit_hook(work).await? == Done::Changed(true))
    }

    /// Where a queue starts that has delivered nothing: the last event of the repository that is not for the hook.
    pub async fn queue_start(
        &self,
        repo: RepoId,
        start_tick: i64,
    ) -> Result<(i64, i64), CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        args.push(start_tick);
        // Backwards: what is newer than the hook is little, or about to be delivered anyway.
        let sql = "SELECT generation, ordinal FROM reflog \
                   WHERE repo_id = $1 AND (tick IS NULL OR tick <= $2) \
                   ORDER BY generation DESC, ordinal DESC LIMIT 1";
        let row = conn.fetch_optional(sql, args).await?;
        Ok(match row {
            Some(row) => (row.get(0)?, row.get(1)?),
            None => (-1, 0),
        })
    }

    /// Queues that are due and that nobody holds, longest due first, at most `limit`.
    pub async fn due_queues(
        &self,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<(HookId, RepoId)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(now_ms);
        args.push(i64::from(limit));
        let sql = "SELECT q.hook_id, q.repo_id FROM hook_queues AS q \
                   JOIN hooks AS h ON h.id = q.hook_id \
                   WHERE q.due_at_ms <= $1 AND q.held_until_ms <= $1 \
                   ORDER BY q.due_at_ms LIMIT $2";
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter()
            .map(|row| Ok((HookId(row.get(0)?), RepoId(row.get(1)?))))
            .collect()
    }

    /// How many queues have something to deliver, and since when the one that is due longest is.
    pub async fn waiting_queues(&self) -> Result<(i64, Option<i64>), CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        let sql = "SELECT COUNT(*), MIN(due_at_ms) FROM hook_queues WHERE due_at_ms IS NOT NULL";
        let row = conn.fetch_optional(sql, args).await?;
        let row = row.ok_or(sqlx::Error::RowNotFound)?;
        Ok((row.get(0)?, row.get(1)?))
    }

    /// Organisations with hooks that have events since their last scan, and that scan's tick.
    pub async fn orgs_to_scan(&self) -> Result<Vec<(OrgId, i64)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        let sql = "SELECT s.org_id, s.tick FROM hook_scans AS s WHERE EXISTS \
                   (SELECT 1 FROM reflog AS l WHERE l.org_id = s.org_id AND l.tick > s.tick)";
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter()
            .map(|row| Ok((OrgId(row.get(0)?), row.get(1)?)))
            .collect()
    }

    /// Reads which repositories had events after a tick.
    pub async fn scan_events(&self, org: OrgId, after: i64) -> Result<HookScan, CatalogError> {
        /// More than the repositories of one transaction, so that a page holds at least one tick.
        const PAGE: i64 = 2048;
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        // What is at or above it is seen now, and looked at again: something may yet appear beside it.
        let horizon = horizon(&mut conn).await?;
        let mut args = conn.args();
        args.push(org.0);
        args.push(after);
        args.push(PAGE);
        let sql = "SELECT tick, repo_id, MAX(generation) FROM reflog \
                   WHERE org_id = $1 AND tick > $2 GROUP BY tick, repo_id \
                   ORDER BY tick, repo_id LIMIT $3";
        let rows = conn.fetch_all(sql, args).await?;
        let mut repos = std::collections::BTreeMap::new();
        let mut last = after;
        for row in &rows {
            last = row.get(0)?;
            let newest = repos.entry(RepoId(row.get(1)?)).or_insert(-1);
            *newest = row.get::<i64>(2)?.max(*newest);
        }
        let has_more = rows.len() as i64 == PAGE;
        let seen = if has_more { last - 1 } else { last };
        let through = seen.min(horizon.saturating_sub(1)).max(after);
        Ok(HookScan {
            org,
            has_more: has_more && through > after,
            through,
            repos: repos.into_iter().collect(),
        })
    }

    /// Marks the queues of what a scan saw, and records how far it got.
    pub async fn record_scan(&self, scan: &HookScan, now_ms: i64) -> Result<(), CatalogError> {
        let work = HookWork::Scanned {
            org: scan.org,
            through: scan.through,
            repos: scan.repos.clone(),
            now_ms,
        };
        self.submit_hook(work).await?;
        Ok(())
    }

    /// Has a hook deliver again everything after a tick, in order, and whatever waits. False if the hook is gone.
    pub async fn replay_hook(
        &self,
        org: OrgId,
        id: HookId,
        after_tick: i64,
        now_ms: i64,
    ) -> Result<bool, CatalogError> {
        let work = HookWork::Replay {
            org,
            id,
            after_tick,
            now_ms,
        };
        Ok(self.submit_hook(work).await? == Done::Changed(true))
    }
}
