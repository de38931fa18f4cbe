//! Which queue is worked on next: webhooks take turns, and none has more than its share.

use std::collections::{HashMap, HashSet, VecDeque};

use packhouse_catalog::{HookId, RepoId};

/// A queue.
pub(super) type Key = (HookId, RepoId);

/// Queues that wait in memory. Beyond that, looking finds them in the catalog later.
const MAX_WAITING: usize = 10_000;

/// Queues that wait, and those that are worked on.
#[derive(Debug)]
pub(super) struct Ready {
    max_running: usize,
    max_per_hook: usize,
    /// Webhooks that have queues waiting, in the order of their turns.
    turns: VecDeque<HookId>,
    waiting: HashMap<HookId, VecDeque<RepoId>>,
    known: HashSet<Key>,
    /// Those that are worked on; true: something came meanwhile.
    running: HashMap<Key, bool>,
    running_per_hook: HashMap<HookId, usize>,
}

impl Ready {
    pub(super) fn new(max_running: usize, max_per_hook: usize) -> Ready {
        Ready {
            max_running: max_running.max(1),
            max_per_hook: max_per_hook.max(1),
            turns: VecDeque::new(),
            waiting: HashMap::new(),
            known: HashSet::new(),
            running: HashMap::new(),
            running_per_hook: HashMap::new(),
        }
    }

    /// Has a queue worked on, after what is under way on it.
    pub(super) fn add(&mut self, key: Key) {
        if let Some(again) = self.running.get_mut(&key) {
            *again = true;
            return;
        }
        if self.known.len() >= MAX_WAITING || !self.known.insert(key) {
            return;
        }
        let (hook, repo) = key;
        let waiting = self.waiting.entry(hook).or_default();
        if waiting.is_empty() {
            self.turns.push_back(hook);
        }
        waiting.push_back(repo);
    }

    /// The next queue to work on, which then is worked on.
    pub(super) fn start(&mut self) -> Option<Key> {
        if self.running.len() >= self.max_running {
            return None;
        }
        for _ in 0..self.turns.len() {
            let hook = self.turns.pop_front()?;
            if self.running_of(hook) >= self.max_per_hook {
                self.turns.push_back(hook);
                continue;
            }
            let waiting = self.waiting.get_mut(&hook)?;
            let repo = waiting.pop_front()?;
            if waiting.is_empty() {
                self.waiting.remove(&hook);
            } else {
                self.turns.push_back(hook);
            }
            let key = (hook, repo);
            self.known.remove(&key);
            self.running.insert(key, false);
            *self.running_per_hook.entry(hook).or_default() += 1;
            return Some(key);
        }
        None
    }

    /// The work on a queue has ended.
    pub(super) fn end(&mut self, key: Key) {
        let again = self.running.remove(&key);
        if again.is_some() {
            let of_hook = self.running_per_hook.entry(key.0).or_default();
            *of_hook = of_hook.saturating_sub(1);
            if *of_hook == 0 {
                self.running_per_hook.remove(&key.0);
            }
        }
        if again == Some(true) {
            self.add(key);
        }
    }

    fn running_of(&self, hook: HookId) -> usize {
        self.running_per_hook.get(&hook).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hook: i64, repo: i64) -> Key {
        (HookId(hook), RepoId(repo))
    }

    #[test]
    fn webhooks_take_turns_and_have_a_share() {
        let mut ready = Ready::new(4, 2);
        for repo in 0..5 {
            ready.add(key(1, repo));
        }
        ready.add(key(2, 0));
        ready.add(key(2, 0));
        let started: Vec<_> = std::iter::from_fn(|| ready.start()).collect();
        assert_eq!(started, [key(1, 0), key(2, 0), key(1, 1)]);
        ready.end(key(1, 0));
        assert_eq!(ready.start(), Some(key(1, 2)));
        assert_eq!(ready.start(), None);
        ready.add(key(3, 0));
        ready.add(key(4, 0));
        assert_eq!(ready.start(), Some(key(3, 0)));
        assert_eq!(ready.start(), None, "all places are taken");
    }

    #[test]
    fn what_comes_while_a_queue_is_worked_on_has_it_worked_on_again() {
        let mut ready = Ready::new(4, 2);
        ready.add(key(1, 1));
        assert_eq!(ready.start(), Some(key(1, 1)));
        ready.add(key(1, 1));
        assert_eq!(ready.start(), None);
        ready.end(key(1, 1));
        assert_eq!(ready.start(), Some(key(1, 1)));
        ready.end(key(1, 1));
        assert_eq!(ready.start(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut ready = Ready::new(4, 2);
        for repo in 0..2 * MAX_WAITING as i64 {
            ready.add(key(1, repo));
        }
        assert_eq!(ready.known.len(), MAX_WAITING);
    }
}
