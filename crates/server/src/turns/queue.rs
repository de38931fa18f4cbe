//! Who runs and who waits. No clocks and no waiting here.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use packhouse_catalog::OrgId;
use tokio::sync::oneshot;

use super::{NoTurn, Turn, TurnFor, TurnLimits};

/// How much a new duration counts in the average that `Retry-After` is made from: one in so many.
const AVERAGE_OVER: u32 = 8;

/// Longest wait that a refusal asks for, in seconds.
const MAX_RETRY_SECONDS: u64 = 60;

/// Who runs and who waits.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) running: usize,
    /// By organisation, and by repository; nobody who has none.
    by_org: HashMap<OrgId, usize>,
    by_repo: HashMap<TurnFor, usize>,
    pub(super) waiting: usize,
    queues: HashMap<OrgId, OrgQueue>,
    /// Organisations that wait, the next one first.
    ring: VecDeque<OrgId>,
    next_ticket: u64,
    /// How long a turn takes on the average.
    average: Duration,
}

/// Those of one organisation who wait.
#[derive(Debug, Default)]
struct OrgQueue {
    waiting: usize,
    repos: HashMap<TurnFor, VecDeque<Place>>,
    /// Repositories that are waited for, the next one first.
    ring: VecDeque<TurnFor>,
}

/// The place of one who waits.
#[derive(Debug)]
struct Place {
    ticket: u64,
    granted: oneshot::Sender<Turn>,
}

impl State {
    pub(super) fn may_run(&self, limits: &TurnLimits, of: &TurnFor) -> bool {
        let org = self.by_org.get(&of.org).copied().unwrap_or_default();
        let repo = self.by_repo.get(of).copied().unwrap_or_default();
        self.running < limits.all && org < limits.org && repo < limits.repo
    }

    pub(super) fn no_room(&self, limits: &TurnLimits, of: &TurnFor) -> Option<NoTurn> {
        if self.may_run(limits, of) {
            return None;
        }
        let of_org = self.queues.get(&of.org).map_or(0, |queue| queue.waiting);
        if of_org >= limits.org_waiting {
            Some(NoTurn::OrgQueueFull)
        } else if self.waiting >= limits.waiting {
            Some(NoTurn::QueueFull)
        } else {
            None
        }
    }

    pub(super) fn start(&mut self, of: &TurnFor) {
        self.running += 1;
        *self.by_org.entry(of.org).or_default() += 1;
        *self.by_repo.entry(of.clone()).or_default() += 1;
    }

    pub(super) fn end(&mut self, of: &TurnFor, took: Duration) {
        self.running -= 1;
        take_one(&mut self.by_org, &of.org);
        take_one(&mut self.by_repo, of);
        self.average = (self.average * (AVERAGE_OVER - 1) + took) / AVERAGE_OVER;
    }

    /// Puts somebody at the end of the queue of their repository.
    pub(super) fn wait(&mut self, of: &TurnFor, granted: oneshot::Sender<Turn>) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting += 1;
        let queue = self.queues.entry(of.org).or_default();
        if queue.waiting == 0 {
            self.ring.push_back(of.org);
        }
        queue.waiting += 1;
        let places = queue.repos.entry(of.clone()).or_default();
        if places.is_empty() {
            queue.ring.push_back(of.clone());
        }
        places.push_back(Place { ticket, granted });
        ticket
    }

    /// Takes somebody out of the queue who has not got a turn.
    pub(super) fn leave(&mut self, of: &TurnFor, ticket: u64) {
        let Some(queue) = self.queues.get_mut(&of.org) else {
            return;
        };
        let Some(places) = queue.repos.get_mut(of) else {
            return;
        };
        let Ok(at) = places.binary_search_by_key(&ticket, |place| place.ticket) else {
            return;
        };
        places.remove(at);
        queue.waiting -= 1;
        self.waiting -= 1;
        if places.is_empty() {
            queue.repos.remove(of);
            queue.ring.retain(|other| other != of);
        }
        if queue.waiting == 0 {
            self.queues.remove(&of.org);
            self.ring.retain(|org| *org != of.org);
        }
    }

    /// Takes the next one out of the queue who may run now. The organisation and the repository go to the end of theirs.
    pub(super) fn next(&mut self, limits: &TurnLimits) -> Option<(TurnFor, oneshot::Sender<Turn>)> {
        if self.running >= limits.all {
            return None;
        }
        let (at, of) = self.ring.iter().enumerate().find_map(|(at, org)| {
            let queue = self.queues.get(org)?;
            let of = queue.ring.iter().find(|of| self.may_run(limits, of))?;
            Some((at, of.clone()))
        })?;
        let org = self.ring.remove(at)?;
        let queue = self.queues.get_mut(&org)?;
        queue.ring.retain(|other| *other != of);
        let places = queue.repos.get_mut(&of)?;
        let place = places.pop_front()?;
        queue.waiting -= 1;
        self.waiting -= 1;
        if places.is_empty() {
            queue.repos.remove(&of);
        } else {
            queue.ring.push_back(of.clone());
        }
        if queue.waiting == 0 {
            self.queues.remove(&org);
        } else {
            self.ring.push_back(org);
        }
        Some((of, place.granted))
    }

    pub(super) fn retry_seconds(&self, limits: &TurnLimits, org: OrgId) -> u64 {
        let waiting = self.queues.get(&org).map_or(0, |queue| queue.waiting);
        let turns = limits.org.min(limits.all).max(1);
        let rounds = (waiting / turns + 1) as u32;
        let seconds = self.average.saturating_mul(rounds).as_secs_f64().ceil();
        (seconds as u64).clamp(1, MAX_RETRY_SECONDS)
    }
}

#[cfg(test)]
impl State {
    /// That nothing is kept of those who neither run nor wait, given how many organisations and repositories run.
    pub(super) fn check(&self, orgs: usize, repos: usize, limits: &TurnLimits) {
        assert_eq!((self.by_org.len(), self.by_repo.len()), (orgs, repos));
        assert_eq!(self.ring.len(), self.queues.len());
        for queue in self.queues.values() {
            assert!(queue.waiting > 0 && queue.waiting <= limits.org_waiting);
            assert_eq!(queue.ring.len(), queue.repos.len());
        }
    }
}

fn take_one<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
