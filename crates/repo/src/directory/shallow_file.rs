//! The file `shallow`: the commits at which a shallow clone cut its history off. Their parents are not in the repository.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use packhouse_object::{IdSet, ObjectId};

use super::backend::Directory;
use super::error::DirectoryError;
use crate::error::RepoError;

/// The commits that the file names, in the order of their ids; none if there is no such file.
pub(super) fn read_shallow(git_dir: &Path) -> Result<Vec<ObjectId>, DirectoryError> {
    let path = git_dir.join("shallow");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DirectoryError::io("read", &path)(error)),
    };
    let lines = text.split(|&byte| byte == b'\n');
    let mut commits: Vec<ObjectId> = lines
        .filter_map(|line| ObjectId::from_hex(line).ok())
        .collect();
    commits.sort_unstable();
    commits.dedup();
    Ok(commits)
}

/// Adds commits to the file, durably. They are in it before a ref leads to them.
pub(super) fn add_shallow(directory: &Directory, new: &IdSet) -> Result<(), RepoError> {
    let path = directory.git_dir().join("shallow");
    let mut lock = directory.lock_file(&path)?;
    let mut ids = read_shallow(directory.git_dir())?;
    ids.extend(new);
    ids.sort_unstable();
    ids.dedup();
    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    lock.write(text.as_bytes())?;
    lock.commit()
        .map_err(DirectoryError::io("replace", &path))?;
    Ok(())
}
