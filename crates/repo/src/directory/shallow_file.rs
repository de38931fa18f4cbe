//! The file `shallow`: the commits at which a shallow clone cut its history off.

use std::io::ErrorKind;
use std::path::Path;

use packhouse_object::ObjectId;

use super::DirectoryError;

/// The commits whose parents are not here, in the order of their ids; none if there is no such file.
pub(super) fn read_shallow(git_dir: &Path) -> Result<Vec<ObjectId>, DirectoryError> {
    let path = git_dir.join("shallow");
    let text = match std::fs::read(&path) {
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
