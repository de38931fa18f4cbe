//! Writing one file again until it lands on the newest state of its branch.

use std::thread;
use std::time::Duration;

use rand::RngExt;

use super::{Snapshot, Store, StoreError, WriteOptions};

/// The longest pause before the first retry; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause of all.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Writes a file to the newest state of a branch, and again, up to `retries` times, if someone else is faster.
///
/// Writers that use this crate wait for each other, so only `git` and its like can be faster. After the last attempt
/// the error is [`StoreError::Stale`].
pub fn retry_write(
    store: &Store,
    branch: &str,
    path: impl AsRef<[u8]>,
    data: &[u8],
    options: &WriteOptions,
    retries: u32,
) -> Result<Snapshot, StoreError> {
    let mut attempt = 0;
    loop {
        let turn = store.exclusive()?;
        let written = store
            .branches()
            .get(branch)?
            .write(path.as_ref(), data, options);
        drop(turn);
        match written {
            Err(StoreError::Stale { .. }) if attempt < retries => {
                thread::sleep(pause(attempt));
                attempt += 1;
            }
            written => return written,
        }
    }
}

/// A random pause before another attempt, `attempt` of which have failed before this one.
pub fn pause(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE
        .saturating_mul(1 << attempt.min(10))
        .min(PAUSE_MAX);
    longest.mul_f64(rand::rng().random_range(0.0..=1.0))
}
