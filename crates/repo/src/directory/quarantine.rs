//! The folder for files under way: received packs, large files, before a write is known to be good.
//!
//! Each process has one of its own for each repository it has open, among the objects, made when it is needed first. What
//! a process that was killed left goes when the repository is opened next.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use packhouse_object::ProcessLocal;

use super::durable::create_folders;
use super::error::OpenError;
use super::layout::ObjectsDir;
use crate::under_way::{FolderUnderWay, Kind, remove_left_behind};

/// Nothing is under way for longer than this.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

fn is_left_behind(entry: &DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    let age = modified
        .ok()
        .and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > LEFT_BEHIND)
}

/// Where files under way are.
pub(super) struct Quarantine {
    shared: PathBuf,
    /// `None`: nothing is written there.
    own: Option<ProcessLocal<Option<FolderUnderWay>>>,
}

impl Quarantine {
    /// That of a repository that is only read.
    pub(super) fn unused(objects: PathBuf) -> Quarantine {
        Quarantine {
            shared: objects,
            own: None,
        }
    }

    /// Makes the folder among the objects, in which each process has its own, and removes what was left in it.
    pub(super) fn prepare(objects: &ObjectsDir) -> Result<Quarantine, OpenError> {
        let shared = objects.path.join("incoming-packhouse");
        create_folders(&objects.path, &shared, objects.sharing)
            .map_err(OpenError::io("make", &shared))?;
        remove_left_behind(&shared);
        for entry in fs::read_dir(&shared)
            .map_err(OpenError::io("list", &shared))?
            .flatten()
        {
            if is_left_behind(&entry) {
                // Not a folder. Another process may be cleaning up too, so a failure means nothing.
                let _ = fs::remove_file(entry.path());
            }
            // The folder of another machine, or of this one before it was started again: its files alone tell their age.
            let within = fs::read_dir(entry.path()).into_iter().flatten().flatten();
            for file in within.filter(is_left_behind) {
                let _ = fs::remove_file(file.path());
            }
        }
        let own = Some(ProcessLocal::new());
        Ok(Quarantine { shared, own })
    }

    /// The folder of this process.
    pub(super) fn path(&self) -> &Path {
        let own = self.own.as_ref();
        // Whoever writes into the other says why this one could not be made.
        let make = || FolderUnderWay::make(Kind::Incoming, &self.shared).ok();
        let own = own.and_then(|own| own.get_or_init(make).as_ref());
        own.map_or(&self.shared, FolderUnderWay::path)
    }
}
