//! The folder for files under way: received packs, large files, before a write is known to be good.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::durable::create_folders;
use super::error::OpenError;
use super::layout::ObjectsDir;

/// Files older than this were left by a process that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// Makes the folder among the objects and removes what was left in it long ago.
pub(super) fn prepare(objects: &ObjectsDir) -> Result<PathBuf, OpenError> {
    let folder = objects.path.join("incoming-packhouse");
    create_folders(&objects.path, &folder, objects.sharing)
        .map_err(OpenError::io("make", &folder))?;
    for entry in fs::read_dir(&folder)
        .map_err(OpenError::io("list", &folder))?
        .flatten()
    {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            // Another process may be cleaning up too, so a failure means nothing.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(folder)
}
