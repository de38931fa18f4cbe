//! When to try again.

use super::options::{WebhookOptions, millis};

/// Milliseconds to wait after the `failures`th failure in a row: twice as long each time up to a limit, and between half
/// of that and all of it, as `random` (0 to 1) says, so that what failed together does not come back together.
pub(super) fn pause_ms(options: &WebhookOptions, failures: i64, random: f64) -> i64 {
    let doublings = u32::try_from(failures.saturating_sub(1).clamp(0, 30)).unwrap_or(30);
    let full = millis(options.first_retry)
        .saturating_mul(1 << doublings)
        .min(millis(options.longest_retry));
    let half = full / 2;
    half + ((full - half) as f64 * random.clamp(0.0, 1.0)) as i64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let options = WebhookOptions {
            first_retry: Duration::from_secs(1),
            ..WebhookOptions::default()
        };
        let pause = |failures, random| pause_ms(&options, failures, random);
        assert_eq!((pause(1, 0.0), pause(1, 1.0)), (500, 1000));
        assert_eq!((pause(2, 0.0), pause(2, 1.0)), (1000, 2000));
        assert_eq!(pause(5, 1.0), 16_000);
        assert_eq!((pause(1000, 0.0), pause(i64::MAX, 1.0)), (450_000, 900_000));
        assert_eq!(pause(i64::MIN, 0.5), 750);
    }
}
