//! Repositories whose packs are due, for whoever has them repacked.
//!
//! A hint and no more: what is lost with a node is asked for again when the repository is opened or written to.

use std::collections::{HashMap, HashSet};
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
    /// Asked for again too soon; they are told of when their pause is over.
    later: HashSet<RepoId>,
}

impl Asked {
    /// Moves those whose pause is over to those that are due. Returns when the next one's is.
    fn ripen(&mut self, now: Instant) -> Option<Instant> {
        let mut next = None;
        for id in std::mem::take(&mut self.later) {
            let end = self.told.get(&id).map_or(now, |at| *at + PAUSE);
            if end <= now {
                self.told.insert(id, now);
                self.due.push(id);
            } else {
                self.later.insert(id);
                next = Some(next.map_or(end, |next: Instant| next.min(end)));
            }
        }
        next
    }
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
            asked.later.insert(id);
            drop(asked);
            self.wake.notify_one();
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
            let (due, next) = {
                let mut asked = self.asked.lock();
                let next = asked.ripen(Instant::now());
                (std::mem::take(&mut asked.due), next)
            };
            if !due.is_empty() {
                return due;
            }
            let woken = self.wake.notified();
            match next {
                // Whichever comes first.
                Some(next) => drop(tokio::time::timeout_at(next.into(), woken).await),
                None => woken.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_is_told_of_when_its_pause_is_over() {
        let (queue, id) = (RepackQueue::default(), RepoId(7));
        queue.ask(id);
        assert_eq!(std::mem::take(&mut queue.asked.lock().due), [id]);
        queue.ask(id);
        queue.ask(id);
        let now = Instant::now();
        let mut asked = queue.asked.lock();
        let next = asked.ripen(now).unwrap();
        assert!(asked.due.is_empty() && next > now && next <= now + PAUSE);
        assert_eq!(asked.ripen(next), None);
        assert_eq!(asked.due, [id]);
    }
}
