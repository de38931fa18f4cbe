//! Durations measured, and what is reported of them.

use std::time::Duration;

/// The `share` (0 to 1) quantile of durations, by nearest rank; zero of none.
pub(crate) fn quantile(durations: &mut [Duration], share: f64) -> Duration {
    if durations.is_empty() {
        return Duration::ZERO;
    }
    durations.sort_unstable();
    let rank = (share * durations.len() as f64).ceil() as usize;
    durations[rank.clamp(1, durations.len()) - 1]
}

/// The median.
pub(crate) fn median(durations: &mut [Duration]) -> Duration {
    quantile(durations, 0.5)
}

/// Milliseconds with two digits.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// Seconds with two digits.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
