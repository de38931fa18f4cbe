//! The folders in which new repositories are under way, and those that killed writers left.
//!
//! Such a folder has a file `lock`, which is locked from the moment it has that name until its writer ends, however it
//! ends. So a folder whose lock is free is nobody's any more, where one machine decides who has it: the lock says which one
//! that is, as on a network's file system others may not see it.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What the folder is called before [`RANDOM_CHARS`] letters and digits.
const PREFIX: &str = ".packhouse-backup-";
const RANDOM_CHARS: usize = 6;

/// The repository in it.
const REPOSITORY: &str = "git";
const LOCK: &str = "lock";
/// What the lock begins with: other programs have locks, too. Then comes the running system.
const MARK: &str = "packhouse backup\n";

/// Stands for this machine since it was started (`random(4)`); empty where it is not known.
const SYSTEM: &str = "/proc/sys/kernel/random/boot_id";

/// What is being removed, so that nobody puts it in its place meanwhile.
const GOING: &str = "going";

/// The folder of a writer that is at work. Dropped, it is removed with what is in it.
pub(super) struct UnderWay {
    folder: TempDir,
    /// Held until the end.
    _lock: File,
}

impl UnderWay {
    /// A folder in `parent`.
    pub(super) fn in_folder(parent: &Path) -> io::Result<UnderWay> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(RANDOM_CHARS)
            .tempdir_in(parent)?;
        let lock_path = folder.path().join(LOCK);
        let new_path = lock_path.with_extension("new");
        let mut lock = File::create_new(&new_path)?;
        lock.write_all(mark().as_bytes())?;
        match lock.try_lock() {
            // Its name comes last: whoever finds it finds it locked.
            Ok(()) => fs::rename(&new_path, &lock_path)?,
            // Where there are no locks there is none to be found either, and nobody removes anything.
            Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::ResourceBusy.into()),
        }
        Ok(UnderWay {
            folder,
            _lock: lock,
        })
    }

    /// Where the repository is to be made.
    pub(super) fn repository(&self) -> PathBuf {
        self.folder.path().join(REPOSITORY)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // Before the lock, by which the folder is known, goes with the folder.
        let _ = fs::remove_dir_all(self.repository());
    }
}

/// Removes the folders in `parent` whose writers are gone. What cannot be removed now is left to the next time.
pub(super) fn remove_left_behind(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if is_name_of_ours(&entry.file_name()) {
            // Nothing depends on it: the backup is made beside it.
            let _ = remove_if_left_behind(&entry.path());
        }
    }
}

fn is_name_of_ours(name: &OsStr) -> bool {
    let random = name.as_bytes().strip_prefix(PREFIX.as_bytes());
    random.is_some_and(|random| {
        random.len() == RANDOM_CHARS && random.iter().all(u8::is_ascii_alphanumeric)
    })
}

fn remove_if_left_behind(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    // In a folder of somebody else the paths below could come to mean something else meanwhile.
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != REPOSITORY && name != LOCK && name != GOING {
            return Ok(());
        }
    }
    let lock_path = folder.join(LOCK);
    if !fs::symlink_metadata(&lock_path)?.is_file() {
        return Ok(());
    }
    // Some file systems over the network lock only what is open for writing.
    let lock = File::options().read(true).write(true).open(&lock_path)?;
    let mark = mark();
    let mut text = Vec::new();
    (&lock).take(mark.len() as u64 + 1).read_to_end(&mut text)?;
    if text != mark.as_bytes()
        || mark == MARK
        || lock.try_lock().is_err()
        || !is_same_file(&lock, &lock_path)
    {
        return Ok(());
    }
    let going = folder.join(GOING);
    unless_missing(fs::remove_dir_all(&going))?;
    unless_missing(fs::rename(folder.join(REPOSITORY), &going))?;
    unless_missing(fs::remove_dir_all(&going))?;
    // The lock last: without it the next one would not know the folder.
    fs::remove_file(&lock_path)?;
    fs::remove_dir(folder)
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What the lock of a writer on this machine says.
fn mark() -> String {
    let system = fs::read_to_string(SYSTEM).unwrap_or_default();
    format!("{MARK}{system}")
}

/// Whether `path` still names the open file: somebody else may have removed it just before.
fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The folder of a writer that is gone.
    fn left(parent: &Path, name: &str) -> PathBuf {
        let folder = parent.join(name);
        fs::create_dir_all(folder.join("git/objects")).unwrap();
        fs::write(folder.join("git/HEAD"), b"ref: refs/heads/main\n").unwrap();
        fs::write(folder.join(LOCK), mark()).unwrap();
        folder
    }

    #[test]
    fn what_a_writer_that_is_gone_left_goes_and_what_one_at_work_has_stays() {
        let parent = tempfile::tempdir().unwrap();
        left(parent.path(), ".packhouse-backup-aB3dE6");
        // It was in its place already.
        let folder = left(parent.path(), ".packhouse-backup-000000");
        fs::remove_dir_all(folder.join("git")).unwrap();
        let alive = UnderWay::in_folder(parent.path()).unwrap();
        fs::create_dir(alive.repository()).unwrap();
        remove_left_behind(parent.path());
        let own = alive.folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(names(parent.path()), [own]);
        assert_eq!(names(alive.folder.path()), ["git", "lock"]);
        drop(alive);
        assert!(names(parent.path()).is_empty());
    }

    #[test]
    fn what_only_looks_alike_stays() {
        let parent = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        let linked = left(elsewhere.path(), "linked");
        std::os::unix::fs::symlink(&linked, at(".packhouse-backup-link00")).unwrap();
        fs::write(at(".packhouse-backup-file00"), MARK).unwrap();
        fs::create_dir(at(".packhouse-backup-empty0")).unwrap();
        left(parent.path(), ".packhouse-backup-longer0");
        left(parent.path(), ".packhouse-backup-a.b.c.");
        left(parent.path(), "packhouse-backup-aaaaaa");
        let more = left(parent.path(), ".packhouse-backup-more00");
        fs::write(more.join("notes"), b"mine").unwrap();
        // Also that of another machine, whose locks may not be seen here.
        let other = left(parent.path(), ".packhouse-backup-other0");
        fs::write(other.join(LOCK), b"packhouse backup\nof mine").unwrap();
        let link = left(parent.path(), ".packhouse-backup-locked");
        fs::remove_file(link.join(LOCK)).unwrap();
        std::os::unix::fs::symlink(linked.join(LOCK), link.join(LOCK)).unwrap();
        let before = names(parent.path());
        remove_left_behind(parent.path());
        assert_eq!(names(parent.path()), before);
        for folder in [&linked, &more, &other, &link] {
            assert_eq!(names(&folder.join("git")), ["HEAD", "objects"]);
        }
    }
}
