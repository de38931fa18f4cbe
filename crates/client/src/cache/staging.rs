//! What is under way, and what becomes of it when its maker ends.
//!
//! Each piece of work has a folder, and beside it a file that is locked as long as its maker lives. Whoever finds a
//! folder whose file is not locked removes it: its maker was killed. No age is asked for, so that neither a slow disk nor
//! a clock decides.
//!
//! Work that lets a tree take the place of another says so in its file ([`replace`]): what is in its folder then may be what
//! somebody reads, or the last good copy, and is never removed as left-over work.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use packhouse_object::ProcessMark;
use rustix::fs::OFlags;
use serde::Serialize;

use super::lock::{FileLock, Sharing};
use super::record::is_id;
use super::root::Root;
use super::trash::{Retired, SINCE, SINCE_BYTES};
use super::{CacheError, CallOptions, replace, trash};

/// The tree in it.
const TREE: &str = "tree";
/// The room in its file for what is about to be done with a tree that is replaced.
const INTENT_BYTES: usize = 1024;
/// What comes after the id in the name of its file.
const LOCK: &str = ".lock";

/// A folder of work under way. Dropped, it is removed with all that is in it.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    lock_path: PathBuf,
    lock: Option<FileLock>,
    trash: PathBuf,
    /// It is left to the next one who cleans up.
    stays: bool,
    made_in: ProcessMark,
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
            let lock_path = staging.join(format!("{id}{LOCK}"));
            // Somebody who cleans up may have taken the file for a dead one's before it was locked.
            if let Some(lock) = FileLock::try_take(&lock_path, Sharing::Exclusive)?
                && lock.is_at(&lock_path)
            {
                return Ok(Staging::locked(root, &id, lock));
            }
        }
    }

    fn locked(root: &Root, id: &str, lock: FileLock) -> Staging {
        let staging = root.own("staging");
        Staging {
            folder: staging.join(id),
            lock_path: staging.join(format!("{id}{LOCK}")),
            lock: Some(lock),
            trash: root.own("trash").join(id),
            stays: false,
            made_in: ProcessMark::here(),
        }
    }

    /// Takes over what a dead maker left. `None`: its maker lives, until `end` at least.
    pub(super) fn of_dead(root: &Root, id: &str, end: Instant) -> Option<Staging> {
        let lock_path = root.own("staging").join(format!("{id}{LOCK}"));
        let call = CallOptions::default();
        let lock = FileLock::take_until(&lock_path, Sharing::Exclusive, end, &call);
        let lock = lock.ok().flatten().filter(|lock| lock.is_at(&lock_path))?;
        Some(Staging::locked(root, id, lock))
    }

    /// As [`Staging::new`], for a tree that takes the place of another: what has to be noted then ([`Staging::intend`]) can be
    /// even if the disk is full by then.
    pub(super) fn to_replace(root: &Root) -> Result<Staging, CacheError> {
        let made = Staging::new(root)?;
        let since = made.folder.join(SINCE);
        fs::write(&since, [b' '; SINCE_BYTES]).map_err(CacheError::file(&since))?;
        let intent = [b' '; INTENT_BYTES];
        fs::write(&made.lock_path, intent).map_err(CacheError::file(&made.lock_path))?;
        Ok(made)
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the tree is made that will be published, or the one that it replaced is.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join(TREE)
    }

    /// Notes what is about to be done: whose tree will be in it, and whatever else is needed to finish or undo it.
    pub(super) fn intend(
        &self,
        retired: &Retired,
        intent: &impl Serialize,
    ) -> Result<(), CacheError> {
        write_over(&self.folder.join(SINCE), retired, SINCE_BYTES)?;
        write_over(&self.lock_path, intent, INTENT_BYTES)
    }

    /// Keeps the tree in it for those who still read it, and as long as somebody has the lease of its entry. Whose it is was
    /// [noted](Staging::intend).
    ///
    /// Where it cannot be moved away now it stays, and the next one who cleans up does it.
    pub(super) fn retire(mut self) {
        let place = self.trash.clone();
        self.stays = self.retire_to(&place).is_err();
    }

    /// As [`Staging::retire`], in a folder that is not there yet.
    pub(super) fn retire_to(&self, place: &Path) -> Result<(), CacheError> {
        fs::rename(&self.folder, place).map_err(CacheError::file(&self.folder))
    }

    /// Leaves all as it is to the next one who cleans up.
    pub(super) fn leave(mut self) {
        self.stays = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What could not be removed is left to the next one, who finds it by its file.
        if !self.stays && self.made_in.is_here() && remove_tree(&self.folder).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
        drop(self.lock.take());
    }
}

/// Writes over what took the room for it, in one piece: who is killed leaves what was there or what comes.
fn write_over(path: &Path, value: &impl Serialize, room: usize) -> Result<(), CacheError> {
    let text = serde_json::to_vec(value);
    let mut text = text.map_err(|error| CacheError::file(path)(error.into()))?;
    text.resize(text.len().max(room), b' ');
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path);
    file.and_then(|mut file| file.write_all(&text))
        .map_err(CacheError::file(path))
}

/// The ids of all work that has a file.
pub(super) fn ids(root: &Root) -> impl Iterator<Item = String> {
    let files = fs::read_dir(root.own("staging"));
    let files = files.into_iter().flatten().flatten();
    files.filter_map(|file| {
        let name = file.file_name();
        let id = name.to_str()?.strip_suffix(LOCK)?;
        // Names that an archive brought may be other folders without their end.
        is_id(id).then(|| id.to_owned())
    })
}

/// What the file of a piece of work says.
pub(super) fn intent_of(root: &Root, id: &str) -> io::Result<Vec<u8>> {
    fs::read(root.own("staging").join(format!("{id}{LOCK}")))
}

/// Removes what killed processes left, and trees that were replaced longer ago than `grace`. What has to be finished first
/// ([`replace::recover`]) stays.
///
/// What cannot be removed now is left for another time: cleaning up is never the reason why a call fails.
pub(super) fn sweep(root: &Root, grace: Duration) {
    let staging = root.own("staging");
    for entry in fs::read_dir(&staging).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = match name.to_str() {
            Some(name) => name.strip_suffix(LOCK).unwrap_or(name),
            None => continue,
        };
        // Names that an archive brought: without the `.lock` they are this folder, or the one above.
        if matches!(id, "" | "." | "..") {
            continue;
        }
        let lock_path = staging.join(format!("{id}{LOCK}"));
        let Ok(Some(lock)) = FileLock::try_take(&lock_path, Sharing::Exclusive) else {
            continue;
        };
        // Of what takes the place of another tree, that one may be in it.
        let is_to_be_finished = replace::is_intended(root, id);
        if lock.is_at(&lock_path) && !is_to_be_finished && remove_tree(&staging.join(id)).is_ok() {
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

    use super::super::moment::Moment;
    use super::*;

    #[test]
    fn a_forked_process_does_not_remove_what_its_parent_is_at_work_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let staging = std::cell::Cell::new(Some(Staging::new(&root).unwrap()));
        assert!(packhouse_testkit::forked::in_child(|| {
            drop(staging.take());
            true
        }));
        let staging = staging.take().unwrap();
        assert!(staging.path().exists() && staging.lock_path.exists());
        let path = staging.path().to_owned();
        drop(staging);
        assert!(!path.exists());
    }

    const ENTRY: &str = "0123456789abcdef0123456789abcdef";

    /// Retires what is in a folder of work.
    fn retire(staging: Staging) {
        let retired = Retired {
            since: Moment::now(),
            entry_id: ENTRY.to_owned(),
            weight: 1.into(),
        };
        staging.intend(&retired, &()).unwrap();
        staging.retire();
    }

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
        let lease = root.lock("lease", ENTRY);
        retire(staging);
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
        retire(staging);
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
