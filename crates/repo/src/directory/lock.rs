//! Git's lock files: whoever makes `<file>.lock` may replace `<file>`, by renaming the one over the other.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packhouse_object::ProcessMark;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::durable::{create_folders, sync_folder};
use super::error::DirectoryError;
use super::gate::Gate;
use super::patience::Patience;
use super::permissions::Sharing;
use super::side_by_side::Job;

/// What a lock file is called, in the repository's folder, before it is noted.
pub(super) const NEW_LOCK: &str = "gitstore.new";

/// How often a lock is tried when the folders for it vanish in between: someone else removes empty ones.
const FOLDER_ATTEMPTS: u32 = 100;

/// A lock that is held. Dropping it gives it up, leaving the file as it was.
#[derive(Debug)]
pub(super) struct LockFile {
    file: Arc<File>,
    lock: PathBuf,
    path: PathBuf,
    held: bool,
    made_in: ProcessMark,
    /// Where it is noted, if it was taken in a turn.
    gate: Option<Arc<Gate>>,
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
    /// Takes the lock on `path`, making the folders below `root` that it needs, and waiting for another holder. In a turn,
    /// it is noted with the gate.
    pub(super) fn take(
        root: &Path,
        sharing: Sharing,
        path: &Path,
        patience: &mut Patience,
        gate: Option<&Arc<Gate>>,
    ) -> Result<LockFile, NotLocked> {
        let lock = lock_path(path);
        let gate = gate.filter(|gate| gate.is_mine());
        let mut vanished = 0;
        loop {
            let made = match gate {
                Some(gate) => make_noted(root, sharing, &lock, gate),
                None => sharing.create_new(&lock),
            };
            match made {
                Ok(file) => {
                    if let Some(gate) = gate {
                        gate.hold();
                    }
                    return Ok(LockFile {
                        file: Arc::new(file),
                        lock,
                        path: path.to_owned(),
                        held: true,
                        made_in: ProcessMark::here(),
                        gate: gate.cloned(),
                    });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => patience.wait(&lock)?,
                Err(error) if error.kind() == ErrorKind::NotADirectory => {
                    return Err(NotLocked::FileInTheWay);
                }
                Err(error) if error.kind() == ErrorKind::NotFound && vanished < FOLDER_ATTEMPTS => {
                    vanished += 1;
                    match create_folders(root, path.parent().unwrap_or(root), sharing) {
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
        if let Some(gate) = &self.gate {
            gate.note(&self.lock, &fs::symlink_metadata(&self.path)?)?;
        }
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
        // A process that was forked off meanwhile does not hold it.
        if !self.made_in.is_here() {
            return;
        }
        if self.held {
            // Nothing can be done about a failure: others will report the lock.
            let _ = fs::remove_file(&self.lock);
        }
        if let Some(gate) = &self.gate {
            gate.let_go();
        }
    }
}

/// Makes a lock file that has been noted before it gets its name.
fn make_noted(root: &Path, sharing: Sharing, lock: &Path, gate: &Gate) -> io::Result<File> {
    let new = root.join(NEW_LOCK);
    let file = loop {
        match sharing.create_new(&new) {
            // A writer was killed. Nobody else makes one in this thread's turn.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(&new)?,
            file => break file?,
        }
    };
    let named = gate
        .note(lock, &file.metadata()?)
        .and_then(|()| rename_to_new(&new, lock));
    match named {
        Ok(()) => Ok(file),
        Err(error) => {
            let _ = fs::remove_file(&new);
            match error.kind() {
                // The file system cannot rename so. One that is killed before the note leaves a lock that others wait for.
                ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::CrossesDevices => {
                    let file = sharing.create_new(lock)?;
                    gate.note(lock, &file.metadata()?)?;
                    Ok(file)
                }
                _ => Err(error),
            }
        }
    }
}

/// Renames a file unless there is one of the new name.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// Where the lock of a file is.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lock_excludes_and_is_given_up_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/ref");
        let mut patience = Patience::new(Duration::from_millis(30));
        let mut held =
            LockFile::take(folder.path(), Sharing::Umask, &path, &mut patience, None).unwrap();
        let refused =
            LockFile::take(folder.path(), Sharing::Umask, &path, &mut patience, None).unwrap_err();
        assert!(
            matches!(refused, NotLocked::Error(DirectoryError::Locked { lock, .. }) if lock == lock_path(&path))
        );
        held.write(b"one\n").unwrap();
        drop(held);
        assert!(!path.exists());

        let mut held =
            LockFile::take(folder.path(), Sharing::Umask, &path, &mut patience, None).unwrap();
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
        let refused = LockFile::take(
            folder.path(),
            Sharing::Umask,
            &path,
            &mut Patience::new(Duration::ZERO),
            None,
        )
        .unwrap_err();
        assert!(matches!(refused, NotLocked::FileInTheWay));
    }
}
