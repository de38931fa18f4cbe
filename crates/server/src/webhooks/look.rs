//! Looking into the catalog: which webhooks there are, which queues are due, what nobody was told of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use packhouse_catalog::{Catalog, CatalogError, HookId, OrgId, RepoId};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::counters::WebhookCounters;
use super::options::WebhookOptions;
use super::ready::Key;

/// Queues read at a time.
const PAGE: u32 = 1000;

/// Looks at what is due between two looks at everything else.
const DUE_LOOKS: u32 = 2;

/// Longest pause after the catalog failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Webhooks by organisation, each with the repository it is for if that is one alone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Targets(pub(super) HashMap<OrgId, Vec<(HookId, Option<RepoId>)>>);

/// What looking found.
#[derive(Debug)]
pub(super) enum Found {
    Targets(Targets),
    Due(Vec<Key>),
}

pub(super) fn channel() -> (mpsc::Sender<Found>, mpsc::Receiver<Found>) {
    mpsc::channel(16)
}

/// Looks now and then.
pub(super) struct Look {
    pub(super) catalog: Catalog,
    pub(super) options: WebhookOptions,
    pub(super) counters: WebhookCounters,
    /// Webhooks were created or deleted here.
    pub(super) changed: Arc<Notify>,
    pub(super) found: mpsc::Sender<Found>,
}

impl Look {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut targets = Targets::default();
        let mut failures = 0;
        loop {
            match self.look(&mut targets).await {
                Ok(()) => failures = 0,
                Err(CatalogError::Closed) => return,
                Err(error) => {
                    tracing::warn!(
                        error = crate::error::chain(&error),
                        "could not look for webhooks to deliver"
                    );
                    failures += 1;
                }
            }
            let pause = (self.options.poll * (1 + failures)).min(LONGEST_PAUSE);
            for _ in 0..DUE_LOOKS {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.changed.notified() => break,
                    () = tokio::time::sleep(pause) => {}
                }
                if failures == 0
                    && !targets.0.is_empty()
                    && let Err(error) = self.look_for_due().await
                {
                    tracing::warn!(
                        error = crate::error::chain(&error),
                        "could not look for webhooks to deliver"
                    );
                }
            }
        }
    }

    /// Looks at everything.
    async fn look(&self, targets: &mut Targets) -> Result<(), CatalogError> {
        let mut now = Targets::default();
        for (hook, org, repo) in self.catalog.hook_targets().await? {
            now.0.entry(org).or_default().push((hook, repo));
        }
        if now != *targets {
            targets.clone_from(&now);
            self.tell(Found::Targets(now)).await;
        }
        if targets.0.is_empty() {
            self.counters.queues.set(0);
            self.counters.overdue_seconds.set(0);
            return Ok(());
        }
        self.scan().await?;
        self.look_for_due().await?;
        let (queues, longest) = self.catalog.waiting_queues().await?;
        let overdue_ms = longest.map_or(0, |due| self.options.clock.now_ms() - due);
        self.counters.queues.set(queues);
        self.counters.overdue_seconds.set(overdue_ms.max(0) / 1000);
        Ok(())
    }

    /// Marks the queues of all that happened since the last scan, by whichever node.
    async fn scan(&self) -> Result<(), CatalogError> {
        for (org, mut after) in self.catalog.orgs_to_scan().await? {
            loop {
                let scan = self.catalog.scan_events(org, after).await?;
                let now_ms = self.options.clock.now_ms();
                self.catalog.record_scan(&scan, now_ms).await?;
                after = scan.through;
                if !scan.has_more {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn look_for_due(&self) -> Result<(), CatalogError> {
        let now_ms = self.options.clock.now_ms();
        let due = self.catalog.due_queues(now_ms, PAGE).await?;
        if !due.is_empty() {
            self.tell(Found::Due(due)).await;
        }
        Ok(())
    }

    async fn tell(&self, found: Found) {
        // Nobody there: the server is stopping.
        let _ = self.found.send(found).await;
    }
}
