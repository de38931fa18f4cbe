//! What killed processes left behind, removed by whoever opens a cache.
//!
//! What is in the way of others goes each time. What only takes room, and is found by a look at all that there is, goes once a
//! day: a cache may have a hundred thousand entries, and be opened for each look at one.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use super::inner::Inner;
use super::staging::sweep;
use super::{checkout, replace, seal, spare};

const EACH: Duration = Duration::from_secs(24 * 3600);

/// Cleans up. What cannot be removed now is left for another time.
pub(super) fn at_open(inner: &Inner) {
    replace::recover(inner, None);
    sweep(&inner.root, inner.config.grace);
    checkout::sweep(inner);
    let swept = inner.root.own("swept");
    let is_due = is_due(&swept);
    spare::sweep(inner, is_due);
    if is_due {
        seal::sweep(inner);
        // Not by writing to what is there, which may be a link.
        let _ = fs::remove_file(&swept);
        let _ = File::create_new(&swept);
    }
}

/// Whether the last thorough look was long ago, or seems to be still to come.
fn is_due(swept: &Path) -> bool {
    let last = fs::symlink_metadata(swept).and_then(|found| found.modified());
    let age = last.ok().and_then(|last| last.elapsed().ok());
    age.is_none_or(|age| age > EACH)
}
