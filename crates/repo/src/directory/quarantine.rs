//! The folder for files under way: received packs, large files, before a write is known to be good.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::error::OpenError;

/// Files older than this were left by a process that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// Makes the folder below `objects` and removes what was left in it long ago.
pub(super) fn prepare(objects: &Path) -> Result<PathBuf, OpenError> {
    let folder = objects.join("incoming-packhouse");
    fs::create_dir_all(&folder).map_err(OpenError::io("make", &folder))?;
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
