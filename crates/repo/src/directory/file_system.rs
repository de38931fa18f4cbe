//! Which kind of file system something is on: where times of files are this machine's own.

use std::path::Path;

/// File systems on a disk that one machine alone has.
const ON_DISK: [u64; 6] = [
    0xef53,      // ext2, ext3 and ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
];

const TMPFS: u64 = 0x0102_1994;
const OVERLAY: u64 = 0x794c_7630;

/// Whether a file is on a disk of this machine: what was there before the system started is there still, and no other
/// machine makes files there.
pub(super) fn is_on_disk(path: &Path) -> bool {
    kind(path).is_some_and(|kind| ON_DISK.contains(&kind))
}

/// Whether the file system keeps a time of change with every write, by the clock of this machine.
pub(crate) fn tells_changes(path: &Path) -> bool {
    kind(path).is_some_and(|kind| ON_DISK.contains(&kind) || [TMPFS, OVERLAY].contains(&kind))
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> Option<u64> {
    let found = rustix::fs::statfs(path).ok()?;
    Some(found.f_type as u64 & 0xffff_ffff)
}

#[cfg(not(target_os = "linux"))]
fn kind(_path: &Path) -> Option<u64> {
    None
}
