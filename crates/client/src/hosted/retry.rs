//! When a request is sent again, and after how long.
//!
//! Sent again is what certainly did nothing: a request whose connection was never made, and one that the server turned
//! away, with 429, or with 503 and `Retry-After`. Reads are also sent again when the connection broke, and after 502, 503
//! and 504. A write whose answer was lost is not: it may have been done. A body that can be read only once is never sent
//! twice.

use std::time::Duration;

use rand::RngExt;

use super::error::HostedError;

/// How often and how patiently requests are sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all; 1: nothing is sent twice.
    pub attempts: u32,
    /// Longest pause before the second attempt; it doubles from attempt to attempt.
    pub first_pause: Duration,
    /// Longest pause of all, also of those that a server asks for: if it wants more, the failure is returned at once.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    /// Four attempts within some seconds.
    fn default() -> RetryPolicy {
        RetryPolicy {
            attempts: 4,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(20),
        }
    }
}

/// Whether a request changes something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

impl RetryPolicy {
    /// Nothing is sent twice.
    pub const NEVER: RetryPolicy = RetryPolicy {
        attempts: 1,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
    };

    /// The pause before the attempt after `attempt` (from 1) that failed by `error`; `None`: there is none.
    ///
    /// `dice` is from 0 to 1: clients that failed together do not come back together.
    fn pause(
        &self,
        attempt: u32,
        effect: Effect,
        error: &HostedError,
        dice: f64,
    ) -> Option<Duration> {
        if attempt >= self.attempts || !is_repeatable(effect, error) {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << (attempt - 1).min(20));
        // Half of it at least, so that a busy server is left alone for a while.
        let ours = doubled.min(self.longest_pause).mul_f64(0.5 + dice / 2.0);
        match error.api().and_then(|error| error.retry_after()) {
            Some(asked) if asked > self.longest_pause => None,
            // All that were turned away are told the same; they come back over half as much time again.
            Some(asked) => Some(asked.max(ours) + asked.mul_f64(dice / 2.0)),
            None => Some(ours),
        }
    }

    /// The same with a die of the system's.
    pub(super) fn next_pause(
        &self,
        attempt: u32,
        effect: Effect,
        error: &HostedError,
    ) -> Option<Duration> {
        self.pause(attempt, effect, error, rand::rng().random_range(0.0..=1.0))
    }
}

fn is_repeatable(effect: Effect, error: &HostedError) -> bool {
    let reads = effect == Effect::Read;
    match error {
        HostedError::Connect { .. } => true,
        HostedError::Broken { .. } => reads,
        HostedError::Api(_) | HostedError::RefUpdate(_) => match error.status() {
            Some(429) => true,
            Some(503) => {
                reads
                    || error
                        .api()
                        .is_some_and(|error| error.retry_after().is_some())
            }
            Some(502 | 504) => reads,
            _ => false,
        },
        // Waited for once already.
        HostedError::TimedOut { .. } => false,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::ApiError;
    use super::*;
    use bytes::Bytes;
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, RETRY_AFTER};

    fn failed(status: u16, after: Option<&str>) -> HostedError {
        let mut headers = HeaderMap::new();
        if let Some(after) = after {
            headers.insert(RETRY_AFTER, after.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        ApiError::new(status, headers, String::new(), Bytes::new()).into()
    }

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 5,
        first_pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(1),
    };

    #[test]
    fn only_what_did_nothing_is_sent_again() {
        for (status, read, write) in [
            (429, true, true),
            (503, true, false),
            (502, true, false),
            (504, true, false),
            (500, false, false),
            (400, false, false),
            (409, false, false),
            (404, false, false),
            (401, false, false),
        ] {
            let error = failed(status, None);
            assert_eq!(is_repeatable(Effect::Read, &error), read, "{status}");
            assert_eq!(is_repeatable(Effect::Write, &error), write, "{status}");
        }
        let invited = failed(503, Some("1"));
        assert!(is_repeatable(Effect::Write, &invited));
        let source = HostedError::Source(std::io::Error::other("x"));
        assert!(!is_repeatable(Effect::Read, &source));
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_are_never_shorter_than_half() {
        let error = failed(429, None);
        let pause = |attempt, dice| {
            POLICY
                .pause(attempt, Effect::Write, &error, dice)
                .unwrap()
                .as_millis()
        };
        assert_eq!((pause(1, 0.0), pause(1, 1.0)), (50, 100));
        assert_eq!((pause(2, 0.0), pause(2, 1.0)), (100, 200));
        assert_eq!(pause(4, 1.0), 800);
        assert_eq!(POLICY.pause(5, Effect::Write, &error, 0.0), None);
        let patient = RetryPolicy {
            attempts: u32::MAX,
            ..POLICY
        };
        assert_eq!(
            patient.pause(4_000_000, Effect::Write, &error, 1.0),
            Some(POLICY.longest_pause)
        );
        assert_eq!(RetryPolicy::NEVER.pause(1, Effect::Read, &error, 0.0), None);
    }

    #[test]
    fn the_server_is_waited_for_as_long_as_it_says_within_reason() {
        let pause = |after, dice| POLICY.pause(1, Effect::Write, &failed(429, Some(after)), dice);
        assert_eq!(pause("1", 0.0), Some(Duration::from_secs(1)));
        assert_eq!(pause("1", 1.0), Some(Duration::from_millis(1500)));
        assert_eq!(pause("2", 0.0), None);
        assert_eq!(pause("0", 0.0), Some(Duration::from_millis(50)));
        assert_eq!(pause("soon", 0.0), Some(Duration::from_millis(50)));
        // A date that is over.
        assert_eq!(
            pause("Sun, 06 Nov 1994 08:49:37 GMT", 1.0),
            Some(Duration::from_millis(100))
        );
        assert_eq!(pause("Thu, 31 Dec 2099 23:59:59 GMT", 0.0), None);
    }
}
