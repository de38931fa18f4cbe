//! Files and folders that must survive a power cut.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::permissions::Sharing;

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the names in the folder of `path` durable, or, if others have removed that, its absence.
pub(crate) fn sync_nearest_folder(path: &Path) -> io::Result<()> {
    for folder in path.ancestors().skip(1) {
        match sync_folder(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            synced => return synced,
        }
    }
    Err(ErrorKind::NotFound.into())
}

/// Makes everything durable that was written to the file system of a folder so far.
pub(crate) fn sync_file_system(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

/// Makes a file that was not there, durable but for its name.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = Sharing::Umask.create_new(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes `folder` and what is missing between it and `root`, which must be there, durably.
///
/// Another process may remove empty folders at the same time, so the caller must be ready to call again.
pub(crate) fn create_folders(root: &Path, folder: &Path, sharing: Sharing) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(root);
    create_folders(root, parent, sharing)?;
    match sharing.create_folder(folder) {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(ErrorKind::NotADirectory.into())
        }
        Err(error) => Err(error),
    }
}

/// Removes a folder that holds nothing but folders. A folder that holds a file stays, as do the
/// folders around the file, and is an error of kind `DirectoryNotEmpty`.
pub(crate) fn remove_empty_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        remove_empty_tree(&entry.path())?;
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the folders above `path` that are empty, up to `stop`, which stays.
pub(crate) fn remove_empty_parents(path: &Path, stop: &Path) {
    for folder in path.ancestors().skip(1) {
        if folder == stop || !folder.starts_with(stop) || fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

/// Removes a file; one that is not there is no error. Returns whether it was there.
pub(crate) fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
