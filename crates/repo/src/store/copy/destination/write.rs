//! Writing one file or link: whole under another name first, or in place.

use std::fs::File;
use std::os::fd::OwnedFd;

use bstr::BStr;
use rustix::fs::{AtFlags, FileType as Kind, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::{Destination, Named, TRIES, delete_folder, split};
use crate::store::copy::FolderId;
use crate::store::path::check_to_disk;
use crate::store::{FileType, StoreError};
use crate::under_way::{self, NewEntry};

/// What a new file is made of.
pub(in crate::store::copy) enum Content<'a> {
    /// A file: its content is written by the function.
    File {
        executable: bool,
        write: &'a mut dyn FnMut(&mut File) -> Result<(), StoreError>,
    },
    /// A link to this target.
    Link(&'a [u8]),
}

impl Destination {
    /// Writes the file or link `name` in an open folder, replacing whatever is there. Its time becomes `seconds`.
    /// `path` is for messages. Where nothing is there and files may be seen before they are whole, it has no other name
    /// first, which saves a change of the folder; such a file is returned while it is open.
    pub(in crate::store::copy) fn write(
        &self,
        folder: &OwnedFd,
        path: &BStr,
        content: Content<'_>,
        seconds: i64,
    ) -> Result<Option<File>, StoreError> {
        let name = split(path).1;
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let file_type = match content {
            Content::File { .. } => FileType::Blob,
            Content::Link(_) => FileType::Link,
        };
        if self.named == Named::ByTree {
            check_to_disk(path, name, file_type)?;
        }
        let mut content = content;
        // A link is whole as soon as it is there.
        if self.in_place || matches!(content, Content::Link(_)) {
            match make_in_place(folder, name, &mut content, seconds) {
                Err(NotMade::Taken) => {}
                Err(NotMade::Failed(error)) => return Err(failed(error)),
                Err(NotMade::Content(error)) => return Err(error),
                Ok(made) => return Ok(made),
            }
        }
        let mut made = match content {
            Content::File { executable, write } => {
                let old = old_file(folder, name).map_err(failed)?;
                let mut made = make_file(folder, old, executable).map_err(failed)?;
                if let Some(file) = made.as_file() {
                    write(file)?;
                    rustix::fs::futimens(file, &times(seconds)).map_err(failed)?;
                }
                made
            }
            Content::Link(target) => {
                NewEntry::link(under_way::Kind::Copy, folder, target, &times(seconds))
                    .map_err(failed)?
            }
        };
        self.put_in_place(folder, &mut made, path)?;
        Ok(None)
    }

    fn put_in_place(
        &self,
        folder: &OwnedFd,
        made: &mut NewEntry<'_>,
        path: &BStr,
    ) -> Result<(), StoreError> {
        let name = split(path).1;
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let mut last = Errno::BUSY;
        for _ in 0..TRIES {
            last = match made.move_to(name) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match (last, self.named) {
                (Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST, Named::ByTree) => {
                    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
                    if found.is_ok_and(|found| self.store.is_in(FolderId::of_stat(&found))) {
                        return Err(self.in_the_way(path));
                    }
                    delete_folder(folder, name).map_err(failed)?;
                }
                _ => return Err(failed(last)),
            }
        }
        Err(failed(last))
    }
}

/// Why nothing was written in place.
enum NotMade {
    /// Something is there.
    Taken,
    Failed(Errno),
    Content(StoreError),
}

impl From<Errno> for NotMade {
    fn from(error: Errno) -> NotMade {
        match error {
            Errno::EXIST => NotMade::Taken,
            error => NotMade::Failed(error),
        }
    }
}

/// Writes a file or link under its own name, if nothing is there.
fn make_in_place(
    folder: &OwnedFd,
    name: &[u8],
    content: &mut Content<'_>,
    seconds: i64,
) -> Result<Option<File>, NotMade> {
    let filled = match content {
        Content::File { executable, write } => {
            let mut file = create(folder, name, new_mode(*executable))?;
            write(&mut file)
                .map_err(NotMade::Content)
                .and_then(|()| Ok(rustix::fs::futimens(&file, &times(seconds))?))
                .map(|()| Some(file))
        }
        Content::Link(target) => {
            rustix::fs::symlinkat(*target, folder, name)?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let timed = rustix::fs::utimensat(folder, name, &times(seconds), flags);
            timed.map_err(NotMade::Failed).map(|()| None)
        }
    };
    if filled.is_err() {
        // Best effort: the error says more than a left-over would.
        let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
    }
    filled
}

/// A file that is to be replaced.
#[derive(Clone, Copy)]
struct Old {
    mode: u32,
    owner: u32,
    group: u32,
}

/// `None` where no file is.
fn old_file(folder: &OwnedFd, name: &[u8]) -> Result<Option<Old>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) if Kind::from_raw_mode(found.st_mode) == Kind::RegularFile => Ok(Some(Old {
            mode: found.st_mode & 0o777,
            owner: found.st_uid,
            group: found.st_gid,
        })),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a file to be written, which is to take the place of `old`. If it can have the owner of that, it has its group and
/// permissions too. Otherwise it is made as any new file: permissions that were meant for one owner mean something else
/// for another.
fn make_file(folder: &OwnedFd, old: Option<Old>, executable: bool) -> Result<NewEntry<'_>, Errno> {
    let make = |mode| NewEntry::file(under_way::Kind::Copy, folder, mode);
    if let Some(old) = old {
        let mode = kept(old.mode, executable);
        // Nobody else's until it is clear whose it is.
        let mut made = make(mode & 0o700)?;
        if let Some(file) = made.as_file()
            && take_after(file, old, mode)?
        {
            return Ok(made);
        }
    }
    make(new_mode(executable))
}

/// A file that was not there.
fn create(folder: &OwnedFd, name: &[u8], mode: u32) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(mode)).map(File::from)
}

/// The permissions of a file that takes no other's place, before the umask.
fn new_mode(executable: bool) -> u32 {
    if executable { 0o777 } else { 0o666 }
}

/// Gives a file the owner, the group and the permissions of another. What its group could do, another group cannot.
/// Returns whether the owner is right.
fn take_after(file: &File, old: Old, mode: u32) -> Result<bool, Errno> {
    let new = rustix::fs::fstat(file)?;
    let (is_owner, is_group) = (new.st_uid == old.owner, new.st_gid == old.group);
    let group = Some(Gid::from_raw(old.group));
    if !is_owner {
        let owner = Some(Uid::from_raw(old.owner));
        if rustix::fs::fchown(file, owner, group).is_ok() {
            // Whoever may give files away may not always change what is somebody's.
            let mode = Mode::from_raw_mode(mode);
            return Ok(rustix::fs::fchmod(file, mode).is_ok());
        }
        return Ok(false);
    }
    let is_group = is_group || rustix::fs::fchown(file, None, group).is_ok();
    set(file, if is_group { mode } else { mode & !0o070 })?;
    Ok(true)
}

/// The permissions of a file in the place of one that has `old`. Whoever may read it may run it, if nobody could before.
fn kept(old: u32, executable: bool) -> u32 {
    match executable {
        false => old & !0o111,
        true if old & 0o111 != 0 => old,
        true => old | (old & 0o444) >> 2,
    }
}

/// Sets permissions where the file system has any.
fn set(file: &File, mode: u32) -> Result<(), Errno> {
    if rustix::fs::fstat(file)?.st_mode & 0o777 == mode {
        return Ok(());
    }
    match rustix::fs::fchmod(file, Mode::from_raw_mode(mode)) {
        Err(Errno::PERM | Errno::NOTSUP) => Ok(()),
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
