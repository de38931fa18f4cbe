//! An archive as a local file.

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::{Snapshot, StoreError, StoreProgress};
use super::ArchiveFormat;
use crate::under_way::{FileUnderWay, Kind, remove_left_behind};

/// So many links are followed at most, as by Linux.
const MAX_LINKS: usize = 40;

/// How an archive gets to where it belongs.
enum Way {
    /// Written beside this file and moved there when it is whole.
    Beside(PathBuf),
    /// Written into what is there: a pipe or a device.
    Into,
}

impl Snapshot {
    /// Writes an archive to the local file `file`, otherwise as [`archive_out`](Snapshot::archive_out).
    ///
    /// A file appears, or is replaced, when the archive is whole and on disk; its permissions are those of the file that
    /// was there, or what the umask makes of 666. A link is followed. Pipes and devices are written into.
    ///
    /// Errors: [`StoreError::Local`] if the file cannot be written, and those of `archive_out`; a file that was there
    /// has not changed then.
    pub fn archive_to_file(
        &self,
        path: impl AsRef<[u8]>,
        file: &Path,
        format: ArchiveFormat,
        progress: &dyn StoreProgress,
    ) -> Result<u64, StoreError> {
        let failed = |error| StoreError::local(file)(error);
        let write = |out: &mut (dyn Write + Send)| {
            self.archive_out(path, out, format, progress)
                .map_err(|error| match error {
                    StoreError::Output(error) => failed(error),
                    other => other,
                })
        };
        match way(file).map_err(failed)? {
            Way::Into => {
                let mut out = OpenOptions::new().write(true).open(file).map_err(failed)?;
                write(&mut out)
            }
            Way::Beside(target) => {
                let folder = match target.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder,
                    _ => Path::new("."),
                };
                remove_left_behind(folder);
                let mut beside = FileUnderWay::make(Kind::Archive, folder).map_err(failed)?;
                let files = write(beside.file_mut().map_err(failed)?)?;
                let out = beside.file();
                if let Ok(old) = fs::metadata(&target) {
                    let mode = Permissions::from_mode(old.mode() & 0o777);
                    out.set_permissions(mode).map_err(failed)?;
                }
                out.sync_all().map_err(failed)?;
                beside.persist(&target).map_err(failed)?;
                Ok(files)
            }
        }
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
