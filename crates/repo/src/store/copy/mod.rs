//! Copying many files at once: from local folders into a store, out again, and within a store.
//!
//! What always holds:
//! - a copy into a store is one commit; its report says what it did, or, in a dry run, would do;
//! - a copy out of a store neither writes nor deletes anything outside its destination, whatever links are in it;
//! - files of any size pass through in pieces;
//! - the store's own folder is never copied, written into or deleted.

mod between;
mod by_times;
mod copy_in;
mod copy_out;
mod destination;
mod existing;
mod ingest;
mod local_file;
mod overlap;
mod problems;
mod remove;
mod rename;
mod source;
mod stat_cache;
mod sync;
mod walk_local;

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Stat;
use rustix::io::Errno;

pub use between::CopyBetween;
pub use copy_in::CopyIn;
pub use copy_out::{CopyOut, FileMade};
pub(super) use local_file::open as open_file;
pub(super) use overlap::above;
pub use remove::Remove;
pub use rename::Rename;
pub use sync::{SyncIn, SyncOut};

/// Which folder it is, under whatever name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FolderId {
    device: u64,
    number: u64,
}

impl FolderId {
    /// The folder at a path, through links.
    fn of(path: &Path) -> io::Result<FolderId> {
        fs::metadata(path).map(|found| FolderId {
            device: found.dev(),
            number: found.ino(),
        })
    }

    /// An open folder.
    fn of_open(folder: impl AsFd) -> Result<FolderId, Errno> {
        rustix::fs::fstat(folder).map(|found| FolderId::of_stat(&found))
    }

    fn of_stat(found: &Stat) -> FolderId {
        FolderId {
            device: found.st_dev,
            number: found.st_ino,
        }
    }
}
