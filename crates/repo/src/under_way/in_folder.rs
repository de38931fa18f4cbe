//! What is under way in an open folder. Its path is not looked up again: somebody may put a link there meanwhile.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use packhouse_object::ProcessMark;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Timestamps, flock};
use rustix::io::Errno;

use super::{Kind, LOOKED_THROUGH_MAX, NEW, RANDOM_CHARS, TRIES, is_of_this_system};

const NO_FOLLOW: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);

/// What an open folder is to get under a name when it is whole. Dropped before, it is removed.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    folder: &'a OwnedFd,
    made: Made,
    moved: bool,
    made_in: ProcessMark,
}

#[derive(Debug)]
enum Made {
    /// A file, locked until it is in its place.
    File { name: String, file: File },
    /// A link. It cannot be locked, so it is in a folder that is.
    Link { name: String, holder: OwnedFd },
}

impl<'a> NewEntry<'a> {
    /// An empty file, with permissions before the umask.
    pub(crate) fn file(kind: Kind, folder: &'a OwnedFd, mode: u32) -> Result<Self, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NO_FOLLOW;
        let mode = Mode::from_raw_mode(mode);
        let make = |name: &str| rustix::fs::openat(folder, name, flags, mode);
        let (name, file) = claimed(kind, folder, make)?;
        let file = File::from(file);
        let made = Made::File { name, file };
        let moved = false;
        Ok(NewEntry {
            folder,
            made,
            moved,
            made_in: ProcessMark::here(),
        })
    }

    /// A link with a time.
    pub(crate) fn link(
        kind: Kind,
        folder: &'a OwnedFd,
        target: &[u8],
        times: &Timestamps,
    ) -> Result<Self, Errno> {
        let make = |name: &str| {
            rustix::fs::mkdirat(folder, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | NO_FOLLOW;
            rustix::fs::openat(folder, name, flags, Mode::empty())
        };
        let (name, holder) = claimed(kind, folder, make)?;
        let made = Made::Link { name, holder };
        let moved = false;
        let link = NewEntry {
            folder,
            made,
            moved,
            made_in: ProcessMark::here(),
        };
        if let Made::Link { holder, .. } = &link.made {
            rustix::fs::symlinkat(target, holder, NEW)?;
            rustix::fs::utimensat(holder, NEW, times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(link)
    }

    /// The file, to be written; `None` for a link.
    pub(crate) fn as_file(&mut self) -> Option<&mut File> {
        match &mut self.made {
            Made::File { file, .. } => Some(file),
            Made::Link { .. } => None,
        }
    }

    /// Gives it its name, whose file or link it replaces.
    pub(crate) fn move_to(&mut self, name: &[u8]) -> Result<(), Errno> {
        let (from, old) = match &self.made {
            Made::File { name, .. } => (self.folder, name.as_str()),
            Made::Link { holder, .. } => (holder, NEW),
        };
        rustix::fs::renameat(from, old, self.folder, name)?;
        self.moved = true;
        Ok(())
    }
}

impl Drop for NewEntry<'_> {
    fn drop(&mut self) {
        if !self.made_in.is_here() {
            return;
        }
        // Best effort: whatever led here says more than a left-over would, which goes with the next copy.
        match &self.made {
            Made::File { name, .. } if !self.moved => {
                let _ = rustix::fs::unlinkat(self.folder, name.as_str(), AtFlags::empty());
            }
            Made::File { .. } => {}
            Made::Link { name, holder } => {
                if !self.moved {
                    let _ = rustix::fs::unlinkat(holder, NEW, AtFlags::empty());
                }
                let _ = rustix::fs::unlinkat(self.folder, name.as_str(), AtFlags::REMOVEDIR);
            }
        }
    }
}

/// Makes something under a name that nobody has, and locks it.
fn claimed(
    kind: Kind,
    folder: &OwnedFd,
    make: impl Fn(&str) -> Result<OwnedFd, Errno>,
) -> Result<(String, OwnedFd), Errno> {
    let mut last = Errno::BUSY;
    for _ in 0..TRIES {
        let name = random_name(kind);
        let made = match make(&name) {
            Ok(made) => made,
            // Somebody has the name, or took what was just made for something that was left.
            Err(error @ (Errno::EXIST | Errno::NOENT)) => {
                last = error;
                continue;
            }
            Err(error) => return Err(error),
        };
        match flock(&made, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {}
            // Where there are no locks there is none to be had for others either, and nobody removes anything.
            _ if is_at(&made, folder, name.as_bytes()) => return Ok((name, made)),
            _ => {}
        }
    }
    Err(last)
}

fn random_name(kind: Kind) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut name = kind.beginning();
    let mut random = rand::random::<u64>();
    for _ in 0..RANDOM_CHARS {
        name.push(char::from(DIGITS[(random % 36) as usize]));
        random /= 36;
    }
    name
}

fn is_at(open: impl AsFd, folder: &OwnedFd, name: &[u8]) -> bool {
    let named = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
    match (rustix::fs::fstat(open), named) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

/// Removes what writers of one kind left in an open folder that are gone, as far as it is among the first names of a huge
/// one. What cannot be removed now is left to the next time.
pub(crate) fn remove_left_in(kind: Kind, folder: &OwnedFd) {
    let Ok(entries) = Dir::read_from(folder) else {
        return;
    };
    // Listed first: removing while listing may skip entries.
    let left: Vec<CString> = entries
        .map_while(Result::ok)
        .take(LOOKED_THROUGH_MAX)
        .map(|entry| entry.file_name().to_owned())
        .filter(|name| is_of(kind, name.to_bytes()))
        .collect();
    for name in left {
        remove_if_left(kind, folder, name.to_bytes());
    }
}

/// Removes what has this name in an open folder if a writer of this kind made it and is gone.
pub(crate) fn remove_if_left(kind: Kind, folder: &OwnedFd, name: &[u8]) {
    if is_of(kind, name) {
        // Nothing depends on it: what is made now has a name of its own.
        let _ = remove_unlocked(folder, name);
    }
}

fn is_of(kind: Kind, name: &[u8]) -> bool {
    name.starts_with(kind.prefix().as_bytes()) && is_of_this_system(OsStr::from_bytes(name))
}

fn remove_unlocked(folder: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let (access, is_folder) = match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => (OFlags::RDWR, false),
        FileType::Directory => (OFlags::RDONLY | OFlags::DIRECTORY, true),
        _ => return Ok(()),
    };
    if found.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let open = |access| rustix::fs::openat(folder, name, access | NO_FOLLOW, Mode::empty());
    // Some file systems over the network lock only what is open for writing.
    let open = open(access).or_else(|_| open(access.difference(OFlags::RDWR)))?;
    flock(&open, FlockOperation::NonBlockingLockExclusive)?;
    if !is_at(&open, folder, name) {
        return Ok(());
    }
    if !is_folder {
        return rustix::fs::unlinkat(folder, name, AtFlags::empty());
    }
    match rustix::fs::unlinkat(&open, NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    // If somebody put something else in it, it stays.
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}
