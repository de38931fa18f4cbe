//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A time in milliseconds since 1970 that only [`advance`](TestClock::advance) changes. Clones show the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// A clock that shows `now_ms`.
    pub fn at(now_ms: i64) -> TestClock {
        TestClock(Arc::new(AtomicI64::new(now_ms)))
    }

    /// The time it shows.
    pub fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Moves it by `by_ms`, backwards if that is negative, and returns the new time.
    pub fn advance(&self, by_ms: i64) -> i64 {
        self.0.fetch_add(by_ms, Ordering::SeqCst) + by_ms
    }

    /// The clock as a function, for code that takes its time from one.
    pub fn reader(&self) -> impl Fn() -> i64 + Send + Sync + Clone + 'static {
        let clock = self.clone();
        move || clock.now_ms()
    }
}

impl Default for TestClock {
    /// A clock at a time that nobody mistakes for now: the first second of 2001.
    fn default() -> Self {
        TestClock::at(978_307_200_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_follow_the_clock() {
        let clock = TestClock::at(1_000);
        let read = clock.reader();
        assert_eq!(clock.clone().advance(500), 1_500);
        assert_eq!((clock.now_ms(), read()), (1_500, 1_500));
        clock.advance(-2_000);
        assert_eq!(read(), -500);
    }
}
