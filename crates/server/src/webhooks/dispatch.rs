//! Deciding what is worked on: what this process committed, and what looking found.

use std::collections::HashMap;
use std::sync::Arc;

use packhouse_catalog::{Change, Changes, HookId, OrgId, RepoId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::look::{Found, Targets};
use super::queue::Worker;
use super::ready::{Key, Ready};

/// Works on queues until it is told to stop; then waits for those that are worked on.
pub(super) async fn run(
    worker: Arc<Worker>,
    mut changes: Changes,
    mut finds: mpsc::Receiver<Found>,
    stop: CancellationToken,
) {
    let mut ready = Ready::new(worker.options.queues, worker.options.queues_per_hook);
    let mut targets = Targets::default();
    let mut working: JoinSet<()> = JoinSet::new();
    let mut keys: HashMap<tokio::task::Id, Key> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            change = changes.next() => match change {
                Ok(Some(change)) => keys_of(&targets, change).for_each(|key| ready.add(key)),
                // Some were missed: looking finds them.
                Ok(None) => {}
                Err(_) => break,
            },
            found = finds.recv() => match found {
                Some(Found::Targets(new)) => targets = new,
                Some(Found::Due(due)) => due.into_iter().for_each(|key| ready.add(key)),
                None => break,
            },
            Some(ended) = working.join_next_with_id() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(%error, "the work on a webhook's queue ended badly");
                        error.id()
                    }
                };
                if let Some(key) = keys.remove(&id) {
                    ready.end(key);
                }
            }
        }
        while let Some((hook, repo)) = ready.start() {
            let worker = worker.clone();
            let task = working.spawn(async move { worker.work(hook, repo).await });
            keys.insert(task.id(), (hook, repo));
        }
    }
    while working.join_next().await.is_some() {}
}

/// The queues that a change concerns.
fn keys_of(targets: &Targets, change: Change) -> impl Iterator<Item = Key> + '_ {
    let of_org: &[(HookId, Option<RepoId>)] = targets.of(change.org);
    of_org
        .iter()
        .filter(move |(_, only)| only.is_none_or(|only| only == change.repo))
        .map(move |(hook, _)| (*hook, change.repo))
}

impl Targets {
    fn of(&self, org: OrgId) -> &[(HookId, Option<RepoId>)] {
        self.0.get(&org).map_or(&[], Vec::as_slice)
    }
}
