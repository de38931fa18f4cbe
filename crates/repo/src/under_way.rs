//! What is under way: files and folders that are written beside their places and get there by a renaming, so that nobody
//! finds half of one; and those that killed writers left.
//!
//! Each is locked from the moment it is made until its writer ends, however it ends. So one whose lock is free is nobody's
//! any more, where one machine decides who has it: its name says which machine that is, since which start of it, as on a
//! network's file system others may not see the lock. What has no such name is not looked at.
//!
//! A process that is forked off has copies of what its parent is at work on, and neither moves nor removes it.

mod in_folder;
mod whole_file;

pub(crate) use in_folder::{NewEntry, remove_if_left, remove_left_in};
pub use whole_file::write_whole;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use packhouse_object::MadeHere;
use tempfile::{NamedTempFile, TempDir};

/// What something under way is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A store that is made.
    NewStore,
    /// A store that is removed.
    OldStore,
    /// A repository that a backup makes.
    Backup,
    /// A bundle.
    Bundle,
    /// An archive.
    Archive,
    /// A repository that an export makes.
    Export,
    /// What one process receives and writes for a store.
    Incoming,
    /// A file or link of a copy to disk.
    Copy,
}

/// All of them.
const KINDS: [Kind; 8] = [
    Kind::NewStore,
    Kind::OldStore,
    Kind::Backup,
    Kind::Bundle,
    Kind::Archive,
    Kind::Export,
    Kind::Incoming,
    Kind::Copy,
];

/// Names end in so many letters and digits.
const RANDOM_CHARS: usize = 6;
/// So many digits before them stand for the running system.
const SYSTEM_CHARS: usize = 12;
/// Stands in their place where it is not known.
const UNKNOWN: &str = "unknown";
/// Between the two.
const DASH: u8 = b'-';

/// Stands for this machine since it was started (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What a folder has in it.
const NEW: &str = "new";
const OLD: &str = "old";
const KEPT: &str = "kept";

/// How often another name is tried at most, where others take what was just made for something that was left.
const TRIES: u32 = 100;

/// A folder of more entries is not looked through more often than this: many stores are made in it, one by one.
const MANY_ENTRIES: usize = 1000;
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Nor are more than so many looked at: what a command costs is not to grow with what else is in a folder.
const LOOKED_THROUGH_MAX: usize = 20_000;

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Kind::NewStore => ".new-store-",
            Kind::OldStore => ".old-store-",
            Kind::Backup => ".packhouse-backup-",
            Kind::Bundle => ".packhouse-bundle-",
            Kind::Archive => ".packhouse-archive-",
            Kind::Export => ".packhouse-export-",
            Kind::Incoming => ".packhouse-incoming-",
            Kind::Copy => ".packhouse-copy-",
        }
    }

    /// What names begin with on this machine.
    fn beginning(self) -> String {
        let system = SYSTEM.as_deref().unwrap_or(UNKNOWN);
        format!("{}{system}-", self.prefix())
    }
}

/// The running system, as names have it; `None` where it is not known: then nothing is removed.
static SYSTEM: LazyLock<Option<String>> = LazyLock::new(|| {
    let id = fs::read_to_string(BOOT_ID).ok()?;
    let digits = id.chars().filter(char::is_ascii_hexdigit);
    let digits: String = digits.take(SYSTEM_CHARS).collect();
    (digits.len() == SYSTEM_CHARS).then_some(digits)
});

/// A folder of a writer that is at work, for its owner only. Dropped, it is removed with what is in it.
#[derive(Debug)]
pub struct FolderUnderWay {
    folder: MadeHere<TempDir>,
    /// Held until the end.
    _lock: File,
}

impl FolderUnderWay {
    /// An empty folder in `parent`.
    pub fn make(kind: Kind, parent: &Path) -> io::Result<FolderUnderWay> {
        let beginning = kind.beginning();
        for _ in 0..TRIES {
            let folder = tempfile::Builder::new()
                .prefix(&beginning)
                .rand_bytes(RANDOM_CHARS)
                .tempdir_in(parent)?;
            match File::open(folder.path()) {
                Ok(lock) if is_claimed(&lock, folder.path()) => {
                    return Ok(FolderUnderWay {
                        folder: MadeHere::new(folder),
                        _lock: lock,
                    });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where in it what will leave it is to be made.
    pub fn new_path(&self) -> PathBuf {
        self.path().join(NEW)
    }

    /// Where in it what is to go with it has its place.
    pub fn old_path(&self) -> PathBuf {
        self.path().join(OLD)
    }

    /// From now on nobody removes it if this process is killed: what is in it may be needed.
    pub fn spare(&self) -> io::Result<()> {
        File::create(self.path().join(KEPT)).map(drop)
    }

    /// Takes back that it is spared.
    pub fn release(&self) -> io::Result<()> {
        fs::remove_file(self.path().join(KEPT))
    }

    /// Leaves it for good, and says where it is: under a name that nobody looks for if it cannot be spared, as on a full disk.
    ///
    /// # Errors
    ///
    /// Neither can be done. It stays until this process ends; then whoever makes or removes something beside it removes it.
    pub fn keep(self) -> io::Result<PathBuf> {
        let spared = self.spare();
        let FolderUnderWay { folder, _lock } = self;
        let path = folder.into_inner()?.keep();
        if spared.is_ok() {
            return Ok(path);
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push("-kept");
        let aside = path.with_file_name(name);
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(aside),
            Err(error) => {
                std::mem::forget(_lock);
                Err(error)
            }
        }
    }

    /// As [`FolderUnderWay::keep`], and says where what has its place in it is.
    ///
    /// # Errors
    ///
    /// As [`FolderUnderWay::keep`].
    pub fn keep_old(self) -> io::Result<PathBuf> {
        Ok(self.keep()?.join(OLD))
    }

    /// Removes it, and says if that fails.
    pub fn close(self) -> io::Result<()> {
        self.folder.into_inner()?.close()
    }
}

/// A file of a writer that is at work. Dropped, it is removed.
#[derive(Debug)]
pub struct FileUnderWay(MadeHere<NamedTempFile>);

impl FileUnderWay {
    /// An empty file in `parent`, for whom the umask says.
    pub fn make(kind: Kind, parent: &Path) -> io::Result<FileUnderWay> {
        let beginning = kind.beginning();
        for _ in 0..TRIES {
            let file = tempfile::Builder::new()
                .prefix(&beginning)
                .rand_bytes(RANDOM_CHARS)
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(parent)?;
            if is_claimed(file.as_file(), file.path()) {
                return Ok(FileUnderWay(MadeHere::new(file)));
            }
        }
        Err(ErrorKind::ResourceBusy.into())
    }

    /// The file.
    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// The file, to be written.
    pub fn file_mut(&mut self) -> io::Result<&mut File> {
        Ok(self.0.get_mut()?.as_file_mut())
    }

    /// Moves it to its place, where it replaces what is there.
    pub fn persist(self, place: &Path) -> io::Result<()> {
        self.0.into_inner()?.persist(place)?;
        Ok(())
    }
}

/// Locks what was just made. `false`: somebody takes it for something that was left, and removes it.
fn is_claimed(lock: &File, path: &Path) -> bool {
    match lock.try_lock() {
        // Where there are no locks there is none to be had for others either, and nobody removes anything.
        Ok(()) | Err(TryLockError::Error(_)) => is_same_file(lock, path),
        Err(TryLockError::WouldBlock) => false,
    }
}

/// Removes what writers in `parent` left that are gone; of a huge folder only the first names are looked at. What cannot be
/// removed now is left to the next time.
pub fn remove_left_behind(parent: &Path) {
    static LOOKED_THROUGH: Mutex<Option<(PathBuf, Instant)>> = Mutex::new(None);
    let looked_through = || {
        LOOKED_THROUGH
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    };
    let was_just_now =
        |(path, at): &(PathBuf, Instant)| path == parent && at.elapsed() < LOOK_EVERY;
    if SYSTEM.is_none() || looked_through().as_ref().is_some_and(was_just_now) {
        return;
    }
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let mut count = 0;
    for entry in entries.flatten().take(LOOKED_THROUGH_MAX) {
        count += 1;
        if is_of_this_system(&entry.file_name()) {
            // Nothing depends on it: what is made now has a name of its own.
            let _ = remove_if_left_behind(&entry.path());
        }
    }
    if count > MANY_ENTRIES {
        *looked_through() = Some((parent.to_owned(), Instant::now()));
    }
}

/// Whether this is the name of something under way, on whatever machine, and since whichever start of it. What has such a
/// name is nobody's content.
pub fn is_under_way(name: &OsStr) -> bool {
    is_name(name.as_bytes(), |system| {
        let is_system = system.len() == SYSTEM_CHARS && system.iter().all(u8::is_ascii_hexdigit);
        is_system || system == UNKNOWN.as_bytes()
    })
}

/// Whether this is the name of something that was under way on this machine since it was started.
pub(crate) fn is_of_this_system(name: &OsStr) -> bool {
    let Some(system) = SYSTEM.as_deref() else {
        return false;
    };
    is_name(name.as_bytes(), |found| found == system.as_bytes())
}

/// Whether a name has the form of one of a kind, for a system like this.
fn is_name(name: &[u8], is_system: impl Fn(&[u8]) -> bool) -> bool {
    let of_kind = |kind: Kind| name.strip_prefix(kind.prefix().as_bytes());
    let rest = KINDS.into_iter().find_map(of_kind);
    let parts = rest.and_then(|rest| rest.split_at_checked(rest.len().checked_sub(RANDOM_CHARS)?));
    parts.is_some_and(|(before, random)| {
        random.iter().all(u8::is_ascii_alphanumeric)
            && before.strip_suffix(&[DASH]).is_some_and(is_system)
    })
}

fn remove_if_left_behind(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let is_folder = found.is_dir();
    // In a folder of somebody else the paths below could come to mean something else meanwhile.
    if found.uid() != rustix::process::geteuid().as_raw() || !(is_folder || found.is_file()) {
        return Ok(());
    }
    let open = |write: bool| {
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = File::options();
        options.read(true).write(write).custom_flags(no_follow);
        options.open(path)
    };
    // Some file systems over the network lock only what is open for writing.
    let lock = match is_folder {
        true => open(false)?,
        false => open(true).or_else(|_| open(false))?,
    };
    if lock.try_lock().is_err() || !is_same_file(&lock, path) {
        return Ok(());
    }
    if !is_folder {
        return fs::remove_file(path);
    }
    let is_incoming = is_of_kind(path, Kind::Incoming);
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        // Not what is spared; but a store that was made in it may have been under way itself.
        if name != NEW && name != OLD && !is_of_this_system(&name) && !is_incoming {
            return Ok(());
        }
    }
    fs::remove_dir_all(path)
}

fn is_of_kind(path: &Path, kind: Kind) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_bytes().starts_with(kind.prefix().as_bytes())
}

/// Whether `path` still names the open file: somebody else may have removed it just before.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use packhouse_testkit::forked::in_child;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// What a writer of this kind that is gone has left in a folder.
    fn left(parent: &Path, kind: Kind, random: &str) -> PathBuf {
        let path = parent.join(kind.beginning() + random);
        match kind {
            Kind::Bundle | Kind::Archive | Kind::Copy => fs::write(&path, "half").unwrap(),
            Kind::Incoming => {
                fs::create_dir(&path).unwrap();
                fs::write(path.join(".tmpabc.pack"), "half").unwrap();
            }
            _ => {
                fs::create_dir_all(path.join("new/objects")).unwrap();
                fs::create_dir_all(path.join("old")).unwrap();
                fs::write(path.join("old/HEAD"), "ref: refs/heads/main\n").unwrap();
            }
        }
        path
    }

    #[test]
    fn what_writers_that_are_gone_left_goes_and_what_those_at_work_have_stays() {
        let parent = tempfile::tempdir().unwrap();
        for kind in KINDS {
            left(parent.path(), kind, "aB3dE6");
        }
        let folder = FolderUnderWay::make(Kind::NewStore, parent.path()).unwrap();
        fs::create_dir(folder.new_path()).unwrap();
        let file = FileUnderWay::make(Kind::Bundle, parent.path()).unwrap();
        remove_left_behind(parent.path());
        assert_eq!(names(parent.path()).len(), 2);
        assert_eq!(names(folder.path()), ["new"]);
        file.persist(&parent.path().join("b")).unwrap();
        drop(folder);
        assert_eq!(names(parent.path()), ["b"]);
    }

    #[test]
    fn a_forked_process_neither_moves_nor_removes_what_its_parent_is_at_work_on() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("place");
        let make_folder = || FolderUnderWay::make(Kind::NewStore, parent.path()).unwrap();
        let folder = Cell::new(Some(make_folder()));
        let second = Cell::new(Some(make_folder()));
        let make_file = || FileUnderWay::make(Kind::Bundle, parent.path()).unwrap();
        let file = Cell::new(Some(make_file()));
        let second_file = Cell::new(Some(make_file()));
        assert!(in_child(|| {
            drop((folder.take(), file.take()));
            let mut copy = second_file.take().expect("it is there");
            copy.file_mut().is_err()
                && copy.persist(&place).is_err()
                && second.take().is_some_and(|folder| folder.close().is_err())
        }));
        assert_eq!(names(parent.path()).len(), 4);
        drop((folder, second, second_file));
        file.take().unwrap().persist(&place).unwrap();
        assert_eq!(names(parent.path()), ["place"]);
    }

    #[test]
    fn what_is_spared_stays_until_it_is_released() {
        let parent = tempfile::tempdir().unwrap();
        let folder = FolderUnderWay::make(Kind::OldStore, parent.path()).unwrap();
        fs::create_dir(folder.old_path()).unwrap();
        folder.spare().unwrap();
        let path = folder.folder.into_inner().unwrap().keep();
        drop(folder._lock);
        remove_left_behind(parent.path());
        assert_eq!(names(&path), ["kept", "old"]);
        fs::remove_file(path.join(KEPT)).unwrap();
        remove_left_behind(parent.path());
        assert!(!path.exists());

        let folder = FolderUnderWay::make(Kind::OldStore, parent.path()).unwrap();
        fs::create_dir(folder.old_path()).unwrap();
        let path = folder.keep().unwrap();
        remove_left_behind(parent.path());
        assert!(path.join("old").exists());

        // Where it cannot be marked, it gets another name.
        let folder = FolderUnderWay::make(Kind::OldStore, parent.path()).unwrap();
        fs::create_dir(folder.old_path()).unwrap();
        let cannot_be_made = folder.path().join(KEPT);
        std::os::unix::fs::symlink("no/such/folder", cannot_be_made).unwrap();
        folder.spare().unwrap_err();
        let path = folder.keep().unwrap();
        fs::remove_file(path.join(KEPT)).unwrap();
        remove_left_behind(parent.path());
        assert!(path.join("old").exists());

        let folder = FolderUnderWay::make(Kind::OldStore, parent.path()).unwrap();
        folder.spare().unwrap();
        folder.release().unwrap();
        assert!(names(folder.path()).is_empty());
        folder.close().unwrap();
    }

    #[test]
    fn what_only_looks_alike_stays() {
        let parent = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let of_ours = |random: &str| parent.path().join(Kind::NewStore.beginning() + random);
        let linked = left(elsewhere.path(), Kind::NewStore, "linked");
        std::os::unix::fs::symlink(&linked, of_ours("link00")).unwrap();
        left(parent.path(), Kind::NewStore, "longer0");
        left(parent.path(), Kind::NewStore, "a.b.c.");
        let more = left(parent.path(), Kind::NewStore, "more00");
        fs::write(more.join("notes"), b"mine").unwrap();
        // Also what another machine has, whose locks may not be seen here, or this one had before it was started.
        for name in [
            ".new-store-000000000000-other0",
            ".new-store-unknown-other0",
            ".new-store-aB3dE6",
            "new-store-aB3dE6",
        ] {
            fs::create_dir_all(parent.path().join(name).join("new")).unwrap();
        }
        let before = names(parent.path());
        remove_left_behind(parent.path());
        assert_eq!(names(parent.path()), before);
        assert_eq!(names(&linked), ["new", "old"]);
    }

    #[test]
    fn those_who_remove_and_those_who_make_are_in_nobodys_way() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        std::thread::scope(|scope| {
            for number in 0..4 {
                scope.spawn(move || {
                    for round in 0..50 {
                        let mut file = FileUnderWay::make(Kind::Bundle, parent).unwrap();
                        let folder = FolderUnderWay::make(Kind::NewStore, parent).unwrap();
                        fs::create_dir(folder.new_path()).unwrap();
                        remove_left_behind(parent);
                        io::Write::write_all(file.file_mut().unwrap(), b"x").unwrap();
                        let to = |what: &str| parent.join(format!("{what}-{number}-{round}"));
                        file.persist(&to("file")).unwrap();
                        fs::rename(folder.new_path(), to("folder")).unwrap();
                    }
                });
            }
        });
        let names = names(parent);
        assert_eq!(names.len(), 2 * 4 * 50, "{names:?}");
    }
}
