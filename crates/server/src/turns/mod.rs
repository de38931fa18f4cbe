//! Turns for expensive work: how many requests of one kind run at a time, and in what order the others wait.
//!
//! What always holds:
//!
//! - No more run at a time than there are turns, and of one organisation and of one repository no more than their share.
//! - A turn that is free is given at once to somebody who waits and may have it: nobody waits in vain.
//! - Organisations take turns, whoever has more requests; and so do the repositories of one.
//! - A request waits for a bounded time, in a queue of bounded length. One that is cancelled leaves the queue.

mod metrics;
mod queue;
mod refusal;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use packhouse_catalog::OrgId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(crate) use self::metrics::TurnMetrics;
use self::queue::State;
pub(crate) use self::refusal::{Crowded, NoTurn};

/// Bounds on work of one kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TurnLimits {
    /// Requests that run at a time.
    pub(crate) all: usize,
    /// Of one organisation.
    pub(crate) org: usize,
    /// For one repository.
    pub(crate) repo: usize,
    /// Requests of one organisation that wait.
    pub(crate) org_waiting: usize,
    /// Requests that wait, of all organisations.
    pub(crate) waiting: usize,
    /// How long each waits.
    pub(crate) wait: Duration,
}

/// What work is counted for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct TurnFor {
    org: OrgId,
    repo: Arc<str>,
}

impl TurnFor {
    /// Repository `repo` of `org`.
    pub(crate) fn repo(org: OrgId, repo: &str) -> TurnFor {
        TurnFor {
            org,
            repo: repo.into(),
        }
    }

    /// Whoever it is, where there are no organisations.
    pub(crate) fn anyone() -> TurnFor {
        TurnFor::repo(OrgId(0), "")
    }
}

/// Turns for work of one kind. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// One piece of work of the kind, and many, in words for people.
    kind: &'static str,
    what: &'static str,
    limits: TurnLimits,
    metrics: Option<TurnMetrics>,
    /// Held for a few look-ups, never across an await.
    state: Mutex<State>,
}

/// Leave to run, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    inner: Arc<Inner>,
    of: TurnFor,
    began: Instant,
}

impl Turns {
    /// Turns for `what`; the metrics call one of them `kind`.
    pub(crate) fn new(
        kind: &'static str,
        what: &'static str,
        limits: TurnLimits,
        metrics: Option<TurnMetrics>,
    ) -> Turns {
        Turns {
            inner: Arc::new(Inner {
                kind,
                what,
                limits,
                metrics,
                state: Mutex::default(),
            }),
        }
    }

    /// How the metrics call one, and how many run.
    pub(crate) fn under_way(&self) -> (&'static str, usize) {
        (self.inner.kind, self.inner.state.lock().running)
    }

    /// Waits for a turn. Who stops waiting has left the queue.
    pub(crate) async fn take(&self, of: &TurnFor) -> Result<Turn, Crowded> {
        let mut waiter = match self.enter(of)? {
            Entered::Turn(turn) => {
                self.waited(Duration::ZERO);
                return Ok(turn);
            }
            Entered::Waiter(waiter) => waiter,
        };
        let began = Instant::now();
        let granted = tokio::time::timeout(self.inner.limits.wait, &mut waiter.granted).await;
        match granted {
            Ok(Ok(turn)) => {
                self.waited(began.elapsed());
                Ok(turn)
            }
            // The sender is dropped with the place, and the place is removed by the waiter alone.
            Ok(Err(_)) | Err(_) => Err(self.refuse(of, NoTurn::Waited)),
        }
    }

    /// Whether there would be no room to wait for a turn now; for those who ask before they send what is expensive.
    pub(crate) fn check(&self, of: &TurnFor) -> Result<(), Crowded> {
        let why = self.inner.state.lock().no_room(&self.inner.limits, of);
        why.map_or(Ok(()), |why| Err(self.refuse(of, why)))
    }

    fn enter(&self, of: &TurnFor) -> Result<Entered, Crowded> {
        let inner = &self.inner;
        let mut state = inner.state.lock();
        if state.may_run(&inner.limits, of) {
            state.start(of);
            return Ok(Entered::Turn(inner.turn(of)));
        }
        if let Some(why) = state.no_room(&inner.limits, of) {
            drop(state);
            return Err(self.refuse(of, why));
        }
        let (sender, granted) = oneshot::channel();
        let ticket = state.wait(of, sender);
        drop(state);
        if let Some(metrics) = &inner.metrics {
            metrics.waiting.with_label_values(&[inner.kind]).inc();
        }
        Ok(Entered::Waiter(Waiter {
            inner: inner.clone(),
            of: of.clone(),
            ticket,
            granted,
        }))
    }

    fn refuse(&self, of: &TurnFor, why: NoTurn) -> Crowded {
        let inner = &self.inner;
        if let Some(metrics) = &inner.metrics {
            let word = match why {
                NoTurn::OrgQueueFull => "org queue full",
                NoTurn::QueueFull => "queue full",
                NoTurn::Waited => "waited",
            };
            metrics.refused.with_label_values(&[inner.kind, word]).inc();
        }
        Crowded {
            why,
            retry_seconds: inner.state.lock().retry_seconds(&inner.limits, of.org),
            limits: inner.limits,
            what: inner.what,
        }
    }

    fn waited(&self, time: Duration) {
        if let Some(metrics) = &self.inner.metrics {
            let waits = metrics.waits.with_label_values(&[self.inner.kind]);
            waits.observe(time.as_secs_f64());
        }
    }
}

enum Entered {
    Turn(Turn),
    Waiter(Waiter),
}

/// Somebody who waits. What was granted and not taken goes back, after the place is given up.
struct Waiter {
    inner: Arc<Inner>,
    of: TurnFor,
    ticket: u64,
    granted: oneshot::Receiver<Turn>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.inner.state.lock().leave(&self.of, self.ticket);
        if let Some(metrics) = &self.inner.metrics {
            metrics.waiting.with_label_values(&[self.inner.kind]).dec();
        }
    }
}

impl Inner {
    fn turn(self: &Arc<Self>, of: &TurnFor) -> Turn {
        Turn {
            inner: self.clone(),
            of: of.clone(),
            began: Instant::now(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let inner = &self.inner;
        let mut untaken = Vec::new();
        {
            let mut state = inner.state.lock();
            state.end(&self.of, self.began.elapsed());
            while let Some((of, granted)) = state.next(&inner.limits) {
                state.start(&of);
                // Whoever waits leaves the queue before they stop listening, so somebody takes it.
                untaken.extend(granted.send(inner.turn(&of)).err());
            }
        }
        // If nobody did, it goes on to the next one, without the lock that it needs for that.
        drop(untaken);
    }
}
