//! A local folder that files are written into and deleted from, and nothing outside it.
//!
//! Every step below the folder is taken from an open folder, without following links: a link or a file where a folder
//! has to be is replaced, whoever put it there and when. Files appear whole, under a temporary name first.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use rustix::fs::{AtFlags, Dir, FileType as Kind, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::FolderId;
use crate::store::path::check_to_disk;
use crate::store::{FileType, StoreError};

/// How often a step is tried again while someone else changes the same place.
const TRIES: usize = 16;

const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A folder that is written into.
pub(super) struct Destination {
    root: OwnedFd,
    path: PathBuf,
    /// The store's own folder, which is never written into.
    kept_out: FolderId,
}

/// What is at a path, without following links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Free,
    /// A file, a link or a folder.
    Taken,
    /// Something on the way is no folder.
    Blocked,
}

/// What a new file is made of.
pub(super) enum Content<'a> {
    /// A file: its content is written by the function.
    File {
        executable: bool,
        write: &'a mut dyn FnMut(&mut File) -> Result<(), StoreError>,
    },
    /// A link to this target.
    Link(&'a [u8]),
}

impl Destination {
    /// Opens the folder at `path`, through links if there are any; `make` makes it first where it is missing.
    /// `None` if it is missing.
    pub(super) fn open(
        path: &Path,
        make: bool,
        kept_out: FolderId,
    ) -> Result<Option<Destination>, StoreError> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        if make {
            fs::create_dir_all(path).map_err(|error| match fs::metadata(path) {
                Ok(found) if !found.is_dir() => {
                    StoreError::LocalNotADirectory { path: path.into() }
                }
                _ => StoreError::local(path)(error),
            })?;
        }
        let flags = OPEN_FOLDER.difference(OFlags::NOFOLLOW);
        let root = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(root) => root,
            Err(Errno::NOENT) if !make => return Ok(None),
            Err(Errno::NOTDIR) => {
                return Err(StoreError::LocalNotADirectory { path: path.into() });
            }
            Err(error) => return Err(StoreError::local(path)(error.into())),
        };
        // From the root folder upwards too: a folder inside the store is the store.
        let real = path.canonicalize().map_err(StoreError::local(path))?;
        if real
            .ancestors()
            .any(|folder| FolderId::of(folder).is_ok_and(|id| id == kept_out))
        {
            return Err(StoreError::invalid(format!(
                "the destination is inside the store: {}",
                path.display()
            )));
        }
        Ok(Some(Destination {
            root,
            path: path.to_owned(),
            kept_out,
        }))
    }

    /// Where a path is on disk, for messages.
    pub(super) fn local_path(&self, path: &BStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// What is at a path.
    pub(super) fn place(&self, path: &BStr) -> io::Result<Place> {
        let (parent, name) = split(path);
        let folder = match self.folder(parent) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(Place::Free),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Place::Blocked),
            Err(error) => return Err(error.into()),
        };
        match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(Place::Taken),
            Err(Errno::NOENT) => Ok(Place::Free),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens an existing folder.
    fn folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        for name in names(path) {
            folder = rustix::fs::openat(&folder, name, OPEN_FOLDER, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Opens a folder for writing, making it and those above it, and replacing what is in their place.
    pub(super) fn make_folder(&self, path: &BStr) -> Result<OwnedFd, StoreError> {
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0).map_err(failed)?;
        for name in names(path) {
            check_to_disk(path, name, FileType::Tree)?;
            folder = step(&folder, name).map_err(failed)?;
            if FolderId::of_open(&folder).map_err(failed)? == self.kept_out {
                return Err(StoreError::invalid(format!(
                    "the store is in the way: {}",
                    self.local_path(path).display()
                )));
            }
        }
        Ok(folder)
    }

    /// Writes the file or link `name` in an open folder, replacing whatever is there. Its time becomes `seconds`.
    /// `path` is for messages.
    pub(super) fn write(
        &self,
        folder: &OwnedFd,
        path: &BStr,
        content: Content<'_>,
        seconds: i64,
    ) -> Result<(), StoreError> {
        let name = split(path).1;
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let file_type = match content {
            Content::File { .. } => FileType::Blob,
            Content::Link(_) => FileType::Link,
        };
        check_to_disk(path, name, file_type)?;
        let temporary = format!(".packhouse-{:016x}", rand::random::<u64>());
        let made = match content {
            Content::File { executable, write } => {
                self.make_file(folder, &temporary, path, executable, write, seconds)
            }
            Content::Link(target) => rustix::fs::symlinkat(target, folder, temporary.as_str())
                .and_then(|()| {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    rustix::fs::utimensat(folder, temporary.as_str(), &times(seconds), flags)
                })
                .map_err(failed),
        };
        let moved = made.and_then(|()| put_in_place(folder, &temporary, name).map_err(failed));
        if moved.is_err() {
            // Best effort: the error says more than a left-over would.
            let _ = rustix::fs::unlinkat(folder, temporary.as_str(), AtFlags::empty());
        }
        moved
    }

    fn make_file(
        &self,
        folder: &OwnedFd,
        temporary: &str,
        path: &BStr,
        executable: bool,
        write: &mut dyn FnMut(&mut File) -> Result<(), StoreError>,
        seconds: i64,
    ) -> Result<(), StoreError> {
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        let mut file =
            File::from(rustix::fs::openat(folder, temporary, flags, mode).map_err(failed)?);
        write(&mut file)?;
        rustix::fs::futimens(&file, &times(seconds)).map_err(failed)
    }

    /// Deletes a file or link; it is no error if it is gone already, or below something that is no folder.
    pub(super) fn delete(&self, path: &BStr) -> Result<(), StoreError> {
        let (parent, name) = split(path);
        let deleted = self
            .folder(parent)
            .and_then(|folder| rustix::fs::unlinkat(&folder, name, AtFlags::empty()));
        match deleted {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(error) => Err(StoreError::local(self.local_path(path))(error.into())),
        }
    }

    /// Deletes a folder if it is empty.
    pub(super) fn prune(&self, path: &BStr) {
        let (parent, name) = split(path);
        if let Ok(folder) = self.folder(parent) {
            // What is not empty stays.
            let _ = rustix::fs::unlinkat(&folder, name, AtFlags::REMOVEDIR);
        }
    }
}

/// The path of the folder and the name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.rfind_byte(b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
}

/// Opens the folder `name` for writing, whatever is there.
fn step(folder: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let mut last = Errno::BUSY;
    for _ in 0..TRIES {
        last = match rustix::fs::openat(folder, name, OPEN_FOLDER, Mode::empty()) {
            Ok(below) => return Ok(below),
            Err(error) => error,
        };
        match last {
            Errno::NOENT => match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            },
            Errno::NOTDIR | Errno::LOOP => {
                match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
                    Err(error) => return Err(error),
                }
            }
            _ => return Err(last),
        }
    }
    Err(last)
}

fn put_in_place(folder: &OwnedFd, temporary: &str, name: &[u8]) -> Result<(), Errno> {
    let mut last = Errno::BUSY;
    for _ in 0..TRIES {
        last = match rustix::fs::renameat(folder, temporary, folder, name) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match last {
            Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => delete_folder(folder, name)?,
            _ => return Err(last),
        }
    }
    Err(last)
}

/// Deletes a folder with everything in it, following no link.
fn delete_folder(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let folder = match rustix::fs::openat(parent, name, OPEN_FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return rustix::fs::unlinkat(parent, name, AtFlags::empty());
        }
        Err(error) => return Err(error),
    };
    // Listed first: deleting while listing may skip entries.
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            entries.push((name.to_vec(), entry.file_type()));
        }
    }
    for (name, kind) in entries {
        if kind == Kind::Directory {
            delete_folder(&folder, &name)?;
            continue;
        }
        match rustix::fs::unlinkat(&folder, name.as_slice(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // A file system that does not tell kinds in listings.
            Err(Errno::ISDIR | Errno::PERM) if kind == Kind::Unknown => {
                delete_folder(&folder, &name)?;
            }
            Err(error) => return Err(error),
        }
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

fn times(seconds: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
