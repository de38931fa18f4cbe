//! A repository that a backup makes: it appears at its place complete, or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use packhouse_repo::store::{Create, Store, StoreOptions};
use tempfile::TempDir;

use super::MirrorError;
use crate::remote::RemoteUrl;

/// A bare repository under way. Dropped before it is in its place, it is removed.
pub(super) struct NewTarget {
    pub(super) store: Store,
    /// Beside the place, so that the last step is a renaming.
    folder: TempDir,
    place: PathBuf,
}

impl NewTarget {
    /// A repository without refs, for a place where nothing is, or an empty folder.
    pub(super) fn beside(place: &Path) -> Result<NewTarget, MirrorError> {
        // An empty folder may be named by a symbolic link, which stays.
        let place = match fs::canonicalize(place) {
            Ok(found) => found,
            Err(_) => std::path::absolute(place).map_err(MirrorError::file(place))?,
        };
        let parent = place.parent().unwrap_or(&place);
        fs::create_dir_all(parent).map_err(MirrorError::file(parent))?;
        let folder = tempfile::Builder::new()
            .prefix(".packhouse-backup-")
            .tempdir_in(parent)
            .map_err(MirrorError::file(parent))?;
        let options = StoreOptions {
            create: Create::New { branch: None },
            ..StoreOptions::default()
        };
        // The temporary folder is for its owner only; the repository is for whom the umask says.
        let store = Store::open(folder.path().join("git"), options)?;
        Ok(NewTarget {
            store,
            folder,
            place,
        })
    }

    /// Where it is now.
    pub(super) fn url(&self) -> RemoteUrl {
        RemoteUrl::of_folder(&self.folder.path().join("git"))
    }

    /// Puts it where it was asked for, durably.
    pub(super) fn put_in_place(self) -> Result<(), MirrorError> {
        let parent = self.place.parent().unwrap_or(&self.place);
        fs::rename(self.folder.path().join("git"), &self.place)
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(MirrorError::file(&self.place))
    }
}
