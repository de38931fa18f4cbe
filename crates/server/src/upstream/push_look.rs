//! Asking for the sync of repositories whose branches and tags go to their upstream, when those were written to.
//!
//! What this process commits is asked for at once. What another node committed and did not come to ask for is found by
//! looking: the catalog knows what moved, so nothing is forgotten, whoever dies.

use std::collections::HashMap;
use std::time::Duration;

use packhouse_catalog::{Catalog, CatalogError, Changes, OrgId, RepoId};
use tokio_util::sync::CancellationToken;

use super::push_job;
use crate::error::chain;
use crate::jobs::JobQueue;

/// Asks, until it is told to stop.
pub(crate) struct PushLook {
    pub(crate) catalog: Catalog,
    pub(crate) queue: JobQueue,
    /// How often to look for what others left.
    pub(crate) every: Duration,
}

impl PushLook {
    pub(crate) async fn run(self, mut changes: Changes, stop: CancellationToken) {
        // The repositories whose refs go to an upstream: a few bytes each.
        let mut known = HashMap::new();
        loop {
            match self.look(&mut known).await {
                Ok(()) => {}
                Err(CatalogError::Closed) => return,
                Err(error) => tracing::warn!(
                    error = chain(&error),
                    "could not look for what is to be pushed to upstreams"
                ),
            }
            let next_look = tokio::time::sleep(self.every);
            tokio::pin!(next_look);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut next_look => break,
                    change = changes.next() => match change {
                        Ok(Some(change)) if known.contains_key(&change.repo) => {
                            self.ask(change.org, change.repo).await;
                        }
                        Ok(Some(_)) => {}
                        // Some were missed.
                        Ok(None) => break,
                        Err(_) => return,
                    },
                }
            }
        }
    }

    async fn look(&self, known: &mut HashMap<RepoId, OrgId>) -> Result<(), CatalogError> {
        let found = self.catalog.push_through_repos().await?;
        *known = found.iter().map(|found| (found.repo, found.org)).collect();
        for found in found.iter().filter(|found| found.has_changed) {
            self.ask(found.org, found.repo).await;
        }
        Ok(())
    }

    async fn ask(&self, org: OrgId, repo: RepoId) {
        let now_ms = self.queue.now_ms();
        let job = push_job(org, repo, now_ms);
        match self.catalog.ask_push(repo, job, now_ms).await {
            Ok(true) => self.queue.wake(),
            Ok(false) => {}
            // The next look finds it again.
            Err(error) => tracing::warn!(
                error = chain(&error),
                "could not ask for a push to an upstream"
            ),
        }
    }
}
