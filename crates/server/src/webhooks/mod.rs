//! Webhooks: telling others' servers of events.
//!
//! What always holds:
//!
//! - The events of a repository reach a receiver in their order, each at least once, under an id that stays the same.
//!   An event is done with when the receiver answered 2xx, or when it fails [`WebhookOptions::give_up`] after it failed first,
//!   however old it was then.
//! - What is left to do is in the catalog. A node holds a lease while it works on a queue (one repository's events for
//!   one webhook); when it is gone, another takes over. A node that is told to stop gives its queues back.
//! - Memory is bounded: queues that wait are in the catalog, and only a bounded number of them in memory too.
//! - Receivers are reached through [`Egress`](packhouse_client::Egress) alone, and no URL or secret is logged.
//!
//! `dispatch` decides which queue is worked on next, `queue` works on one, `attempt` sends one event, `look` finds what is
//! due, `clean` drops what is old.

mod attempt;
mod backoff;
mod clean;
mod counters;
mod dispatch;
mod look;
mod options;
mod queue;
mod ready;
mod signature;

use std::sync::Arc;

use packhouse_catalog::{Catalog, Delivery, Event, Hook};
use packhouse_client::Egress;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use counters::WebhookCounters;
pub use options::{Clock, WebhookOptions};
pub(crate) use signature::new_secret;

use crate::events::Message;
use attempt::Sender;

/// What delivers, while the server runs.
#[derive(Debug)]
pub(crate) struct Webhooks {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    handle: WebhooksHandle,
}

/// For requests about webhooks.
#[derive(Clone, Debug)]
pub(crate) struct WebhooksHandle {
    sender: Arc<Sender>,
    clock: Clock,
    changed: Arc<Notify>,
}

impl Webhooks {
    /// Starts to deliver.
    pub(crate) fn start(
        catalog: Catalog,
        egress: Egress,
        options: WebhookOptions,
        counters: WebhookCounters,
    ) -> Result<Webhooks, reqwest::Error> {
        let sender = Arc::new(Sender::new(egress, options.timeout)?);
        let changed = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let handle = WebhooksHandle {
            sender: sender.clone(),
            clock: options.clock.clone(),
            changed: changed.clone(),
        };
        let (found, finds) = look::channel();
        let look = look::Look {
            catalog: catalog.clone(),
            options: options.clone(),
            counters: counters.clone(),
            changed,
            found,
        };
        let changes = catalog.changes();
        let clean = clean::run(catalog.clone(), options.clone(), stop.clone());
        let worker = Arc::new(queue::Worker {
            catalog,
            sender,
            options,
            counters,
            holder: uuid::Uuid::new_v4().to_string(),
            stop: stop.clone(),
        });
        let dispatch = dispatch::run(worker, changes, finds, stop.clone());
        let tasks = vec![
            tokio::spawn(look.run(stop.clone())),
            tokio::spawn(clean),
            tokio::spawn(dispatch),
        ];
        Ok(Webhooks {
            stop,
            tasks,
            handle,
        })
    }

    pub(crate) fn handle(&self) -> WebhooksHandle {
        self.handle.clone()
    }

    /// Finishes what is being sent, gives every queue back, and ends.
    pub(crate) async fn shutdown(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the webhooks ended badly");
            }
        }
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl WebhooksHandle {
    /// To be called when a webhook was created or deleted here.
    pub(crate) fn hooks_changed(&self) {
        self.changed.notify_one();
    }

    /// Sends one event once, beside the queue.
    pub(crate) async fn send_now(&self, hook: &Hook, event: &Event, message: &Message) -> Delivery {
        self.sender.send(hook, event, message, &self.clock).await
    }

    /// The time by which webhooks go.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}

/// The id of the delivery of `event` to `hook`: the same at every attempt.
pub(crate) fn delivery_id(
    hook: packhouse_catalog::HookId,
    event: packhouse_catalog::Position,
) -> String {
    format!(
        "{hook}-{}-{}-{}",
        event.repo, event.generation, event.ordinal
    )
}
