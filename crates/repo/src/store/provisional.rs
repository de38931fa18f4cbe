//! A store that is made for a piece of work, and goes again if nothing comes of it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::create::Made;
use super::open::full_name;
use super::refs::RefKind;
use super::{Store, StoreError, StoreOptions};
use crate::directory::OpenError;

/// What [`Store::open_provisionally`] has made, if anything. It is taken back when this is dropped, unless it was kept
/// or somebody has written in it.
#[derive(Debug)]
pub struct Provisional {
    store: Store,
    made: Option<Made>,
}

impl Store {
    /// As [`Store::open`], for work that may fail: what had to be made for it stays if it is
    /// [kept](Provisional::keep), and goes otherwise.
    ///
    /// ```
    /// # use packhouse_repo::store::{Create, Store, StoreError, StoreOptions, WriteOptions};
    /// # fn main() -> Result<(), StoreError> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder can be made");
    /// # let path = folder.path().join("data.git");
    /// let create = Create::IfMissing { branch: Some("main".to_owned()) };
    /// let options = StoreOptions { create, ..StoreOptions::default() };
    /// let (store, made) = Store::open_provisionally(&path, options)?;
    /// let main = store.branches().get("main")?;
    /// assert!(main.write("../a", b"", &WriteOptions::default()).is_err());
    /// drop(made);
    /// assert!(!path.exists());
    /// # Ok(())
    /// # }
    /// ```
    pub fn open_provisionally(
        path: impl AsRef<Path>,
        options: StoreOptions,
    ) -> Result<(Store, Provisional), StoreError> {
        let (store, made) = Store::open_or_make(path.as_ref(), options)?;
        let provisional = Provisional {
            store: store.clone(),
            made,
        };
        Ok((store, provisional))
    }
}

impl Provisional {
    /// Whether the store was made.
    pub fn is_new(&self) -> bool {
        self.made.is_some()
    }

    /// The store stays.
    pub fn keep(mut self) {
        self.made = None;
    }

    /// Takes back what was made, and returns whether it is gone. What somebody has written in is kept.
    pub fn take_back(mut self) -> Result<bool, StoreError> {
        match self.made.take() {
            Some(made) => take_back(&self.store, &made),
            None => Ok(false),
        }
    }
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if let Some(made) = self.made.take() {
            // Whatever led here says more than that something is left.
            let _ = take_back(&self.store, &made);
        }
    }
}

fn take_back(store: &Store, made: &Made) -> Result<bool, StoreError> {
    // Whoever writes has done so, or finds nothing any more.
    let _turn = store.exclusive()?;
    if !is_untouched(store, made)? {
        return Ok(false);
    }
    let path = store.path();
    let failed = || OpenError::io("remove", path);
    let parent = path.parent().unwrap_or(path);
    let aside = tempfile::Builder::new()
        .prefix(".old-store-")
        .tempdir_in(parent)
        .map_err(failed())?;
    // In one step: half a repository is worse than an empty one.
    fs::rename(path, aside.path().join("git")).map_err(failed())?;
    if let Some(permissions) = &made.was_folder {
        fs::create_dir(path).map_err(failed())?;
        fs::set_permissions(path, permissions.clone()).map_err(failed())?;
    }
    aside.close().map_err(failed())?;
    made.remove_folders();
    Ok(true)
}

/// Whether there is nothing in the store but the first commit, and has never been.
fn is_untouched(store: &Store, made: &Made) -> Result<bool, StoreError> {
    let view = store.view()?;
    let mut refs = view.refs().iter();
    let is_as_made = match (refs.next(), &made.branch) {
        (None, _) => true,
        (Some((name, value)), Some(branch)) => {
            let commit = store.database()?.commit(value.target);
            *name == full_name(RefKind::Branch, branch)?
                && commit
                    .is_ok_and(|commit| commit.parents.is_empty() && commit.tree.is_empty_tree())
        }
        (Some(_), None) => false,
    };
    let logs = store.path().join("logs");
    Ok(is_as_made
        && refs.next().is_none()
        && !holds_files(&logs).map_err(OpenError::io("read", &logs))?)
}

fn holds_files(folder: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() || holds_files(&entry.path())? {
            return Ok(true);
        }
    }
    Ok(false)
}
