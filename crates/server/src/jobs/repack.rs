//! Repacks as jobs: one for each repository whose packs are due.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use packhouse_catalog::{CatalogError, JobRow, NewJob, RepoId};
use packhouse_repo::{Hosted, RepackHow, RepoError};
use tokio_util::sync::CancellationToken;

use super::{JobError, JobHandler, JobQueue};

const KIND: &str = "repack";
/// How long a repack waits for what else is pushed meanwhile.
const SETTLE: Duration = Duration::from_secs(5);
/// How long one that fails is tried again; the next push asks for another.
const GIVE_UP: Duration = Duration::from_secs(3600);
/// How long to wait after the catalog failed.
const CATALOG_PAUSE: Duration = Duration::from_secs(5);

/// Repacks.
pub(crate) struct RepackHandler {
    pub(crate) hosted: Arc<Hosted>,
}

#[async_trait]
impl JobHandler for RepackHandler {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn at_once(&self) -> usize {
        1
    }

    async fn run(&self, job: &JobRow, stop: &CancellationToken) -> Result<(), JobError> {
        let Some(repo) = job.repo else {
            return Err(JobError::GiveUp("it names no repository".to_owned()));
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let repack = self
            .hosted
            .repack(repo, RepackHow::WhenDue, stopped.clone());
        tokio::pin!(repack);
        let repacked = tokio::select! {
            repacked = &mut repack => repacked,
            () = stop.cancelled() => {
                stopped.store(true, Ordering::Relaxed);
                repack.await
            }
        };
        match repacked {
            Ok(Some(report)) => {
                tracing::info!(repo = repo.0, ?report, "repacked");
                Ok(())
            }
            // Nothing to do any more.
            Ok(None) | Err(RepoError::Gone) => Ok(()),
            Err(RepoError::Stopped) => Err(JobError::Stopped),
            Err(error) => Err(JobError::Retry(crate::error::chain(&error))),
        }
    }
}

/// Asks for a job for every repository whose packs are due, until told to stop.
pub(crate) async fn ask_when_due(queue: JobQueue, hosted: Arc<Hosted>, stop: CancellationToken) {
    loop {
        let due = tokio::select! {
            () = stop.cancelled() => return,
            due = hosted.repacks_due() => due,
        };
        for repo in due {
            if let Err(error) = ask(&queue, &hosted, repo).await {
                tracing::warn!(repo = repo.0, %error, "could not ask for a repack");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(CATALOG_PAUSE) => {}
                }
            }
        }
    }
}

async fn ask(queue: &JobQueue, hosted: &Hosted, repo: RepoId) -> Result<(), CatalogError> {
    let Some(row) = hosted.catalog().repo_by_id(repo).await? else {
        return Ok(());
    };
    let job = NewJob {
        kind: KIND,
        key: repo.0.to_string(),
        org: row.org,
        repo: Some(repo),
        payload: "{}".to_owned(),
        payload_if_pending: None,
        due_at_ms: queue.now_ms().saturating_add(super::millis(SETTLE)),
        give_up_ms: super::millis(GIVE_UP),
    };
    queue.enqueue(job).await?;
    Ok(())
}
