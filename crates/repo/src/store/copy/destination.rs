//! A local folder that files are written into and deleted from, and nothing outside it.
//!
//! Every step below the folder is taken from an open folder, without following links: a link or a file where a folder
//! has to be is replaced, whoever put it there and when. Files appear whole, under a temporary name first, unless told
//! otherwise. A file that takes the place of another has its permissions, but for those to run it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use rustix::fs::{AtFlags, Dir, FileType as Kind, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::FolderId;
use crate::store::path::check_to_disk;
use crate::store::{FileType, StoreError};
use crate::under_way::{self, NewEntry, remove_if_left};

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
    store: StoreFolder,
    named: Named,
    /// Whether files may be seen before they are whole.
    in_place: bool,
}

/// So many folders one below the other are kept open: there may be thousands, and many threads.
const STEPS_MAX: usize = 16;

/// Open folders of a destination, each in the one before.
#[derive(Default)]
pub(super) struct Steps {
    open: Vec<(Vec<u8>, OwnedFd)>,
    /// The last one, if it is further down.
    deeper: Option<OwnedFd>,
}

/// Who has chosen the names of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A tree, perhaps a hostile one. A folder in a file's place gives way with all that is in it.
    ByTree,
    /// The caller: the name may be any, and no folder gives way.
    ByCaller,
}

/// The store's own folder, which is never written into, and those it is in, which are never deleted.
#[derive(Clone, Debug)]
pub(super) struct StoreFolder {
    itself: FolderId,
    above: Vec<FolderId>,
}

impl StoreFolder {
    /// The folder of a store at an absolute path without links.
    pub(super) fn of(path: &Path) -> Result<StoreFolder, StoreError> {
        let above = path.ancestors().skip(1);
        Ok(StoreFolder {
            itself: FolderId::of(path).map_err(StoreError::local(path))?,
            // One that cannot be looked at cannot be deleted either.
            above: above
                .filter_map(|folder| FolderId::of(folder).ok())
                .collect(),
        })
    }

    pub(super) fn id(&self) -> FolderId {
        self.itself
    }

    /// Whether the store would go with the folder.
    fn is_in(&self, folder: FolderId) -> bool {
        self.itself == folder || self.above.contains(&folder)
    }
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

/// The folder that a file is to be in.
pub(super) enum Parent {
    There(OwnedFd),
    /// It is missing, or one above it.
    Missing,
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
        store: StoreFolder,
        named: Named,
    ) -> Result<Option<Destination>, StoreError> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        // Without a slash at the end, behind which nothing is found where a file is.
        let bare: PathBuf = path.components().collect();
        if !has_room(&bare) {
            return Err(StoreError::LocalNotADirectory { path: bare });
        }
        if make {
            fs::create_dir_all(path).map_err(StoreError::local(path))?;
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
            .any(|folder| FolderId::of(folder).is_ok_and(|id| id == store.itself))
        {
            return Err(StoreError::invalid(format!(
                "the destination is inside the store: {}",
                path.display()
            )));
        }
        Ok(Some(Destination {
            root,
            path: path.to_owned(),
            store,
            named,
            in_place: false,
        }))
    }

    /// Files may be seen before they are whole.
    pub(super) fn in_place(self, in_place: bool) -> Destination {
        Destination { in_place, ..self }
    }

    /// Where a path is on disk, for messages.
    pub(super) fn local_path(&self, path: &BStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// What is at a path that a file is to get.
    ///
    /// Errors: [`StoreError::Invalid`] where the store itself is.
    pub(super) fn place(&self, path: &BStr) -> Result<Place, StoreError> {
        self.place_in(&self.parent(path)?, path)
    }

    /// The folder of a path, following no link.
    ///
    /// Errors: [`StoreError::Invalid`] where it is the store itself.
    pub(super) fn parent(&self, path: &BStr) -> Result<Parent, StoreError> {
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let parent = split(path).0;
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0).map_err(failed)?;
        for name in names(parent) {
            folder = match rustix::fs::openat(&folder, name, OPEN_FOLDER, Mode::empty()) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => return Ok(Parent::Missing),
                Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Parent::Blocked),
                Err(error) => return Err(failed(error)),
            };
            self.check_written_into(&folder, path)?;
        }
        Ok(Parent::There(folder))
    }

    /// As [`Destination::place`], in the folder of the path.
    pub(super) fn place_in(&self, parent: &Parent, path: &BStr) -> Result<Place, StoreError> {
        let folder = match parent {
            Parent::There(folder) => folder,
            Parent::Missing => return Ok(Place::Free),
            Parent::Blocked => return Ok(Place::Blocked),
        };
        match rustix::fs::statat(folder, split(path).1, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if self.store.is_in(FolderId::of_stat(&found)) => Err(self.in_the_way(path)),
            Ok(_) => Ok(Place::Taken),
            Err(Errno::NOENT) => Ok(Place::Free),
            Err(error) => Err(StoreError::local(self.local_path(path))(error.into())),
        }
    }

    fn check_written_into(&self, folder: &OwnedFd, path: &BStr) -> Result<(), StoreError> {
        let id = FolderId::of_open(folder);
        match id.map_err(|error| StoreError::local(self.local_path(path))(error.into()))? {
            id if id == self.store.itself => Err(self.in_the_way(path)),
            _ => Ok(()),
        }
    }

    fn in_the_way(&self, path: &BStr) -> StoreError {
        let path = self.local_path(path);
        StoreError::invalid(format!("the store is in the way: {}", path.display()))
    }

    /// Opens an existing folder.
    fn folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        for name in names(path) {
            folder = rustix::fs::openat(&folder, name, OPEN_FOLDER, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Opens a folder for writing, making it and those above it, and replacing what is in their place. `steps` are the folders
    /// that were opened for the path before, most of which are this one's too; the last one is the folder then.
    pub(super) fn make_folder(&self, steps: &mut Steps, path: &BStr) -> Result<(), StoreError> {
        let failed = |error: Errno| StoreError::local(self.local_path(path))(error.into());
        let same = names(path).zip(&steps.open);
        let same = same
            .take_while(|(name, (known, _))| *name == known.as_slice())
            .count();
        steps.open.truncate(same);
        steps.deeper = None;
        for name in names(path).skip(same) {
            check_to_disk(path, name, FileType::Tree)?;
            let folder = step(self.last(steps), name).map_err(failed)?;
            self.check_written_into(&folder, path)?;
            match steps.open.len() < STEPS_MAX {
                true => steps.open.push((name.to_owned(), folder)),
                false => steps.deeper = Some(folder),
            }
        }
        Ok(())
    }

    /// The folder that was opened last.
    pub(super) fn last<'a>(&'a self, steps: &'a Steps) -> &'a OwnedFd {
        let open = steps.open.last().map(|(_, folder)| folder);
        steps.deeper.as_ref().or(open).unwrap_or(&self.root)
    }

    /// Writes the file or link `name` in an open folder, replacing whatever is there. Its time becomes `seconds`.
    /// `path` is for messages. Where nothing is there and files may be seen before they are whole, it has no other name
    /// first, which saves a change of the folder; such a file is returned while it is open.
    pub(super) fn write(
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

    /// Removes what is under way at a path if whoever made it is gone. What cannot be removed stays.
    pub(super) fn remove_if_left(&self, path: &[u8]) {
        let (parent, name) = split(path);
        if let Ok(folder) = self.folder(parent) {
            remove_if_left(under_way::Kind::Copy, &folder, name);
        }
    }

    /// Whether a file or link is at a path, following no link.
    pub(super) fn holds_file(&self, path: &BStr) -> bool {
        let (parent, name) = split(path);
        let folder = self.folder(parent);
        folder.is_ok_and(|folder| is_folder(&folder, name) == Some(false))
    }

    /// Deletes a file or link; it is no error if it is gone already, has given way to a folder, or is below something that
    /// is no folder.
    pub(super) fn delete(&self, path: &BStr) -> Result<(), StoreError> {
        let (parent, name) = split(path);
        let deleted = self.folder(parent).and_then(|folder| {
            match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                Err(Errno::ISDIR | Errno::PERM) if is_folder(&folder, name) == Some(true) => Ok(()),
                done => done,
            }
        });
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

/// Whether a name is a folder's and not a file's or link's; `None` if it is nobody's.
fn is_folder(folder: &OwnedFd, name: &[u8]) -> Option<bool> {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(Kind::from_raw_mode(found.st_mode) == Kind::Directory)
}

/// Whether a folder is at `path`, or can be made as far as what is above it goes.
fn has_room(path: &Path) -> bool {
    let there = path
        .ancestors()
        .find(|folder| fs::symlink_metadata(folder).is_ok());
    there.is_none_or(Path::is_dir)
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
