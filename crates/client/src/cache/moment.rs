//! Times that survive clocks that are set.
//!
//! A moment is kept by two clocks: the wall's, for people, and the one that counts from the start of the machine and
//! cannot be set. How long ago a moment was is told by the second where the machine has not been started again since,
//! and else by the first. A moment that seems to be in the future has no age: what depends on it counts as old.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moment {
    /// Milliseconds since 1970 by the wall's clock.
    pub(super) wall_ms: i64,
    /// Milliseconds since the machine started.
    up_ms: u64,
    /// Which start that was; empty where that is not known.
    boot: String,
}

impl Moment {
    /// This one.
    pub(super) fn now() -> Moment {
        Moment {
            wall_ms: Timestamp::now().as_millisecond(),
            up_ms: up_ms(),
            boot: boot(),
        }
    }

    /// One of which nothing is known but that it was before all others.
    pub(super) fn unknown() -> Moment {
        Moment {
            wall_ms: 0,
            up_ms: 0,
            boot: String::new(),
        }
    }

    /// As people write it.
    pub(super) fn timestamp(&self) -> Timestamp {
        Timestamp::from_millisecond(self.wall_ms).unwrap_or(Timestamp::MAX)
    }

    /// Whether the machine is the same and has not been started again.
    pub(super) fn is_same_boot(&self, other: &Moment) -> bool {
        !self.boot.is_empty() && self.boot == other.boot
    }

    /// Whether the machine is known to have been started again in between.
    pub(super) fn is_other_boot(&self, other: &Moment) -> bool {
        !self.boot.is_empty() && !other.boot.is_empty() && self.boot != other.boot
    }

    /// How long before `now` it was; `None` if no clock can tell.
    pub(super) fn age(&self, now: &Moment) -> Option<Duration> {
        let ms = match self.is_same_boot(now) {
            true => now.up_ms.checked_sub(self.up_ms)?,
            false => u64::try_from(now.wall_ms.checked_sub(self.wall_ms)?).ok()?,
        };
        Some(Duration::from_millis(ms))
    }

    /// Whether it is older than `limit`, or of unknown age.
    pub(super) fn is_older_than(&self, limit: Duration, now: &Moment) -> bool {
        self.age(now).is_none_or(|age| age > limit)
    }

    /// Whether it was not before `earlier`, as far as one start of the machine goes.
    pub(super) fn is_since(&self, earlier: &Moment) -> bool {
        self.is_same_boot(earlier) && self.up_ms >= earlier.up_ms
    }
}

#[cfg(target_os = "linux")]
fn up_ms() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = time.tv_sec * 1000 + time.tv_nsec / 1_000_000;
    u64::try_from(ms).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn up_ms() -> u64 {
    0
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: i64, up_ms: u64, boot: &str) -> Moment {
        Moment {
            wall_ms,
            up_ms,
            boot: boot.to_owned(),
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_changes_no_age() {
        let (hour, limit) = (3_600_000, Duration::from_secs(60));
        let then = at(10 * hour, 1000, "a");
        for wall in [0, 9 * hour, 10 * hour, 500 * hour] {
            let now = at(wall, 31_000, "a");
            assert_eq!(then.age(&now), Some(Duration::from_secs(30)));
            assert!(!then.is_older_than(limit, &now));
        }
        assert!(then.is_older_than(limit, &at(10 * hour, 62_000, "a")));
    }

    #[test]
    fn after_a_start_of_the_machine_the_wall_clock_counts_and_the_future_is_old() {
        let limit = Duration::from_secs(60);
        let then = at(100_000, 999_000, "a");
        assert!(!then.is_older_than(limit, &at(130_000, 10, "b")));
        assert!(then.is_older_than(limit, &at(161_000, 10, "b")));
        assert!(then.is_older_than(limit, &at(99_999, 10, "b")));
        assert!(!at(0, 0, "").is_same_boot(&at(0, 0, "")));
    }

    #[test]
    fn this_moment_is_not_before_itself() {
        let now = Moment::now();
        assert!(now.is_since(&now) || now.boot.is_empty());
        assert_eq!(now.age(&now), Some(Duration::ZERO));
    }
}
