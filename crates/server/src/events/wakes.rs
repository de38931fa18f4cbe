//! Waking those who wait for events of one repository or one organisation, and nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use packhouse_catalog::{Change, Changes, OrgId, RepoId};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Topic {
    Org(OrgId),
    Repo(RepoId),
}

/// Those who wait, by what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    waiting: Mutex<HashMap<Topic, Weak<Notify>>>,
}

impl Wakes {
    /// Notified when a repository, or any of an organisation, has new events that this process committed.
    pub(crate) fn of(&self, org: OrgId, repo: Option<RepoId>) -> Arc<Notify> {
        let topic = repo.map_or(Topic::Org(org), Topic::Repo);
        let mut waiting = self.waiting.lock();
        if let Some(notify) = waiting.get(&topic).and_then(Weak::upgrade) {
            return notify;
        }
        // Whoever is gone leaves its entry to the next one who comes.
        waiting.retain(|_, notify| notify.strong_count() > 0);
        let notify = Arc::new(Notify::new());
        waiting.insert(topic, Arc::downgrade(&notify));
        notify
    }

    /// Wakes as changes come, until the catalog is closed.
    pub(crate) async fn run(&self, mut changes: Changes) {
        while let Ok(change) = changes.next().await {
            match change {
                Some(change) => self.wake(change),
                None => self.wake_all(),
            }
        }
    }

    fn wake(&self, change: Change) {
        let waiting = self.waiting.lock();
        for topic in [Topic::Org(change.org), Topic::Repo(change.repo)] {
            if let Some(notify) = waiting.get(&topic).and_then(Weak::upgrade) {
                notify.notify_waiters();
            }
        }
    }

    fn wake_all(&self) {
        let waiting = self.waiting.lock();
        for notify in waiting.values().filter_map(Weak::upgrade) {
            notify.notify_waiters();
        }
    }
}
