//! A local file that somebody named, written as a whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{FileUnderWay, Kind, remove_left_behind};

/// So many links are followed at most, as by Linux.
const MAX_LINKS: usize = 40;

/// How content gets to where it belongs.
enum Way {
    /// Written beside this file and moved there when it is whole.
    Beside(PathBuf),
    /// Written into what is there: a pipe or a device.
    Into,
}

/// Writes the local file `file`; `write` writes the content.
///
/// A file appears, or is replaced, when its content is whole and on disk; its permissions are those of the file that was
/// there, or what the umask makes of 666. A link is followed. Pipes and devices are written into. In a folder that may be
/// written but not read, the file may be missing again, or the old one, after a crash of the system.
///
/// Errors: those of `write`, and what `failed` makes of those of the system. A file that was there has not changed then,
/// unless what failed is to bring its new name to disk, which comes last. A pipe or a device may have got a part.
pub fn write_whole<T, E>(
    kind: Kind,
    file: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    match way(file).map_err(&failed)? {
        Way::Into => {
            let mut out = OpenOptions::new().write(true).open(file).map_err(&failed)?;
            write(&mut out)
        }
        Way::Beside(target) => {
            let folder = match target.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let opened = open_to_sync(folder).map_err(&failed)?;
            remove_left_behind(folder);
            let mut beside = FileUnderWay::make(kind, folder).map_err(&failed)?;
            let written = write(beside.file_mut().map_err(&failed)?)?;
            let out = beside.file();
            if let Ok(old) = fs::metadata(&target) {
                let mode = Permissions::from_mode(old.mode() & 0o777);
                out.set_permissions(mode).map_err(&failed)?;
            }
            out.sync_all().map_err(&failed)?;
            beside.persist(&target).map_err(&failed)?;
            if let Some(folder) = opened {
                folder.sync_all().map_err(&failed)?;
            }
            Ok(written)
        }
    }
}

/// The folder, unless it may not be read: then it can be written all the same, but not synced.
fn open_to_sync(folder: &Path) -> io::Result<Option<File>> {
    match File::open(folder) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(error),
    }
}

fn way(file: &Path) -> io::Result<Way> {
    let found = match fs::metadata(file) {
        Ok(found) if found.is_dir() => return Err(Errno::ISDIR.into()),
        Ok(found) if !found.is_file() => return Ok(Way::Into),
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let target = follow(file)?;
    let is_same = |there: Metadata, found: &Metadata| {
        (there.dev(), there.ino()) == (found.dev(), found.ino())
    };
    match &found {
        // A link of /proc to an open file may name another file, or none.
        Some(found) if !fs::symlink_metadata(&target).is_ok_and(|there| is_same(there, found)) => {
            Ok(Way::Into)
        }
        _ => Ok(Way::Beside(target)),
    }
}

/// What links lead to, whether it is there or not.
fn follow(file: &Path) -> io::Result<PathBuf> {
    let mut path = file.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            _ => return Ok(path),
        }
    }
    Err(Errno::LOOP.into())
}
