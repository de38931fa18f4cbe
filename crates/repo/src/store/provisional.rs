//! A store that is made for a piece of work, and goes again if nothing comes of it.

use std::fs;
use std::io;
use std::path::Path;

use packhouse_object::ProcessMark;

use super::create::Made;
use super::{Store, StoreError, StoreOptions};
use crate::directory::OpenError;
use crate::given_up::unasked;
use crate::under_way::{FolderUnderWay, Kind, remove_left_behind};

/// What [`Store::open_provisionally`] has made, if anything. It is taken back when this is dropped, unless it was kept
/// or somebody has put anything in it.
#[derive(Debug)]
pub struct Provisional {
    store: Store,
    made: Option<Made>,
    made_in: ProcessMark,
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
            made_in: ProcessMark::here(),
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

    /// Takes back what was made, and returns whether it is gone. What somebody has put anything in is kept.
    pub fn take_back(mut self) -> Result<bool, StoreError> {
        match self.made.take().filter(|_| self.made_in.is_here()) {
            Some(made) => unasked(|| take_back(&self.store, &made)),
            None => Ok(false),
        }
    }
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if let Some(made) = self.made.take()
            && self.made_in.is_here()
        {
            // Whatever led here says more than that something is left.
            let _ = unasked(|| take_back(&self.store, &made));
        }
    }
}

fn take_back(store: &Store, made: &Made) -> Result<bool, StoreError> {
    // Whoever writes has done so, or finds nothing any more.
    let _turn = store.exclusive()?;
    let path = store.path();
    if !is_untouched(path, made).map_err(OpenError::io("read", path))? {
        return Ok(false);
    }
    let failed = || OpenError::io("remove", path);
    let parent = path.parent().unwrap_or(path);
    remove_left_behind(parent);
    let aside = FolderUnderWay::make(Kind::OldStore, parent).map_err(failed())?;
    // As long as somebody may have put something in it.
    aside.spare().map_err(failed())?;
    // In one step: half a repository is worse than an empty one.
    let old = aside.old_path();
    fs::rename(path, &old).map_err(failed())?;
    // `git`, which takes no turns, may have come in between.
    if !is_untouched(&old, made).unwrap_or(false) {
        return match fs::rename(&old, path) {
            Ok(()) => Ok(false),
            Err(error) => {
                // What is kept is not removed by dropping it.
                let old = aside.keep_old().map_err(failed())?;
                Err(OpenError::io("move back", &old)(error).into())
            }
        };
    }
    aside.release().map_err(failed())?;
    if let Some(permissions) = &made.was_folder {
        fs::create_dir(path).map_err(failed())?;
        fs::set_permissions(path, permissions.clone()).map_err(failed())?;
    }
    aside.close().map_err(failed())?;
    made.remove_folders();
    Ok(true)
}

/// Whether there is nothing in the repository but what was made, as it was made. Files without which nothing is lost do
/// not count: the one that is locked, and what is remembered of local files.
fn is_untouched(repository: &Path, made: &Made) -> io::Result<bool> {
    made.contents.is_all_of(repository, |name| {
        name == Path::new("gitstore.lock") || name.starts_with("packhouse/stat-cache")
    })
}
