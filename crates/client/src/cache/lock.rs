//! Locks between threads and processes, on files.
//!
//! A lock ends with its process, however that ends. The files stay: whoever deleted one could leave two processes with
//! a lock each.

use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use packhouse_object::UnsharedFile;
use rustix::fs::OFlags;

use super::{CacheError, CacheStep, CallOptions};

/// How long a wait sleeps first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(25)];

/// With whom a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// With nobody.
    Exclusive,
    /// With others who share it.
    Shared,
}

/// A lock on a file, until it is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    /// Gives the lock up when it is dropped, also where a program that is being started has it open.
    file: UnsharedFile,
}

impl FileLock {
    /// Takes the lock if it is free now.
    pub(super) fn try_take(path: &Path, sharing: Sharing) -> Result<Option<FileLock>, CacheError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        // What a link leads to is not ours.
        options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
        let file = UnsharedFile::open(path, &options).map_err(|error| {
            match rustix::io::Errno::from_io_error(&error) {
                Some(rustix::io::Errno::LOOP) => CacheError::Occupied {
                    path: path.to_owned(),
                },
                _ => CacheError::file(path)(error),
            }
        })?;
        let open = file.get().ok_or_else(|| forked(path))?;
        let taken = match sharing {
            Sharing::Exclusive => open.try_lock(),
            Sharing::Shared => open.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Some(FileLock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(CacheError::file(path)(error)),
        }
    }

    /// Waits for the lock as long as the call goes on.
    pub(super) fn take(
        path: &Path,
        sharing: Sharing,
        call: &CallOptions<'_>,
    ) -> Result<FileLock, CacheError> {
        let mut pause = PAUSES[0];
        loop {
            if let Some(lock) = FileLock::try_take(path, sharing)? {
                return Ok(lock);
            }
            call.check()?;
            call.step(CacheStep::Waiting, 0, None);
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    /// As [`FileLock::take`], and waits no longer than until `end`.
    pub(super) fn take_until(
        path: &Path,
        sharing: Sharing,
        end: Instant,
        call: &CallOptions<'_>,
    ) -> Result<Option<FileLock>, CacheError> {
        loop {
            let taken = FileLock::try_take(path, sharing)?;
            if taken.is_some() || Instant::now() >= end {
                return Ok(taken);
            }
            call.check()?;
            call.step(CacheStep::Waiting, 0, None);
            std::thread::sleep(PAUSES[1]);
        }
    }

    /// Whether the file at `path` is still the one that is locked.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let Some(mine) = self.file.get().and_then(|file| file.metadata().ok()) else {
            return false;
        };
        std::fs::symlink_metadata(path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino()))
    }
}

/// A process that has a lock on this file, where the system tells it.
pub(super) fn holder(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::symlink_metadata(path).ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`. Some file systems show another device there than elsewhere.
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else {
            return None;
        };
        (place.rsplit(':').next()? == inode).then(|| pid.parse().ok())?
    };
    locks.lines().find_map(of_line).filter(|pid| *pid > 0)
}

fn forked(path: &Path) -> CacheError {
    CacheError::file(path)(io::Error::other("the lock is another process's"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_a_lock_or_several_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let shared = FileLock::try_take(&path, Sharing::Shared).unwrap().unwrap();
        let other = FileLock::try_take(&path, Sharing::Shared).unwrap().unwrap();
        assert!(
            FileLock::try_take(&path, Sharing::Exclusive)
                .unwrap()
                .is_none()
        );
        let me = cfg!(target_os = "linux").then(std::process::id);
        assert_eq!(holder(&path), me);
        drop((shared, other));
        assert_eq!(holder(&path), None);
        let alone = FileLock::try_take(&path, Sharing::Exclusive)
            .unwrap()
            .unwrap();
        assert!(
            FileLock::try_take(&path, Sharing::Shared)
                .unwrap()
                .is_none()
        );
        assert!(alone.is_at(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(!alone.is_at(&path));
    }

    #[test]
    fn a_lock_that_is_given_up_is_free_though_its_file_is_open_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = FileLock::try_take(&path, Sharing::Exclusive)
            .unwrap()
            .unwrap();
        // As a program has it that is being started.
        let _elsewhere = lock.file.get().unwrap().try_clone().unwrap();
        drop(lock);
        assert!(
            FileLock::try_take(&path, Sharing::Exclusive)
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("lock"), folder.path().join("victim"));
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let refused = FileLock::try_take(&path, Sharing::Exclusive).unwrap_err();
        assert!(matches!(refused, CacheError::Occupied { path: named } if named == path));
        assert!(!victim.exists());
    }

    #[test]
    fn a_wait_ends_when_the_call_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = FileLock::try_take(&path, Sharing::Exclusive).unwrap();
        let token = super::super::CancelToken::new();
        token.cancel();
        let call = CallOptions {
            cancel: Some(&token),
            progress: None,
        };
        let ended = FileLock::take(&path, Sharing::Shared, &call).unwrap_err();
        assert!(matches!(ended, CacheError::Cancelled));
    }
}
