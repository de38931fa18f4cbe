//! A directory that is copied, read through folders that are held open.
//!
//! What always holds: no link below the directory is followed, also none that took the place of a folder after it was looked
//! at.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use bstr::{BString, ByteSlice};
use rustix::fs::{CWD, Mode, openat, readlinkat};

use super::take_over::{OPEN_FILE, OPEN_FOLDER};

/// An open directory.
pub(super) struct SourceFolder {
    top: OwnedFd,
    /// The folder that something was read from last: what is read next is mostly beside it.
    last: Option<(BString, OwnedFd)>,
}

impl SourceFolder {
    /// The directory at `path`, which is no link.
    pub(super) fn open(path: &Path) -> io::Result<SourceFolder> {
        Ok(SourceFolder {
            top: openat(CWD, path, OPEN_FOLDER, Mode::empty())?,
            last: None,
        })
    }

    /// What is at a path of the directory, unless that is a link.
    pub(super) fn open_file(&mut self, path: &BString) -> io::Result<File> {
        let (folder, name) = self.parent_of(path)?;
        Ok(File::from(openat(folder, name, OPEN_FILE, Mode::empty())?))
    }

    /// Where a link leads.
    pub(super) fn read_link(&mut self, path: &BString) -> io::Result<OsString> {
        let (folder, name) = self.parent_of(path)?;
        let target = readlinkat(folder, name, Vec::new())?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// The folder that a path is in, open, and the name there.
    fn parent_of<'a>(&mut self, path: &'a BString) -> io::Result<(&OwnedFd, &'a OsStr)> {
        let (parent, name) = match path.rfind_byte(b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], path.as_slice()),
        };
        let name = OsStr::from_bytes(name);
        if parent.is_empty() {
            return Ok((&self.top, name));
        }
        let known = self
            .last
            .take()
            .filter(|(known, _)| known.as_slice() == parent);
        let folder = match known {
            Some((_, folder)) => folder,
            None => self.folder(parent)?,
        };
        let (_, folder) = &*self.last.insert((parent.into(), folder));
        Ok((folder, name))
    }

    fn folder(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let mut names = path.split_str("/");
        let first = names.next().unwrap_or_default();
        let first = openat(&self.top, first, OPEN_FOLDER, Mode::empty())?;
        let folder = names.try_fold(first, |folder, name| {
            openat(&folder, name, OPEN_FOLDER, Mode::empty())
        });
        Ok(folder?)
    }
}
