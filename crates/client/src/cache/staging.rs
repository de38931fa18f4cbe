//! What is under way, and what becomes of it when its maker ends.
//!
//! Each piece of work has a folder, and beside it a file that is locked as long as its maker lives. Whoever finds a
//! folder whose file is not locked removes it: its maker was killed. No age is asked for, so that neither a slow disk nor
//! a clock decides.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::root::Root;
use super::trash::{Retired, SINCE, SINCE_BYTES};
use super::{CacheError, trash};

/// The tree in it.
const TREE: &str = "tree";

/// A folder of work under way. Dropped, it is removed with all that is in it.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    lock_path: PathBuf,
    lock: Option<FileLock>,
    trash: PathBuf,
}

impl Staging {
    /// A new empty folder.
    pub(super) fn new(root: &Root) -> Result<Staging, CacheError> {
        let made = Staging::without_folder(root)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&made.folder)
            .map_err(CacheError::file(&made.folder))?;
        Ok(made)
    }

    /// What is at `place`, moved away to be removed; `None` if nothing is there. A full disk has room for that.
    pub(super) fn take(root: &Root, place: &Path) -> Result<Option<Staging>, CacheError> {
        let made = Staging::without_folder(root)?;
        match fs::rename(place, &made.folder) {
            Ok(()) => Ok(Some(made)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CacheError::file(place)(error)),
        }
    }

    fn without_folder(root: &Root) -> Result<Staging, CacheError> {
        let staging = root.own("staging");
        loop {
            let id = uuid::Uuid::new_v4().simple().to_string();
            let lock_path = staging.join(format!("{id}.lock"));
            let Some(lock) = FileLock::try_take(&lock_path, Sharing::Exclusive)? else {
                continue;
            };
            // Somebody who cleans up may have taken the file for a dead one's before it was locked.
            if !lock.is_at(&lock_path) {
                continue;
            }
            return Ok(Staging {
                folder: staging.join(&id),
                lock_path,
                lock: Some(lock),
                trash: root.own("trash").join(&id),
            });
        }
    }

    /// As [`Staging::new`], for a tree that takes the place of another: that one can be [retired](Staging::retire) even if
    /// the disk is full by then.
    pub(super) fn to_replace(root: &Root) -> Result<Staging, CacheError> {
        let made = Staging::new(root)?;
        let since = made.folder.join(SINCE);
        fs::write(&since, [b' '; SINCE_BYTES]).map_err(CacheError::file(&since))?;
        Ok(made)
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the tree is made that will be published, or the one that it replaced is.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join(TREE)
    }

    /// Keeps the tree in it for those who still read it, and as long as somebody has the lease of its entry.
    pub(super) fn retire(
        &self,
        now: &Moment,
        entry_id: &str,
        bytes: u64,
    ) -> Result<(), CacheError> {
        self.retire_to(&self.trash, now, entry_id, bytes)
    }

    /// As [`Staging::retire`], in a folder that is not there yet.
    pub(super) fn retire_to(
        &self,
        place: &Path,
        now: &Moment,
        entry_id: &str,
        bytes: u64,
    ) -> Result<(), CacheError> {
        let since = self.folder.join(SINCE);
        let retired = Retired {
            since: now.clone(),
            entry_id: entry_id.to_owned(),
            bytes,
        };
        let mut text = serde_json::to_vec(&retired).unwrap_or_default();
        text.resize(text.len().max(SINCE_BYTES), b' ');
        // Written over what took the room for it.
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&since);
        file.and_then(|mut file| file.write_all(&text))
            .map_err(CacheError::file(&since))?;
        fs::rename(&self.folder, place).map_err(CacheError::file(&self.folder))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let removed = remove_tree(&self.folder);
        // What could not be removed is left to the next one, who finds it by its file.
        if removed.is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
        drop(self.lock.take());
    }
}

/// Removes what killed processes left, and trees that were replaced longer ago than `grace`.
///
/// What cannot be removed now is left for another time: cleaning up is never the reason why a call fails.
pub(super) fn sweep(root: &Root, grace: Duration) {
    let staging = root.own("staging");
    for entry in fs::read_dir(&staging).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = match name.to_str() {
            Some(name) => name.strip_suffix(".lock").unwrap_or(name),
            None => continue,
        };
        // Names that an archive brought: without the `.lock` they are this folder, or the one above.
        if matches!(id, "" | "." | "..") {
            continue;
        }
        let lock_path = staging.join(format!("{id}.lock"));
        let Ok(Some(lock)) = FileLock::try_take(&lock_path, Sharing::Exclusive) else {
            continue;
        };
        if lock.is_at(&lock_path) && remove_tree(&staging.join(id)).is_ok() {
            let _ = fs::remove_file(&lock_path);
        }
    }
    trash::sweep(root, grace);
}

/// Removes a folder with all that is in it, also folders that nobody may write into. Links are removed, not followed.
pub(super) fn remove_tree(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_writable(path);
            fs::remove_dir_all(path)
        }
        Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(path),
        // Somebody else is removing it too.
        Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(path),
        Err(error) => Err(error),
    }
}

/// Lets the owner write into every folder of a tree of ours.
fn make_writable(path: &Path) {
    let Ok(found) = fs::symlink_metadata(path) else {
        return;
    };
    if !found.is_dir() {
        return;
    }
    let mut mode = found.permissions();
    mode.set_mode(mode.mode() | 0o700);
    let _ = fs::set_permissions(path, mode);
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir())
            && entry.file_name() != OsStr::new("..")
        {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use packhouse_testkit::small_disk::SmallDisk;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn what_a_dead_maker_left_is_removed_and_what_a_living_one_has_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let alive = Staging::new(&root).unwrap();
        fs::create_dir(alive.tree()).unwrap();
        // As a killed process leaves it: folder and file, and nobody who has it locked.
        let staging = root.own("staging");
        fs::create_dir_all(staging.join("dead/tree/x")).unwrap();
        fs::write(staging.join("dead.lock"), "").unwrap();
        fs::create_dir(staging.join("without-file")).unwrap();
        sweep(&root, LONG);
        assert_eq!(names(&staging).len(), 2, "{:?}", names(&staging));
        assert!(alive.tree().is_dir());
        drop(alive);
        assert!(names(&staging).is_empty());
    }

    #[test]
    fn names_that_are_other_folders_without_their_end_remove_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let alive = Staging::new(&root).unwrap();
        fs::create_dir(alive.tree()).unwrap();
        fs::write(root.own("manifests").join("kept"), "").unwrap();
        for name in [".lock", "..lock", "...lock"] {
            fs::write(root.own("staging").join(name), "").unwrap();
        }
        sweep(&root, LONG);
        assert!(alive.tree().is_dir() && root.own("manifests").join("kept").exists());
    }

    #[test]
    fn a_replaced_tree_stays_for_its_readers_and_then_goes() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let staging = Staging::new(&root).unwrap();
        fs::create_dir_all(staging.tree().join("sub")).unwrap();
        fs::set_permissions(
            staging.tree().join("sub"),
            fs::Permissions::from_mode(0o500),
        )
        .unwrap();
        let entry = "0123456789abcdef0123456789abcdef";
        let lease = root.lock("lease", entry);
        staging.retire(&Moment::now(), entry, 1).unwrap();
        drop(staging);
        assert!(names(&root.own("staging")).is_empty());
        sweep(&root, LONG);
        assert_eq!(names(&root.own("trash")).len(), 1);
        std::thread::sleep(Duration::from_millis(2));
        let held = FileLock::try_take(&lease, Sharing::Shared).unwrap();
        sweep(&root, Duration::ZERO);
        assert_eq!(names(&root.own("trash")).len(), 1);
        drop(held);
        sweep(&root, Duration::ZERO);
        assert!(names(&root.own("trash")).is_empty());
    }

    #[test]
    fn a_replaced_tree_stays_for_its_readers_on_a_full_disk() {
        let Some(disk) = SmallDisk::mount(2) else {
            return;
        };
        let root = Root::open(disk.path()).unwrap();
        let staging = Staging::to_replace(&root).unwrap();
        fs::create_dir(staging.tree()).unwrap();
        disk.fill(0);
        let entry = "0123456789abcdef0123456789abcdef";
        staging.retire(&Moment::now(), entry, 1).unwrap();
        drop(staging);
        sweep(&root, LONG);
        assert_eq!(names(&root.own("trash")).len(), 1);
    }

    #[test]
    fn removing_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "").unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink(&victim, tree.join("link")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(victim.join("file").exists());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let _ = remove_tree(&link);
        assert!(victim.join("file").exists());
    }
}
