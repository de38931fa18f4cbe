//! Files that count as unchanged by what `stat` says of them.
//!
//! Times prove little. A file can be written in the second of a commit and after it was read, get any time, take the
//! place of another together with an old one, or be written before a commit that was about something else. So contents
//! are compared wherever that costs little: few files are read, and of many it is remembered what they held when they
//! had which times (see `stat_cache`). What is left are file systems whose times nothing can be remembered by. There
//! an older time counts if everything else that can be seen without reading says the same.

use std::collections::HashMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::existing::Existing;
use super::local_file::Found;
use super::stat_cache::MIN_FILES;
use crate::directory::file_system::tells_changes;
use crate::store::{FileType, Snapshot};

/// Compares files with what a snapshot has, by times.
pub(super) struct ByTimes<'a> {
    snapshot: &'a Snapshot,
    /// Which devices have a file system whose times something is remembered by.
    devices: HashMap<u64, bool>,
}

impl ByTimes<'_> {
    /// `None` where contents are compared whatever times say: of few files, and with a commit that is not in the past,
    /// by a clock that is ahead of this one.
    pub(super) fn of(snapshot: &Snapshot, files: usize) -> Option<ByTimes<'_>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let is_past = snapshot.seconds() < now.as_secs().cast_signed();
        (files >= MIN_FILES && is_past).then(|| ByTimes {
            snapshot,
            devices: HashMap::new(),
        })
    }

    /// Whether a file that would be stored as `file_type` is taken for `existing` without being read.
    pub(super) fn is_unchanged(
        &mut self,
        path: &Path,
        found: &Found,
        file_type: FileType,
        existing: Existing,
    ) -> bool {
        let device = self.devices.entry(found.file.0);
        let remembers = *device.or_insert_with(|| tells_changes(path));
        !remembers
            && found.is_older_than(self.snapshot.seconds())
            && file_type == existing.file_type
            && self
                .snapshot
                .object_size(&existing.id)
                .is_ok_and(|size| size == found.stamp.size)
    }
}
