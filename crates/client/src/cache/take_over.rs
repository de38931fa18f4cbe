//! Files of trees that were made before, taken over by the next one: a refresh writes only what changed.
//!
//! What always holds:
//! - no two trees have one file by two names, since who writes into the one would change the other. A file is moved out of
//!   a tree that nobody reads any more, or its blocks are shared, which the file system copies once somebody writes;
//! - a file is taken over only where the index of its tree has it as the next tree has it, and nobody touched it since;
//! - no link is followed: nothing comes from outside the older tree.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use packhouse_object::{EntryMode, RepoPath};
use rustix::fs::{CWD, Mode, OFlags, openat, renameat};

use super::git_dir::make_folder;
use super::index_file::{IndexEntry, Indexed, Stat, read_index};
use super::large_files::POINTER_BYTES;
use super::tree::local_path;
use super::{CacheError, CallOptions};

pub(super) const OPEN_FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What was put into a file's place may be anything, and opening it must not wait.
pub(super) const OPEN_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A working tree that was made before.
#[derive(Clone, Debug)]
pub(super) struct Older {
    top: PathBuf,
    /// Where in it the files are: those of a submodule are further down.
    below: PathBuf,
    git: PathBuf,
    way: Way,
}

/// How its files are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nobody else reads it.
    Move,
    /// Its readers keep them.
    ShareBlocks,
}

impl Older {
    /// A tree that nobody reads any more.
    pub(super) fn unread(top: &Path) -> Older {
        Older::at(top, Way::Move)
    }

    /// A tree that others read.
    pub(super) fn read_by_others(top: &Path) -> Older {
        Older::at(top, Way::ShareBlocks)
    }

    fn at(top: &Path, way: Way) -> Older {
        Older {
            top: top.to_owned(),
            below: PathBuf::new(),
            git: top.join(".git"),
            way,
        }
    }

    /// That of a submodule at `path`, whose `.git` is in `folder` below `modules`.
    pub(super) fn inside(&self, path: &BStr, folder: &Path) -> Older {
        Older {
            top: self.top.clone(),
            below: local_path(&self.below, path),
            git: self.git.join("modules").join(folder),
            way: self.way,
        }
    }

    /// Its files' folder, or one in that.
    fn open(&self, folder: &[u8]) -> rustix::io::Result<OwnedFd> {
        let below = self.below.as_os_str().as_bytes();
        let names = below.split_str("/").chain(folder.split_str("/"));
        let top = openat(CWD, &self.top, OPEN_FOLDER, Mode::empty())?;
        names
            .filter(|name| !name.is_empty())
            .try_fold(top, |folder, name| {
                openat(&folder, name, OPEN_FOLDER, Mode::empty())
            })
    }
}

/// How many files were taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) moved: u64,
    pub(super) shared: u64,
}

impl Taken {
    pub(super) fn is_nothing(self) -> bool {
        self == Taken::default()
    }
}

/// Takes over what a new tree at `tree`, in which nothing is yet besides its `.git`, has in common with older ones, the
/// first first. `sizes` are those of the entries' blobs. What cannot be taken over is left to be written.
pub(super) fn take_over(
    olders: &[Older],
    entries: &[IndexEntry],
    sizes: &[u64],
    tree: &Path,
    call: &CallOptions<'_>,
) -> Result<Taken, CacheError> {
    let mut taken = Taken::default();
    // Whoever writes a tree refuses such paths, and has to see them.
    let is_hostile = |entry: &IndexEntry| RepoPath::parse(&entry.path).is_err();
    if olders.is_empty() || entries.iter().any(is_hostile) {
        return Ok(taken);
    }
    let mut is_there = vec![false; entries.len()];
    for older in olders {
        let Some(index) = fs::read(older.git.join("index")).ok() else {
            continue;
        };
        let Some(known) = read_index(&index) else {
            continue;
        };
        let from = Common {
            older,
            // A file may be there with other content than the index's: that of the pointer.
            has_large_files: older.git.join("lfs").exists(),
            tree,
        };
        from.take(entries, sizes, &known, &mut is_there, &mut taken, call)?;
    }
    Ok(taken)
}

/// What an older tree and the new one have in common.
struct Common<'a> {
    older: &'a Older,
    has_large_files: bool,
    tree: &'a Path,
}

impl Common<'_> {
    /// Takes what is in both, which both have in the order of paths.
    fn take(
        &self,
        entries: &[IndexEntry],
        sizes: &[u64],
        known: &[Indexed<'_>],
        is_there: &mut [bool],
        taken: &mut Taken,
        call: &CallOptions<'_>,
    ) -> Result<(), CacheError> {
        let mut known = known.iter().peekable();
        let mut folder: Option<(&[u8], Option<OwnedFd>)> = None;
        for (at, entry) in entries.iter().enumerate() {
            while known
                .next_if(|found| found.path < entry.path.as_slice())
                .is_some()
            {}
            let Some(found) = known.next_if(|found| found.path == entry.path.as_slice()) else {
                continue;
            };
            let may_be_pointer = self.has_large_files && sizes[at] <= POINTER_BYTES;
            if is_there[at] || may_be_pointer || !is_same_file(entry, found) {
                continue;
            }
            let wanted = Wanted {
                stat: found.stat,
                bytes: sizes[at],
            };
            call.check()?;
            let (parent, name) = match entry.path.rfind_byte(b'/') {
                Some(slash) => (&entry.path[..slash], &entry.path[slash + 1..]),
                None => (&b""[..], entry.path.as_slice()),
            };
            if folder.as_ref().is_none_or(|(path, _)| *path != parent) {
                make_folder(&local_path(self.tree, parent.as_bstr()))?;
                folder = Some((parent, self.older.open(parent).ok()));
            }
            let Some((_, Some(from))) = &folder else {
                continue;
            };
            let to = local_path(self.tree, entry.path.as_bstr());
            match self.older.way {
                Way::Move => {
                    is_there[at] = take_away(from, name, wanted, &to).unwrap_or(false);
                    taken.moved += u64::from(is_there[at]);
                }
                Way::ShareBlocks => match share_blocks(from, name, wanted, &to) {
                    Ok(shared) => {
                        is_there[at] = shared;
                        taken.shared += u64::from(shared);
                    }
                    // What one file cannot do on this file system, no other can.
                    Err(_) => return Ok(()),
                },
            }
        }
        Ok(())
    }
}

fn is_same_file(entry: &IndexEntry, found: &Indexed<'_>) -> bool {
    matches!(entry.mode, EntryMode::Blob | EntryMode::Executable)
        && found.mode == entry.mode as u32
        && found.id == entry.id.as_bytes()
}

/// What a file has to say of itself.
#[derive(Clone, Copy)]
struct Wanted {
    /// As the index has it.
    stat: Stat,
    /// As the blob has it: what Git converted when it wrote the file has another length.
    bytes: u64,
}

/// What is at a name, if it is the file that the index is about, and nobody touched it.
fn intact(from: &OwnedFd, name: &[u8], wanted: Wanted) -> io::Result<Option<(File, Metadata)>> {
    let file = File::from(openat(from, name, OPEN_FILE, Mode::empty())?);
    let found = file.metadata()?;
    let is_intact =
        found.is_file() && found.len() == wanted.bytes && Stat::of(&found) == wanted.stat;
    Ok(is_intact.then_some((file, found)))
}

fn take_away(from: &OwnedFd, name: &[u8], wanted: Wanted, to: &Path) -> io::Result<bool> {
    match intact(from, name, wanted)? {
        // By another name somebody may still write into it.
        Some((_, found)) if found.nlink() == 1 => {
            renameat(from, name, CWD, to)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// An error if the file system cannot do it; `false` if the file is none to take.
fn share_blocks(from: &OwnedFd, name: &[u8], wanted: Wanted, to: &Path) -> io::Result<bool> {
    let Ok(Some((source, found))) = intact(from, name, wanted) else {
        return Ok(false);
    };
    let mode = found.permissions().mode() & 0o777;
    let mut options = OpenOptions::new();
    let target = options.write(true).create_new(true).mode(mode).open(to)?;
    let shared = clone_blocks(&source, &target).and_then(|()| {
        target.set_times(FileTimes::new().set_modified(found.modified()?))?;
        // Somebody may have written into it meanwhile.
        Ok(Stat::of(&source.metadata()?) == wanted.stat)
    });
    if !matches!(shared, Ok(true)) {
        fs::remove_file(to)?;
    }
    shared
}

#[cfg(target_os = "linux")]
fn clone_blocks(source: &File, target: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(target, source)?)
}

#[cfg(not(target_os = "linux"))]
fn clone_blocks(_: &File, _: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
