//! A local folder that files are written into and deleted from, and nothing outside it.
//!
//! Every step below the folder is taken from an open folder, without following links: a link or a file where a folder
//! has to be is replaced, whoever put it there and when. Files appear whole, under a temporary name first, unless told
//! otherwise. A file that takes the place of another has its permissions, but for those to run it.

mod write;

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use rustix::fs::{AtFlags, Dir, FileType as Kind, Mode, OFlags};
use rustix::io::Errno;

use super::FolderId;
use crate::store::path::check_to_disk;
use crate::store::{FileType, StoreError};
use crate::under_way::{self, remove_if_left};
pub(super) use write::Content;

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
