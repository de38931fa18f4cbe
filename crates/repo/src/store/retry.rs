//! Writing one file again until it lands on the newest state of its branch.

use std::thread;
use std::time::Duration;

use rand::RngExt;

use super::group::commit_on_newest;
use super::write::check_file_mode;
use super::{Edits, Snapshot, Store, StoreError, WriteOptions};

/// The longest pause before the first retry; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause of all.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Writes a file to the newest state of a branch, and again, up to `retries` times, if someone else is faster.
///
/// Writers that use this crate wait for each other, so only `git` and its like can be faster. After the last attempt
/// the error is [`StoreError::Stale`]. Threads that write to one branch of one store at the same time share the work.
pub fn retry_write(
    store: &Store,
    branch: &str,
    path: impl AsRef<[u8]>,
    data: &[u8],
    options: &WriteOptions,
    retries: u32,
) -> Result<Snapshot, StoreError> {
    let file_type = check_file_mode(options.mode)?;
    let path = path.as_ref();
    let mut attempt = 0;
    loop {
        let mut edits = Edits::new(store);
        let id = edits.sink.add(data)?;
        edits.set(path, file_type, id)?;
        // While others have their turn.
        edits.sink.write_ahead()?;
        let Some(written) = commit_on_newest(store, branch, edits, options.into()) else {
            continue;
        };
        match *written {
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
