//! Git's lock files: whoever makes `<file>.lock` may replace `<file>`, by renaming the one over the other.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::durable::{create_folders, sync_folder};
use super::error::DirectoryError;
use super::side_by_side::Job;

/// How often a lock is tried when the folders for it vanish in between: someone else removes empty ones.
const FOLDER_ATTEMPTS: u32 = 100;

/// A lock that is held. Dropping it gives it up, leaving the file as it was.
#[derive(Debug)]
pub(super) struct LockFile {
    file: Arc<File>,
    lock: PathBuf,
    path: PathBuf,
    held: bool,
}

/// A lock was not taken.
#[derive(Debug)]
pub(super) enum NotLocked {
    /// A file stands where a folder would be needed.
    FileInTheWay,
    Error(DirectoryError),
}

impl From<DirectoryError> for NotLocked {
    fn from(error: DirectoryError) -> Self {
        NotLocked::Error(error)
    }
}

impl LockFile {
    /// Takes the lock on `path`, making the folders below `root` that it needs, and waiting for another holder.
    pub(super) fn take(
        root: &Path,
        path: &Path,
        patience: &mut Patience,
    ) -> Result<LockFile, NotLocked> {
        let lock = lock_path(path);
        let mut vanished = 0;
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(file) => {
                    return Ok(LockFile {
                        file: Arc::new(file),
                        lock,
                        path: path.to_owned(),
                        held: true,
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => patience.wait(&lock)?,
                Err(error) if error.kind() == ErrorKind::NotADirectory => {
                    return Err(NotLocked::FileInTheWay);
                }
                Err(error) if error.kind() == ErrorKind::NotFound && vanished < FOLDER_ATTEMPTS => {
                    vanished += 1;
                    match create_folders(root, path.parent().unwrap_or(root)) {
                        Err(error) if error.kind() == ErrorKind::NotADirectory => {
                            return Err(NotLocked::FileInTheWay);
                        }
                        Err(error) if error.kind() != ErrorKind::NotFound => {
                            return Err(
                                DirectoryError::io("make the folder of", &lock)(error).into()
                            );
                        }
                        _ => {}
                    }
                }
                Err(error) => return Err(DirectoryError::io("make", &lock)(error).into()),
            }
        }
    }

    /// The file that is locked.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What will be the content of the file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// What will be the content of the file, to be made durable.
    pub(super) fn to_sync(&self) -> Job {
        Job::Content(self.file.clone(), self.lock.clone())
    }

    /// Writes the whole new content and makes it durable.
    pub(super) fn write(&mut self, content: &[u8]) -> Result<(), DirectoryError> {
        let written = self
            .file()
            .write_all(content)
            .and_then(|()| self.file.sync_all());
        written.map_err(DirectoryError::io("write", &self.lock))
    }

    /// Writes the whole new content.
    pub(super) fn write_unsynced(&mut self, content: &[u8]) -> Result<(), DirectoryError> {
        let written = self.file().write_all(content);
        written.map_err(DirectoryError::io("write", &self.lock))
    }

    /// Puts the new content in place of the file and gives up the lock. The caller syncs what has to be durable.
    pub(super) fn rename(mut self) -> io::Result<()> {
        fs::rename(&self.lock, &self.path)?;
        self.held = false;
        Ok(())
    }

    /// As [`LockFile::rename`], for content that need not be durable: some file systems write out a file that
    /// replaces another, and wait for that. Two files that change places are left alone.
    pub(super) fn exchange(self) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, &self.lock, CWD, &self.path, RenameFlags::EXCHANGE) {
            // Dropping it removes what is the old file now.
            Ok(()) => Ok(()),
            Err(_) => self.rename(),
        }
    }

    /// Puts the new content in place of the file, durably, and gives up the lock.
    pub(super) fn commit(mut self) -> io::Result<()> {
        fs::rename(&self.lock, &self.path)?;
        self.held = false;
        match self.path.parent() {
            Some(folder) => sync_folder(folder),
            None => Ok(()),
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.held {
            // Nothing can be done about a failure: others will report the lock.
            let _ = fs::remove_file(&self.lock);
        }
    }
}

/// Where the lock of a file is.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

/// How long others are waited for, over all locks of one write.
#[derive(Debug)]
pub(super) struct Patience {
    started: Instant,
    limit: Duration,
    tries: u32,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Patience {
        Patience {
            started: Instant::now(),
            limit,
            tries: 0,
        }
    }

    /// As long as this one, but no longer than `limit` from now on.
    pub(super) fn at_most(&self, limit: Duration) -> Patience {
        Patience::new(limit.min(self.limit.saturating_sub(self.started.elapsed())))
    }

    /// Sleeps a little, longer each time, before the lock is tried again; an error once the time is over.
    pub(super) fn wait(&mut self, lock: &Path) -> Result<(), DirectoryError> {
        let waited = self.started.elapsed();
        if waited >= self.limit {
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
    use super::*;

    #[test]
    fn a_lock_excludes_and_is_given_up_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/ref");
        let mut patience = Patience::new(Duration::from_millis(30));
        let mut held = LockFile::take(folder.path(), &path, &mut patience).unwrap();
        let refused = LockFile::take(folder.path(), &path, &mut patience).unwrap_err();
        assert!(
            matches!(refused, NotLocked::Error(DirectoryError::Locked { lock, .. }) if lock == lock_path(&path))
        );
        held.write(b"one\n").unwrap();
        drop(held);
        assert!(!path.exists());

        let mut held = LockFile::take(folder.path(), &path, &mut patience).unwrap();
        held.write(b"two\n").unwrap();
        held.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two\n");
        assert!(!lock_path(&path).exists());
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), b"").unwrap();
        let path = folder.path().join("a/b");
        let refused =
            LockFile::take(folder.path(), &path, &mut Patience::new(Duration::ZERO)).unwrap_err();
        assert!(matches!(refused, NotLocked::FileInTheWay));
    }
}
