//! A file that is open in one process only.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::Path;

use super::ProcessMark;
use super::handlers::unshared;

/// An open file that no process has which is forked off. A lock on it ends when this is dropped, and with this process at the
/// latest.
///
/// `O_CLOEXEC` closes a file when another program is started, which is later than a fork, or never.
#[derive(Debug)]
pub struct UnsharedFile {
    /// There until this is dropped.
    file: Option<File>,
    made_in: ProcessMark,
}

impl UnsharedFile {
    /// Opens a file.
    pub fn open(path: &Path, options: &OpenOptions) -> io::Result<UnsharedFile> {
        let mut unshared = unshared();
        let file = options.open(path)?;
        unshared.push(file.as_raw_fd());
        Ok(UnsharedFile {
            file: Some(file),
            made_in: ProcessMark::here(),
        })
    }

    /// The file; `None` in a process that was forked off, which has it no more.
    pub fn get(&self) -> Option<&File> {
        self.file.as_ref().filter(|_| self.made_in.is_here())
    }
}

impl Drop for UnsharedFile {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else {
            return;
        };
        if !self.made_in.is_here() {
            // It is closed, and its number may be that of another file by now.
            let _ = file.into_raw_fd();
            return;
        }
        // Closing is not enough: a program that another thread is starting has the file open until it runs. Nothing can be
        // done about a failure, and a file that is not locked has none.
        let _ = file.unlock();
        let mut unshared = unshared();
        unshared.retain(|noted| *noted != file.as_raw_fd());
        // Before the lock is given up: then another file may have its number.
        drop(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_noted_while_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = UnsharedFile::open(&folder.path().join("a"), &options).unwrap();
        let number = file.get().unwrap().as_raw_fd();
        assert!(unshared().contains(&number));
        drop(file);
        assert!(!unshared().contains(&number));
        assert!(UnsharedFile::open(folder.path(), &options).is_err());
    }

    #[test]
    fn a_lock_ends_although_a_program_that_is_being_started_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = UnsharedFile::open(&path, &options).unwrap();
        file.get().unwrap().lock().unwrap();
        // What such a program has until then: another descriptor of the same open file.
        let of_program = file.get().unwrap().try_clone().unwrap();
        let is_free = || File::open(&path).unwrap().try_lock().is_ok();
        assert!(!is_free());
        drop(file);
        assert!(is_free());
        drop(of_program);
    }
}
