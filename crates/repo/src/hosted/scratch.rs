//! Where a process keeps files that are under way, and what is done with those of processes that are gone.
//!
//! Processes may share the folder: servers, and commands beside them. Each has a folder of its own in it, `NAME/`, and
//! holds a lock on `NAME.lock` for as long as it lives; the system drops the lock however the process ends. Who gets
//! the lock of another's folder therefore knows that its owner is gone, and removes it. Neither age nor process ids are
//! asked, so a writer that takes days keeps its files.
//!
//! Something else may clean up there, too: a folder that vanished is made again by who needs it next, and a lock file
//! before the folder, so that at no time there is a folder that nobody holds.

use std::fs::{self, DirEntry, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::hosted::Engine;
use crate::under_way::is_same_file;

const LOCK_ENDING: &str = "lock";
/// A file that is in nobody's folder is of a version that had none; nobody writes to one for so long without a byte.
const LOOSE_AGE: Duration = Duration::from_secs(24 * 3600);

/// How often a lock file is made again at most, while others take it for an abandoned one.
const LOCK_TRIES: u32 = 100;

/// How often a process looks for what others left.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// The folder of this process. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The folder that is shared.
    shared: PathBuf,
    own: PathBuf,
    lock_path: PathBuf,
    /// Held for its lock, which is what keeps others from removing the folder.
    lock: Mutex<File>,
}

impl Scratch {
    /// Makes a folder of its own in `shared`, which is made too, and removes those whose owners are gone.
    pub(crate) fn create(shared: &Path) -> io::Result<Scratch> {
        fs::create_dir_all(shared)?;
        let scratch = loop {
            if let Some(scratch) =
                Scratch::claim(shared, &format!("{:016x}", rand::random::<u64>()))?
            {
                break scratch;
            }
        };
        scratch.remove_abandoned();
        Ok(scratch)
    }

    /// The folder called `name`, or `None` if somebody was faster.
    fn claim(shared: &Path, name: &str) -> io::Result<Option<Scratch>> {
        let lock_path = shared.join(name).with_extension(LOCK_ENDING);
        let Some(lock) = new_lock(&lock_path)? else {
            return Ok(None);
        };
        let own = shared.join(name);
        fs::create_dir(&own)?;
        Ok(Some(Scratch {
            shared: shared.to_owned(),
            own,
            lock_path,
            lock: Mutex::new(lock),
        }))
    }

    /// The folder, which may have vanished.
    pub(crate) fn path(&self) -> &Path {
        &self.own
    }

    /// The folder, to write into: it is made again if it vanished. If that fails, so does what is written there, which
    /// names it.
    pub(crate) fn ready(&self) -> &Path {
        if let Err(error) = self.restore() {
            tracing::error!(folder = %self.own.display(), %error, "could not make the folder for files under way again");
        }
        &self.own
    }

    fn restore(&self) -> io::Result<()> {
        let mut lock = self.lock.lock();
        let is_locked = is_same_file(&lock, &self.lock_path);
        if is_locked && self.own.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&self.shared)?;
        if !is_locked {
            *lock = self.lock_again()?;
        }
        match fs::create_dir(&self.own) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        tracing::warn!(folder = %self.own.display(), "the folder for files under way, or its lock, vanished and was made again");
        Ok(())
    }

    /// A lock file in place of one that vanished. Somebody who looks for abandoned ones may take it before it is locked.
    fn lock_again(&self) -> io::Result<File> {
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = new_lock(&self.lock_path)? {
                return Ok(lock);
            }
            std::thread::yield_now();
        }
        Err(io::Error::new(
            ErrorKind::AlreadyExists,
            format!("{} is somebody else's", self.lock_path.display()),
        ))
    }

    /// Removes what processes that are gone left in the shared folder, and says how many of them there were. What cannot
    /// be removed now is left to the next time.
    pub(crate) fn remove_abandoned(&self) -> usize {
        let entries = match fs::read_dir(&self.shared) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(folder = %self.shared.display(), %error, "could not look for files of processes that are gone");
                return 0;
            }
        };
        let mut removed = 0;
        for entry in entries.flatten() {
            match self.remove_if_abandoned(&entry) {
                Ok(is_removed) => removed += usize::from(is_removed),
                // Somebody else looks, too.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let path = entry.path();
                    tracing::warn!(path = %path.display(), %error, "could not remove what a process that is gone left");
                }
            }
        }
        removed
    }

    fn remove_if_abandoned(&self, entry: &DirEntry) -> io::Result<bool> {
        let path = entry.path();
        if path == self.lock_path || !entry.file_type()?.is_file() {
            return Ok(false);
        }
        if path.extension().is_none_or(|ending| ending != LOCK_ENDING) {
            return remove_loose(&path, SystemTime::now());
        }
        // Some file systems over the network lock only what is open for writing.
        let lock = File::options().write(true).open(&path)?;
        if lock.try_lock().is_err() || !is_same_file(&lock, &path) {
            return Ok(false);
        }
        // The lock file last: without it nobody would look at the folder.
        match fs::remove_dir_all(path.with_extension("")) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => fs::remove_file(&path)?,
        }
        Ok(true)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What fails is done by the next process.
        let _ = fs::remove_dir_all(&self.own);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Removes what other processes leave, again and again, until the engine ends.
pub(super) async fn tidy(engine: Weak<Engine>) {
    let Some(ended) = engine.upgrade().map(|engine| engine.ended.clone()) else {
        return;
    };
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let Some(engine) = engine.upgrade() else {
            return;
        };
        // A panic in it is reported where panics are; the next round tries again.
        let _ = tokio::task::spawn_blocking(move || engine.scratch.remove_abandoned()).await;
    }
}

/// A lock file that was not there, locked; or `None` if somebody was faster.
fn new_lock(path: &Path) -> io::Result<Option<File>> {
    let lock = match File::create_new(path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        // Where there are no locks nobody gets one, so nobody removes anything.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(path = %path.display(), %error, "files of processes that are killed will stay here");
        }
    }
    // Between the two steps the lock file may have been taken for an abandoned one.
    Ok(is_same_file(&lock, path).then_some(lock))
}

fn remove_loose(path: &Path, now: SystemTime) -> io::Result<bool> {
    let modified = fs::symlink_metadata(path)?.modified()?;
    if now
        .duration_since(modified)
        .is_ok_and(|age| age > LOOSE_AGE)
    {
        fs::remove_file(path)?;
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_files_of_who_lives_stay_and_of_who_is_gone_go() {
        let folder = tempfile::tempdir().unwrap();
        let living = Scratch::create(folder.path()).unwrap();
        fs::write(living.path().join("under-way"), "x").unwrap();
        let (gone, lock) = (folder.path().join("gone"), folder.path().join("gone.lock"));
        fs::create_dir(&gone).unwrap();
        fs::write(gone.join("half"), "x").unwrap();
        fs::write(&lock, "").unwrap();
        // Its owner had got no further than this.
        fs::write(folder.path().join("early.lock"), "").unwrap();

        let other = Scratch::create(folder.path()).unwrap();
        assert!(!gone.exists() && !lock.exists());
        assert_eq!(names(folder.path()).len(), 4, "two folders and their locks");
        assert!(living.path().join("under-way").exists());
        assert_eq!(other.remove_abandoned(), 0);
        drop((living, other));
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_folder_that_vanished_is_there_again_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("tmp");
        let (one, other) = (
            Scratch::create(&shared).unwrap(),
            Scratch::create(&shared).unwrap(),
        );
        let all = |_: &Scratch| fs::remove_dir_all(&shared).unwrap();
        let own = |one: &Scratch| fs::remove_dir_all(one.path()).unwrap();
        let lock = |one: &Scratch| fs::remove_file(&one.lock_path).unwrap();
        for vanish in [&all as &dyn Fn(&Scratch), &own, &lock] {
            vanish(&one);
            fs::write(one.ready().join("under-way"), "x").unwrap();
            assert_eq!(other.remove_abandoned(), 0);
            assert!(one.path().join("under-way").exists());
            other.ready();
            assert_eq!(names(&shared).len(), 4, "two folders and their locks");
        }
        drop((one, other));
        assert_eq!(names(&shared), Vec::<String>::new());
    }

    #[test]
    fn a_lock_file_that_somebody_else_made_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let one = Scratch::create(folder.path()).unwrap();
        fs::remove_dir_all(one.path()).unwrap();
        fs::remove_file(&one.lock_path).unwrap();
        let theirs = new_lock(&one.lock_path).unwrap().unwrap();
        assert!(one.restore().is_err());
        assert!(!one.ready().exists());
        drop(theirs);
    }

    #[test]
    fn a_file_in_nobodys_folder_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old.pack"), "x").unwrap();
        fs::write(at("new.pack"), "x").unwrap();
        let long_ago = SystemTime::now() - LOOSE_AGE - Duration::from_secs(60);
        let old = File::options().write(true).open(at("old.pack")).unwrap();
        old.set_modified(long_ago).unwrap();
        let _scratch = Scratch::create(folder.path()).unwrap();
        assert!(!at("old.pack").exists());
        assert!(at("new.pack").exists());
    }
}
