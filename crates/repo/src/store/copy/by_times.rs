//! Files that count as unchanged by their times, for who says so: contents are compared otherwise.
//!
//! Times prove little. A file can get any time, take the place of another together with an old one, or be written before
//! a commit that was about something else.

use std::time::{SystemTime, UNIX_EPOCH};

use super::existing::Existing;
use super::local_file::Found;
use crate::store::{FileType, Snapshot};

/// The time of the commit that files are compared with, in seconds since the epoch.
#[derive(Clone, Copy)]
pub(super) struct ByTimes(i64);

impl ByTimes {
    /// `None` if the commit is from the future, by a clock that is ahead of this one.
    pub(super) fn of(snapshot: &Snapshot) -> Option<ByTimes> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let is_known = snapshot.seconds() <= now.as_secs().cast_signed();
        is_known.then(|| ByTimes(snapshot.seconds()))
    }

    /// Whether a file that would be stored as `file_type` is taken for `existing` without being read.
    pub(super) fn is_unchanged(
        self,
        found: &Found,
        file_type: FileType,
        existing: Existing,
    ) -> bool {
        found.is_older_than(self.0) && file_type == existing.file_type
    }
}
