//! Lock files of a writer that was killed.
//!
//! Only called while no other writer of ours is at work, and only if the last one did not end its turn. It had noted each
//! lock before there was a file of that name, so that a lock which another program holds is never taken for one of its.

use std::fs;
use std::path::Path;

use super::turn_note::{Identity, Note};

/// Removes the locks among `notes` that are still the files they were.
pub(super) fn remove_locks(git_dir: &Path, notes: &[Note]) {
    for note in notes {
        let path = git_dir.join(&note.lock);
        let is_lock = path.extension().is_some_and(|end| end == "lock");
        let found = fs::symlink_metadata(&path);
        if is_lock && found.is_ok_and(|found| Identity::of(&found) == note.identity) {
            tracing::warn!(lock = %path.display(), "removed the lock of a writer that was killed");
            // A failure shows when the lock is taken.
            let _ = fs::remove_file(path);
        }
    }
}
