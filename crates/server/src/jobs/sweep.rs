//! The sweep as a job: one for all servers of a catalog, again and again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use packhouse_catalog::{CatalogError, JobRow, NewJob, OrgId};
use packhouse_repo::{Hosted, RepoError, SweepOptions, SweepReport, SweepWatch};
use tokio_util::sync::CancellationToken;

use super::{JobError, JobHandler, JobQueue};

const KIND: &str = "sweep";
/// There is one sweep.
const KEY: &str = "all";
/// It is nobody's: no organisation has this id.
const NOBODY: OrgId = OrgId(0);
/// How long a sweep that fails is tried again before the next one is waited for.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// When and how a server sweeps.
#[derive(Clone, Debug)]
pub struct Sweeping {
    /// From the end of one sweep to the next.
    pub every: Duration,
    /// How.
    pub options: SweepOptions,
}

impl Default for Sweeping {
    /// Four times a day.
    fn default() -> Sweeping {
        Sweeping {
            every: Duration::from_secs(6 * 3600),
            options: SweepOptions::default(),
        }
    }
}

/// Sweeps.
pub(crate) struct SweepHandler {
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) options: SweepOptions,
}

struct Watch<'a>(&'a CancellationToken);

impl SweepWatch for Watch<'_> {
    fn swept(&self, report: &SweepReport) {
        tracing::debug!(?report, "sweeping");
    }

    fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }
}

#[async_trait]
impl JobHandler for SweepHandler {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn at_once(&self) -> usize {
        1
    }

    async fn run(&self, _: &JobRow, stop: &CancellationToken) -> Result<(), JobError> {
        match self.hosted.sweep(&self.options, &Watch(stop)).await {
            Ok(report) => {
                let done = report.objects + report.repositories + report.keys;
                if done + report.failed + report.audit_entries > 0 {
                    tracing::info!(
                        objects = report.objects,
                        repositories = report.repositories,
                        rows = report.rows,
                        keys = report.keys,
                        bytes = report.bytes,
                        waiting = report.waiting,
                        failed = report.failed,
                        audit_entries = report.audit_entries,
                        "swept"
                    );
                }
                match report.failed {
                    0 => Ok(()),
                    failed => Err(JobError::Retry(format!(
                        "{failed} keys could not be deleted from the bucket"
                    ))),
                }
            }
            Err(RepoError::Stopped) => Err(JobError::Stopped),
            Err(error) => Err(JobError::Retry(crate::error::chain(&error))),
        }
    }
}

/// Sees to it that there is always a next sweep, until told to stop. Every server does so; there is one job all the same.
pub(crate) async fn schedule(queue: JobQueue, every: Duration, stop: CancellationToken) {
    /// How long after a sweep the next one is asked for, at most.
    const LOOK: Duration = Duration::from_secs(60);
    loop {
        if let Err(error) = ask(&queue, every).await {
            tracing::warn!(%error, "could not ask for the next sweep");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every.min(LOOK)) => {}
        }
    }
}

async fn ask(queue: &JobQueue, every: Duration) -> Result<(), CatalogError> {
    let every_ms = super::millis(every);
    let now_ms = queue.now_ms();
    let latest_ms = now_ms.saturating_add(every_ms);
    let due_at_ms = match queue.catalog().job(KIND, KEY).await? {
        None => latest_ms,
        Some(job) => match (job.due_at_ms, job.finished_at_ms) {
            // It runs, or waits no longer than it should.
            (Some(due_at_ms), _) if due_at_ms <= latest_ms => return Ok(()),
            (None, Some(finished_ms)) => finished_ms.saturating_add(every_ms).max(now_ms),
            _ => latest_ms,
        },
    };
    let job = NewJob {
        kind: KIND,
        key: KEY.to_owned(),
        org: NOBODY,
        repo: None,
        payload: "{}".to_owned(),
        payload_if_pending: None,
        due_at_ms,
        give_up_ms: super::millis(GIVE_UP),
    };
    queue.enqueue(job).await?;
    Ok(())
}
