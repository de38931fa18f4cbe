//! How webhooks are delivered.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Settings of the deliveries.
#[derive(Clone, Debug)]
pub struct WebhookOptions {
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// Pause after the first failure; it doubles with each further one.
    pub first_retry: Duration,
    /// Longest pause between two attempts.
    pub longest_retry: Duration,
    /// How long an event may go on failing before a failed attempt is its last.
    pub give_up: Duration,
    /// How long the log of deliveries, and events that moved no ref, are kept.
    pub retention: Duration,
    /// Queues that this node works on at a time.
    pub queues: usize,
    /// Queues of one webhook that this node works on at a time.
    pub queues_per_hook: usize,
    /// How long a queue is held without a sign of life, before other nodes take it over; longer than a receiver may take.
    pub lease: Duration,
    /// How often this node looks for queues that are due.
    pub poll: Duration,
    /// The time.
    pub clock: Clock,
}

impl WebhookOptions {
    /// Sets how long a receiver may take, and the lease to what goes with that.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.lease = timeout + timeout / 2;
    }
}

impl Default for WebhookOptions {
    fn default() -> Self {
        WebhookOptions {
            timeout: Duration::from_secs(10),
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(15 * 60),
            give_up: Duration::from_secs(24 * 3600),
            retention: Duration::from_secs(30 * 24 * 3600),
            queues: 256,
            queues_per_hook: 32,
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(500),
            clock: Clock::default(),
        }
    }
}

/// Where the time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// A clock that shows what `now_ms` returns: milliseconds since 1970.
    pub fn new(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now_ms))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl Default for Clock {
    /// The system's clock.
    fn default() -> Self {
        Clock::new(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, millis)
        })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A duration as the catalog counts.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
