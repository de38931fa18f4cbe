//! Waiting for locks of others.

use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::before_boot::Boot;
use super::error::DirectoryError;
use crate::given_up::is_given_up;

/// How long others are waited for, over all locks of one write.
#[derive(Debug)]
pub(super) struct Patience {
    started: Instant,
    limit: Duration,
    tries: u32,
    /// Whether it is part of a longer one, which is not over when this is.
    is_part: bool,
    /// When the system started, as far as that is known.
    boot: fn() -> Option<Boot>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Patience {
        Patience {
            started: Instant::now(),
            limit,
            tries: 0,
            is_part: false,
            boot: Boot::of_this_system,
        }
    }

    /// As long as this one, but no longer than `limit` from now on.
    pub(super) fn at_most(&self, limit: Duration) -> Patience {
        Patience {
            is_part: true,
            ..Patience::new(limit.min(self.limit.saturating_sub(self.started.elapsed())))
        }
    }

    /// Sleeps a little, longer each time, before the lock is tried again; an error once the time is over, unless the lock
    /// turns out to be left over from before the system started: then it is there no more.
    pub(super) fn wait(&mut self, lock: &Path) -> Result<(), DirectoryError> {
        if is_given_up() {
            return Err(DirectoryError::GivenUp {
                lock: lock.to_owned(),
            });
        }
        let waited = self.started.elapsed();
        if waited >= self.limit {
            let is_waited_for = !self.is_part && !self.limit.is_zero();
            if is_waited_for && (self.boot)().is_some_and(|boot| boot.remove_older(lock)) {
                return Ok(());
            }
            return Err(DirectoryError::Locked {
                lock: lock.to_owned(),
                waited_ms: waited.as_millis() as u64,
            });
        }
        let longest_us = (500u64 << self.tries.min(6)).min(20_000);
        self.tries += 1;
        // Random, so that two that wait for each other's locks do not stay in step.
        let pause = Duration::from_micros(rand::rng().random_range(longest_us / 4..=longest_us));
        std::thread::sleep(pause.min(self.limit - waited));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::file_system::is_on_disk;
    use super::super::lock::{LockFile, NotLocked, lock_path};
    use super::super::permissions::Sharing;
    use super::*;

    #[test]
    fn a_lock_that_a_power_cut_left_is_waited_for_and_then_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ref");
        fs::write(lock_path(&path), b"").unwrap();
        let limit = Duration::from_millis(20);
        let later: fn() -> Option<Boot> = || Some(Boot::at(i64::MAX / 2));
        let begun = Instant::now();
        let take = |mut patience: Patience, boot| {
            patience.boot = boot;
            LockFile::take(folder.path(), Sharing::Umask, &path, &mut patience, None)
        };
        for refused in [
            take(Patience::new(limit), || None),
            take(Patience::new(limit), || Some(Boot::at(1))),
            take(Patience::new(Duration::ZERO), later),
            // Others are held meanwhile, and there is time to come back to this one.
            take(Patience::new(limit).at_most(limit / 2), later),
        ] {
            assert!(matches!(
                refused,
                Err(NotLocked::Error(DirectoryError::Locked { .. }))
            ));
            assert!(lock_path(&path).exists());
        }
        assert!(begun.elapsed() >= limit * 2);
        let taken = take(Patience::new(limit), later);
        assert_eq!(taken.is_ok(), is_on_disk(folder.path()));
    }
}
