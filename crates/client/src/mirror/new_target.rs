//! A repository that a backup makes: it appears at its place complete, or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use packhouse_repo::store::{Create, Store, StoreOptions};
use packhouse_repo::under_way::{FolderUnderWay, Kind, remove_left_behind};

use super::MirrorError;
use crate::remote::RemoteUrl;

/// A bare repository under way. Dropped before it is in its place, it is removed.
pub(super) struct NewTarget {
    pub(super) store: Store,
    /// Beside the place, so that the last step is a renaming.
    folder: FolderUnderWay,
    place: PathBuf,
}

impl NewTarget {
    /// A repository without refs, for a place where nothing is, or an empty folder.
    pub(super) fn beside(place: &Path) -> Result<NewTarget, MirrorError> {
        let place = full(place).map_err(MirrorError::file(place))?;
        let parent = place.parent().unwrap_or(&place);
        fs::create_dir_all(parent).map_err(MirrorError::file(parent))?;
        let folder =
            FolderUnderWay::make(Kind::Backup, parent).map_err(MirrorError::file(parent))?;
        let options = StoreOptions {
            create: Create::New { branch: None },
            ..StoreOptions::default()
        };
        // The temporary folder is for its owner only; the repository is for whom the umask says.
        let store = Store::open(folder.new_path(), options)?;
        Ok(NewTarget {
            store,
            folder,
            place,
        })
    }

    /// Where it is now.
    pub(super) fn url(&self) -> RemoteUrl {
        RemoteUrl::of_folder(&self.folder.new_path())
    }

    /// Puts it where it was asked for, durably.
    pub(super) fn put_in_place(self) -> Result<(), MirrorError> {
        let parent = self.place.parent().unwrap_or(&self.place);
        fs::rename(self.folder.new_path(), &self.place)
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(MirrorError::file(&self.place))
    }
}

/// Removes what backups to this place, and to others in its folder, left when they were killed.
pub(super) fn remove_left_beside(place: &Path) {
    if let Ok(place) = full(place) {
        remove_left_behind(place.parent().unwrap_or(&place));
    }
}

/// The whole path of a place. An empty folder may be named by a symbolic link, which stays.
fn full(place: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(place).or_else(|_| std::path::absolute(place))
}
