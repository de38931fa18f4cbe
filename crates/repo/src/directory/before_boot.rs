//! Lock files that a power cut left: older than the start of the system, so that no process that lives can hold them.
//!
//! A clock that was set since, or a system that was paused and went on later, makes the start look later than it was.
//! So two are asked for it: the kernel, which reckons it from the clock as it is now, and the time that the clock showed
//! then, which the first files of the kernel bear. Where they differ, or one of them is not known, nothing is called old.
//!
//! Nor is anything while this machine lends its disks to others, whose processes outlive its start.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::file_system::is_on_disk;
use super::lock::rename_to_new;
use super::turn_note::Identity;

/// How far what both say of the start may be apart, in seconds: the kernel makes its files a moment after it.
const AGREED_SECONDS: i64 = 60;

/// Times of files, and of the start, may be cut to seconds, or to two.
const COARSE_SECONDS: i64 = 4;

/// When the system started, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boot {
    /// By the clock as it is now.
    reckoned: i64,
    /// By the clock as it was then.
    shown: i64,
}

impl Boot {
    /// A start that nobody disagrees about.
    #[cfg(test)]
    pub(super) fn at(seconds: i64) -> Boot {
        Boot {
            reckoned: seconds,
            shown: seconds,
        }
    }

    /// `None` where one of them is not known: the first files of the kernel cannot be seen in most containers. Also where
    /// processes of other machines may work on the disks of this one.
    pub(super) fn of_this_system() -> Option<Boot> {
        if is_exporting(["/proc/fs/nfsd", "/proc/fs/nfs"].map(Path::new)) {
            return None;
        }
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let device = "/dev/null";
        let made = is_made_by_kernel(&mounts).then(|| fs::symlink_metadata(device))?;
        let made = made.and_then(|device| device.created()).ok()?;
        Some(Boot {
            reckoned: line.trim().parse().ok()?,
            shown: made
                .duration_since(UNIX_EPOCH)
                .ok()?
                .as_secs()
                .cast_signed(),
        })
    }

    /// Whether what was there last at this time, in seconds since 1970, was there before the start.
    fn is_after(self, seconds: i64) -> bool {
        let Boot { reckoned, shown } = self;
        reckoned.abs_diff(shown) <= AGREED_SECONDS.cast_unsigned()
            && seconds < reckoned.min(shown) - COARSE_SECONDS
    }

    /// Removes a lock that no process that lives can have made. Returns whether it did.
    ///
    /// The caller has waited for it as long as for any other.
    pub(super) fn remove_older(self, lock: &Path) -> bool {
        let Ok(found) = fs::symlink_metadata(lock) else {
            return false;
        };
        if !self.is_after(last_time(&found)) || !found.is_file() || !is_on_disk(lock) {
            return false;
        }
        let removed = remove_if(lock, Identity::of(&found));
        if removed {
            tracing::warn!(lock = %lock.display(), "removed a lock that is older than the start of the system");
        }
        removed
    }
}

/// Removes the lock that is this file. Somebody else may have come to the same, and made a lock of its own: that stays.
fn remove_if(lock: &Path, identity: Identity) -> bool {
    let Some(name) = lock.file_name() else {
        return false;
    };
    // What ends so is no ref to anybody.
    let mut aside = name.to_owned();
    aside.push(format!(".{:016x}.lock", rand::random::<u64>()));
    let aside = lock.with_file_name(aside);
    // Looked at where nobody else replaces it.
    if fs::rename(lock, &aside).is_err() {
        return false;
    }
    if fs::symlink_metadata(&aside).is_ok_and(|found| Identity::of(&found) == identity) {
        return fs::remove_file(&aside).is_ok();
    }
    let is_back = rename_to_new(&aside, lock).is_ok()
        // For file systems that cannot rename so.
        || fs::hard_link(&aside, lock).is_ok() && fs::remove_file(&aside).is_ok();
    if !is_back {
        tracing::warn!(lock = %lock.display(), aside = %aside.display(), "a lock was taken while it was looked at");
    }
    false
}

/// Whether other machines use disks of this one, by what the kernel shows of its NFS server.
fn is_exporting<const N: usize>(folders: [&Path; N]) -> bool {
    folders.into_iter().any(|folder| {
        // A server at work shows only those exports that somebody has asked for since it started.
        let shows = |name: &str, says: fn(&str) -> bool| match fs::read_to_string(folder.join(name))
        {
            Ok(text) => text.lines().any(says),
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        shows("exports", |line| !line.is_empty() && !line.starts_with('#'))
            || shows("threads", |line| line.trim() != "0")
    })
}

/// The last time that anything was done to a file.
fn last_time(file: &Metadata) -> i64 {
    let made = file.created().ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(i64::MIN, |made| made.as_secs().cast_signed());
    file.mtime().max(file.ctime()).max(made)
}

/// Whether `/dev` is what the kernel itself fills when it starts, by the list of what is mounted where.
fn is_made_by_kernel(mounts: &str) -> bool {
    let mut kinds = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let is_dev = place.split(' ').nth(4) == Some("/dev");
        is_dev.then(|| kind.split(' ').next()).flatten()
    });
    // The last one hides those before it.
    kinds.by_ref().last() == Some("devtmpfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: Boot = Boot {
        reckoned: 1_000_000,
        shown: 1_000_010,
    };

    #[test]
    fn only_what_both_clocks_call_older_is_older() {
        assert!(BOOT.is_after(999_990));
        for seconds in [999_997, 1_000_000, 1_000_005, 2_000_000, i64::MAX] {
            assert!(!BOOT.is_after(seconds), "{seconds}");
        }
        // The clock was set forward, or back, or the system was paused for an hour.
        for shown in [0, 996_400, 1_003_600] {
            let moved = Boot { shown, ..BOOT };
            for seconds in [-1, 0, 990_000, 999_000, 1_000_500] {
                assert!(!moved.is_after(seconds), "{shown} {seconds}");
            }
        }
    }

    #[test]
    fn a_lock_of_before_the_start_is_removed_and_one_of_after_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("main.lock");
        fs::write(&lock, b"").unwrap();
        let made = fs::metadata(&lock).unwrap().ctime();
        // The time of the last change counts, whatever time of writing somebody gave the file.
        let file = fs::File::options().write(true).open(&lock).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        let boot = Boot::at;
        assert!(!boot(made - 3600).remove_older(&lock));
        assert!(!boot(made).remove_older(&lock));
        assert!(lock.exists());
        let is_removed = boot(made + 3600).remove_older(&lock);
        assert_eq!(is_removed, is_on_disk(folder.path()));
        assert_eq!(lock.exists(), !is_removed);
        assert!(!boot(made + 3600).remove_older(&folder.path().join("none")));
        assert!(!boot(made + 3600).remove_older(folder.path()));
    }

    #[test]
    fn a_lock_that_somebody_has_made_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (old, lock) = (folder.path().join("old"), folder.path().join("main.lock"));
        fs::write(&old, b"").unwrap();
        fs::write(&lock, b"new").unwrap();
        let identity = |path: &Path| Identity::of(&fs::metadata(path).unwrap());
        let (of_old, of_new) = (identity(&old), identity(&lock));
        assert!(!remove_if(&lock, of_old));
        assert_eq!(identity(&lock), of_new);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(remove_if(&lock, of_new));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_machine_that_lends_its_disks_trusts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let nfsd = folder.path();
        let is_exporting = || is_exporting([nfsd, &nfsd.join("none")]);
        assert!(!is_exporting());
        fs::write(
            nfsd.join("exports"),
            "# Version 1.1\n# Path Client(Flags) # IPs\n",
        )
        .unwrap();
        fs::write(nfsd.join("threads"), "0\n").unwrap();
        assert!(!is_exporting());
        fs::write(nfsd.join("threads"), "8\n").unwrap();
        assert!(is_exporting());
        fs::write(nfsd.join("threads"), "0\n").unwrap();
        fs::write(nfsd.join("exports"), "# Version 1.1\n/srv\t*(rw,sync)\n").unwrap();
        assert!(is_exporting());
        // What cannot be read may say so.
        fs::remove_file(nfsd.join("exports")).unwrap();
        fs::create_dir(nfsd.join("exports")).unwrap();
        assert!(is_exporting());
    }

    #[test]
    fn nothing_in_memory_is_older_than_the_start() {
        // Whatever the clocks say, on a file system that starts empty.
        let place = Path::new("/dev/shm");
        if is_on_disk(place) || !place.is_dir() {
            return;
        }
        let lock = tempfile::NamedTempFile::new_in(place).unwrap();
        assert!(!Boot::at(i64::MAX / 2).remove_older(lock.path()));
        assert!(lock.path().exists());
    }

    #[test]
    fn the_files_of_the_kernel_are_told_from_those_of_a_container() {
        let kernel = "24 27 0:6 / /dev rw - devtmpfs devtmpfs rw,mode=755\n";
        let container = "61 60 0:52 / /dev rw - tmpfs tmpfs rw,mode=755\n";
        assert!(is_made_by_kernel(kernel));
        assert!(is_made_by_kernel(&[container, kernel].concat()));
        assert!(!is_made_by_kernel(container));
        assert!(!is_made_by_kernel(&[kernel, container].concat()));
        assert!(!is_made_by_kernel(&kernel.replace("/dev ", "/dev/pts ")));
        assert!(!is_made_by_kernel(""));
    }
}
