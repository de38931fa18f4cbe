//! Lock files of a writer that was killed.
//!
//! Only called while no other writer of ours is at work, and only if the last one did not end its turn: then a lock
//! is its, or that of a `git` at work this very moment, which is given time to finish.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a lock must stay as it is to count as left behind. `git` holds one for a few milliseconds.
const STAYS: Duration = Duration::from_millis(500);

/// Locks besides those of refs.
const FILES: [&str; 3] = ["HEAD.lock", "packed-refs.lock", "config.lock"];

/// How deep folders of refs are followed.
const DEPTH_MAX: usize = 64;

type Identity = (u64, i64, i64);

/// Removes the locks that a killed writer left in this repository.
pub(super) fn remove_locks(git_dir: &Path) {
    let mut found = Vec::new();
    for name in FILES {
        note(git_dir.join(name), &mut found);
    }
    list(&git_dir.join("refs"), 0, &mut found);
    let Some(youngest) = found.iter().map(|(_, identity)| age(identity)).min() else {
        return;
    };
    thread::sleep(STAYS.saturating_sub(youngest));
    for (path, before) in found {
        if identity(&path) == Some(before) {
            tracing::warn!(lock = %path.display(), "removed the lock of a writer that was killed");
            // A failure shows when the lock is taken.
            let _ = fs::remove_file(path);
        }
    }
}

fn list(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, Identity)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEPTH_MAX => list(&path, depth + 1, found),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "lock") => {
                note(path, found);
            }
            _ => {}
        }
    }
}

fn note(path: PathBuf, found: &mut Vec<(PathBuf, Identity)>) {
    if let Some(identity) = identity(&path) {
        found.push((path, identity));
    }
}

/// How long ago the lock was written; nothing, if that is not certain.
fn age((_, seconds, nanoseconds): &Identity) -> Duration {
    let (Ok(seconds), Ok(nanoseconds)) = (u64::try_from(*seconds), u64::try_from(*nanoseconds))
    else {
        return Duration::ZERO;
    };
    let written = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
    SystemTime::now()
        .duration_since(written)
        .unwrap_or_default()
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}
