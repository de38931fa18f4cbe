//! One piece of work for all callers in this process that want the same.
//!
//! What always holds: a caller gets the result of work that began after it came, or of the very first copy of a source,
//! which is as new to it as any. So nobody gets what is older than the call, and however many callers come while one is
//! at work, they are answered by the next.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{CacheError, CacheStep, CallOptions};

/// How often a caller that waits looks whether it is to go on.
const LOOK_UP: Duration = Duration::from_millis(50);

/// The work under way, by what it is.
#[derive(Debug)]
pub(super) struct Flights<T> {
    by_key: Mutex<HashMap<String, Lane<T>>>,
}

/// The work on one thing: what is being done, and what comes after it.
#[derive(Debug)]
struct Lane<T> {
    running: Arc<Flight<T>>,
    next: Option<Arc<Flight<T>>>,
}

#[derive(Debug)]
struct Flight<T> {
    /// Whether it may answer those who come while it is under way.
    is_first: bool,
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
enum State<T> {
    Queued,
    Running,
    Done(Result<T, CacheError>),
}

/// What a caller has to do.
enum Part<T> {
    Lead(Arc<Flight<T>>),
    Follow(Arc<Flight<T>>),
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Flights {
            by_key: Mutex::default(),
        }
    }
}

impl<T: Clone> Flights<T> {
    /// Does the work, or waits for one who does.
    pub(super) fn run(
        &self,
        key: &str,
        is_first: bool,
        call: &CallOptions<'_>,
        work: impl Fn() -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        loop {
            let result = match self.join(key, is_first) {
                Part::Lead(flight) => return self.lead(key, &flight, call, &work),
                Part::Follow(flight) => flight.wait(call)?,
            };
            match result {
                // Its leader was told to end; this caller was not.
                Err(CacheError::Cancelled) => call.check()?,
                result => return result,
            }
        }
    }

    fn join(&self, key: &str, is_first: bool) -> Part<T> {
        let mut lanes = lock(&self.by_key);
        let Some(lane) = lanes.get_mut(key) else {
            let flight = Flight::new(is_first, State::Running);
            let running = flight.clone();
            lanes.insert(
                key.to_owned(),
                Lane {
                    running,
                    next: None,
                },
            );
            return Part::Lead(flight);
        };
        if lane.running.is_first {
            return Part::Follow(lane.running.clone());
        }
        match &lane.next {
            Some(next) => Part::Follow(next.clone()),
            None => {
                let flight = Flight::new(false, State::Queued);
                lane.next = Some(flight.clone());
                Part::Lead(flight)
            }
        }
    }

    fn lead(
        &self,
        key: &str,
        flight: &Arc<Flight<T>>,
        call: &CallOptions<'_>,
        work: &dyn Fn() -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let landing = Landing {
            flights: self,
            key,
            flight,
        };
        while matches!(*lock(&flight.state), State::Queued) {
            if let Err(ended) = call.check() {
                landing.give_up();
                return Err(ended);
            }
            call.step(CacheStep::Waiting, 0, None);
            flight.pause();
        }
        let result = work();
        flight.finish(result.clone());
        drop(landing);
        result
    }
}

/// Sees to it that nobody waits for one who has ended, by a panic even.
struct Landing<'a, T: Clone> {
    flights: &'a Flights<T>,
    key: &'a str,
    flight: &'a Arc<Flight<T>>,
}

impl<T: Clone> Landing<'_, T> {
    /// Leaves the queue; whoever follows begins again.
    fn give_up(&self) {
        let mut lanes = lock(&self.flights.by_key);
        if let Some(lane) = lanes.get_mut(self.key)
            && lane
                .next
                .as_ref()
                .is_some_and(|next| Arc::ptr_eq(next, self.flight))
        {
            lane.next = None;
        }
        self.flight.finish(Err(CacheError::Cancelled));
    }
}

impl<T: Clone> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        let mut lanes = lock(&self.flights.by_key);
        let is_running = |lane: &Lane<T>| Arc::ptr_eq(&lane.running, self.flight);
        if !matches!(*lock(&self.flight.state), State::Done(_)) {
            self.flight.finish(Err(CacheError::Cancelled));
        }
        if !lanes.get(self.key).is_some_and(is_running) {
            return;
        }
        match lanes.get_mut(self.key).and_then(|lane| lane.next.take()) {
            None => drop(lanes.remove(self.key)),
            Some(next) => {
                let running = next.clone();
                lanes.insert(
                    self.key.to_owned(),
                    Lane {
                        running,
                        next: None,
                    },
                );
                // Nobody joins it any more: it begins now.
                next.set(State::Running);
            }
        }
    }
}

impl<T: Clone> Flight<T> {
    fn new(is_first: bool, state: State<T>) -> Arc<Flight<T>> {
        Arc::new(Flight {
            is_first,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    fn set(&self, state: State<T>) {
        *lock(&self.state) = state;
        self.changed.notify_all();
    }

    fn finish(&self, result: Result<T, CacheError>) {
        self.set(State::Done(result));
    }

    /// Waits until something changes, or for a moment.
    fn pause(&self) {
        let state = lock(&self.state);
        if !matches!(*state, State::Done(_)) {
            let waited = self.changed.wait_timeout(state, LOOK_UP);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// What came of it; an error of its own if this caller is to end.
    fn wait(&self, call: &CallOptions<'_>) -> Result<Result<T, CacheError>, CacheError> {
        loop {
            if let State::Done(result) = &*lock(&self.state) {
                return Ok(result.clone());
            }
            call.check()?;
            call.step(CacheStep::Waiting, 0, None);
            self.pause();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::cache::CancelToken;

    /// Runs callers that come while the first is at work, and returns how often the work was done and with what results.
    fn crowd(is_first: bool) -> (usize, Vec<usize>) {
        let flights = Flights::default();
        let done = AtomicUsize::new(0);
        let (begun, go_on) = (Barrier::new(2), Barrier::new(2));
        let work = || Ok(done.fetch_add(1, Ordering::SeqCst) + 1);
        let call = CallOptions::default();
        let results = thread::scope(|scope| {
            let first = scope.spawn(|| {
                flights.run("key", is_first, &call, || {
                    if done.load(Ordering::SeqCst) == 0 {
                        begun.wait();
                        go_on.wait();
                    }
                    work()
                })
            });
            begun.wait();
            let others: Vec<_> = (0..10)
                .map(|_| scope.spawn(|| flights.run("key", is_first, &call, work)))
                .collect();
            // All of them wait: one to lead, the others to follow. Besides them the lane has the flight, the answer here, and
            // the one who leads it now.
            let holders = 10 + if is_first { 3 } else { 2 };
            while Arc::strong_count(&waited_for(&flights, is_first)) < holders {
                thread::yield_now();
            }
            go_on.wait();
            let mut results = vec![first.join().unwrap().unwrap()];
            results.extend(
                others
                    .into_iter()
                    .map(|other| other.join().unwrap().unwrap()),
            );
            results
        });
        assert!(flights.by_key.lock().unwrap().is_empty());
        (done.load(Ordering::SeqCst), results)
    }

    fn waited_for(flights: &Flights<usize>, is_first: bool) -> Arc<Flight<usize>> {
        loop {
            let lanes = flights.by_key.lock().unwrap();
            let lane = &lanes["key"];
            match (is_first, &lane.next) {
                (true, _) => return lane.running.clone(),
                (false, Some(next)) => return next.clone(),
                (false, None) => {}
            }
            drop(lanes);
            thread::yield_now();
        }
    }

    #[test]
    fn those_who_come_during_the_first_copy_share_it() {
        let (done, results) = crowd(true);
        assert_eq!((done, results), (1, vec![1; 11]));
    }

    #[test]
    fn those_who_come_later_share_the_next() {
        let (done, results) = crowd(false);
        assert_eq!(done, 2);
        assert_eq!(results[0], 1);
        assert!(results[1..].iter().all(|result| *result == 2));
    }

    #[test]
    fn a_leader_that_is_cancelled_or_panics_leaves_nobody_waiting() {
        let flights: Flights<usize> = Flights::default();
        let token = CancelToken::new();
        let cancelled = CallOptions {
            cancel: Some(&token),
            progress: None,
        };
        let call = CallOptions::default();
        let begun = Barrier::new(2);
        thread::scope(|scope| {
            let leader = scope.spawn(|| {
                flights.run("key", true, &cancelled, || {
                    begun.wait();
                    while !token.is_cancelled() {
                        thread::yield_now();
                    }
                    Err(CacheError::Cancelled)
                })
            });
            begun.wait();
            let follower = scope.spawn(|| flights.run("key", true, &call, || Ok(7)));
            while Arc::strong_count(&waited_for(&flights, true)) < 4 {
                thread::yield_now();
            }
            token.cancel();
            assert!(leader.join().unwrap().is_err());
            assert_eq!(follower.join().unwrap().unwrap(), 7);
        });
        let panicked = thread::scope(|scope| {
            let leader = scope.spawn(|| flights.run("key", true, &call, || panic!("on purpose")));
            leader.join().is_err()
        });
        assert!(panicked);
        assert_eq!(flights.run("key", true, &call, || Ok(8)).unwrap(), 8);
    }
}
