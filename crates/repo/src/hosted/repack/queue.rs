//! Repositories whose packs are due, for whoever has them repacked.
//!
//! A hint and no more: what is lost with a node is asked for again when the repository is opened or written to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use packhouse_catalog::RepoId;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// One repository is told of at most so often.
const PAUSE: Duration = Duration::from_secs(20);
/// Repositories whose last time is remembered.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct RepackQueue {
    listening: AtomicBool,
    asked: Mutex<Asked>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Asked {
    due: Vec<RepoId>,
    /// When each was told of.
    told: HashMap<RepoId, Instant>,
}

impl RepackQueue {
    /// Whether somebody wants to know.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    pub(crate) fn ask(&self, id: RepoId) {
        let now = Instant::now();
        let mut asked = self.asked.lock();
        let is_recent = |told: &Instant| now.duration_since(*told) < PAUSE;
        if asked.told.get(&id).is_some_and(is_recent) {
            return;
        }
        if asked.told.len() >= MOST {
            asked.told.retain(|_, told| is_recent(told));
            if asked.told.len() >= MOST {
                return;
            }
        }
        asked.told.insert(id, now);
        asked.due.push(id);
        drop(asked);
        self.wake.notify_one();
    }

    /// What is due, as soon as there is something.
    pub(crate) async fn due(&self) -> Vec<RepoId> {
        self.listening.store(true, Ordering::Relaxed);
        loop {
            let due = std::mem::take(&mut self.asked.lock().due);
            if !due.is_empty() {
                return due;
            }
            self.wake.notified().await;
        }
    }
}
