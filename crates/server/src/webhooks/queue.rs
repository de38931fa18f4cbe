//! Working on one queue: the events of one repository for one webhook, in order.

use std::sync::Arc;
use std::time::Duration;

use packhouse_catalog::{
    Catalog, CatalogError, Delivery, DeliveryState, Event, Hook, HookId, Lease, Progress, Release,
    RepoId,
};
use tokio_util::sync::CancellationToken;

use super::attempt::Sender;
use super::backoff::pause_ms;
use super::counters::{Outcome, WebhookCounters};
use super::options::{WebhookOptions, millis};
use crate::events::{Message, is_wanted, message};

/// Events read at a time.
const PAGE: u32 = 64;

/// Deliveries that may be unrecorded: so many may be repeated if this node ends without warning.
const UNRECORDED: usize = 32;

/// How long a delivery may be unrecorded when there is another after it.
const UNRECORDED_MS: i64 = 1000;

/// How long a queue is worked on before others have their turn.
const TURN_MS: i64 = 30_000;

/// A queue is not given back for a shorter pause.
const SHORT_PAUSE_MS: i64 = 1000;

/// What works on queues.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) catalog: Catalog,
    pub(super) sender: Arc<Sender>,
    pub(super) options: WebhookOptions,
    pub(super) counters: WebhookCounters,
    /// This node, as others see it.
    pub(super) holder: String,
    pub(super) stop: CancellationToken,
}

/// A queue that is held.
struct Held<'w> {
    worker: &'w Worker,
    hook: Hook,
    repo: RepoId,
    repo_name: String,
    org_name: String,
    done: (i64, i64),
    failures: i64,
    /// When the event that is next failed first.
    failing_since_ms: Option<i64>,
    until_ms: i64,
    unrecorded: Vec<Delivery>,
    recorded_ms: i64,
    /// When this turn ends, so that others have theirs.
    turn_ends_ms: i64,
}

/// How a turn ended.
enum End {
    /// Everything is delivered.
    Empty,
    /// There is more, to be gone on with at that time.
    More { at_ms: i64 },
    /// Another node has taken the queue, or the webhook is deleted.
    Lost,
}

impl Worker {
    /// Takes the queue, if it is there to be taken, and delivers what waits in it.
    pub(super) async fn work(&self, hook: HookId, repo: RepoId) {
        if self.stop.is_cancelled() {
            return;
        }
        if let Err(error) = self.try_work(hook, repo).await {
            // The lease ends, and somebody tries again.
            tracing::warn!(
                %hook,
                %repo,
                error = crate::error::chain(&error),
                "could not work on a webhook's queue"
            );
        }
    }

    async fn try_work(&self, hook: HookId, repo: RepoId) -> Result<(), CatalogError> {
        let now_ms = self.options.clock.now_ms();
        let until_ms = now_ms + millis(self.options.lease);
        let lease = Lease {
            holder: self.holder.clone(),
            now_ms,
            until_ms,
        };
        let Some(queue) = self.catalog.hold_queue(hook, repo, lease).await? else {
            return Ok(());
        };
        let Some(hook) = self.catalog.hook(hook).await? else {
            return Ok(());
        };
        let names = self.catalog.repo_names(repo).await?;
        let Some((org_name, repo_name)) = names else {
            // It has been removed with all it had.
            let progress = Progress {
                hook: hook.id,
                repo,
                holder: self.holder.clone(),
                done: queue.done,
                failures: 0,
                failing_since_ms: None,
                release: Release::Idle { now_ms },
                deliveries: Vec::new(),
            };
            return self.catalog.record_progress(progress).await.map(|_| ());
        };
        let done = match queue.done {
            (-1, _) => self.catalog.queue_start(repo, hook.start_tick).await?,
            done => done,
        };
        let mut held = Held {
            worker: self,
            hook,
            repo,
            repo_name,
            org_name,
            done,
            failures: queue.failures,
            failing_since_ms: queue.failing_since_ms,
            until_ms,
            unrecorded: Vec::new(),
            recorded_ms: now_ms,
            turn_ends_ms: now_ms + TURN_MS,
        };
        let end = held.deliver().await?;
        held.release(end).await
    }
}

impl Held<'_> {
    async fn deliver(&mut self) -> Result<End, CatalogError> {
        loop {
            let events = self
                .worker
                .catalog
                .repo_events(self.repo, self.done, PAGE)
                .await?;
            if events.is_empty() {
                return Ok(End::Empty);
            }
            for event in events {
                if let Some(end) = self.deliver_event(&event).await? {
                    return Ok(end);
                }
                self.done = (event.position.generation, event.position.ordinal);
                self.failures = 0;
                self.failing_since_ms = None;
            }
        }
    }

    /// Delivers an event, or gives it up; or says how the turn ends.
    async fn deliver_event(&mut self, event: &Event) -> Result<Option<End>, CatalogError> {
        loop {
            let now_ms = self.worker.options.clock.now_ms();
            if self.worker.stop.is_cancelled() || now_ms >= self.turn_ends_ms {
                return Ok(Some(End::More { at_ms: now_ms }));
            }
            if !self.may_send(now_ms).await? {
                return Ok(Some(End::Lost));
            }
            let message = message(event, &self.repo_name, &self.org_name);
            if !is_wanted(&self.hook.events, &message.kind) {
                return Ok(None);
            }
            // Who has deleted the webhook is told nothing more, whatever was under way.
            if self.worker.catalog.hook(self.hook.id).await?.is_none() {
                return Ok(Some(End::Lost));
            }
            let Some(pause_ms) = self.attempt(event, &message).await else {
                return Ok(None);
            };
            if pause_ms > SHORT_PAUSE_MS {
                let at_ms = self.worker.options.clock.now_ms() + pause_ms;
                return Ok(Some(End::More { at_ms }));
            }
            // Not worth giving the queue back for.
            let pause = Duration::from_millis(pause_ms.unsigned_abs());
            tokio::select! {
                () = self.worker.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Whether the queue is surely held until the next attempt is over; records what was done if it is time to.
    async fn may_send(&mut self, now_ms: i64) -> Result<bool, CatalogError> {
        let options = &self.worker.options;
        let sent_by = now_ms + millis(options.timeout);
        let is_recorded = self.unrecorded.is_empty()
            || (self.unrecorded.len() < UNRECORDED && now_ms - self.recorded_ms < UNRECORDED_MS);
        if is_recorded && sent_by < self.until_ms {
            return Ok(true);
        }
        let until_ms = now_ms + millis(options.lease);
        if now_ms >= self.until_ms || !self.record(Release::Hold { until_ms }).await? {
            return Ok(false);
        }
        self.until_ms = until_ms;
        self.recorded_ms = now_ms;
        Ok(true)
    }

    /// Sends an event. How long to wait before the next attempt, if there shall be one.
    async fn attempt(&mut self, event: &Event, message: &Message) -> Option<i64> {
        let worker = self.worker;
        let options = &worker.options;
        let mut delivery = worker
            .sender
            .send(&self.hook, event, message, &options.clock)
            .await;
        let now_ms = options.clock.now_ms();
        if delivery.state == DeliveryState::Delivered {
            worker.counters.attempted(Outcome::Delivered);
            let delay_ms = (now_ms - event.at_ms).max(0);
            worker.counters.delay.observe(delay_ms as f64 / 1000.0);
            self.note(delivery);
            return None;
        }
        // Not by the age of the event: one that waited behind another, or is replayed, has as long as a new one.
        let since_ms = *self.failing_since_ms.get_or_insert(now_ms);
        if now_ms - since_ms >= millis(options.give_up) {
            worker.counters.attempted(Outcome::GivenUp);
            tracing::warn!(hook = %self.hook.id, repo = %self.repo, "gave up delivering an event");
            delivery.state = DeliveryState::Failed;
            self.note(delivery);
            return None;
        }
        worker.counters.attempted(Outcome::Failed);
        self.note(delivery);
        self.failures += 1;
        Some(pause_ms(options, self.failures, random()))
    }

    /// Keeps an attempt for the log, with those before it at the same event.
    fn note(&mut self, mut delivery: Delivery) {
        let same = |before: &mut Delivery| {
            (before.generation, before.ordinal) == (delivery.generation, delivery.ordinal)
        };
        if let Some(before) = self.unrecorded.pop_if(same) {
            delivery.attempts += before.attempts;
        }
        self.unrecorded.push(delivery);
    }

    async fn release(mut self, end: End) -> Result<(), CatalogError> {
        let now_ms = self.worker.options.clock.now_ms();
        match end {
            End::Lost => {}
            End::Empty => {
                self.record(Release::Idle { now_ms }).await?;
            }
            End::More { at_ms } => {
                self.record(Release::Due { at_ms }).await?;
            }
        }
        Ok(())
    }

    /// Records how far it got. False: the queue is held no longer.
    async fn record(&mut self, release: Release) -> Result<bool, CatalogError> {
        let progress = Progress {
            hook: self.hook.id,
            repo: self.repo,
            holder: self.worker.holder.clone(),
            done: self.done,
            failures: self.failures,
            failing_since_ms: self.failing_since_ms,
            release,
            deliveries: std::mem::take(&mut self.unrecorded),
        };
        self.worker.catalog.record_progress(progress).await
    }
}

/// A number from 0 to 1.
fn random() -> f64 {
    f64::from(rand::random::<u16>()) / f64::from(u16::MAX)
}
