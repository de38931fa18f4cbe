//! What a writer notes of the lock files that it is about to make.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use bstr::ByteSlice;

use super::turn_holder::HOLDER_BYTES;

/// A lock file that a writer noted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Below the repository's folder.
    pub(super) lock: PathBuf,
    pub(super) identity: Identity,
}

/// Which file it is, whatever its name: its number, and when it was made, as numbers are given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inode: u64,
    /// In nanoseconds since 1970; 0 where the file system does not tell.
    pub(super) made: u64,
}

impl Identity {
    pub(super) fn of(metadata: &Metadata) -> Identity {
        let made = metadata.created().ok();
        let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        Identity {
            inode: metadata.ino(),
            made: since.map_or(0, |since| since.as_nanos() as u64),
        }
    }
}

/// The notes in a turn's file, behind the line that names its holder.
pub(super) fn parse_notes(text: &[u8]) -> Vec<Note> {
    let parse = |line: &[u8]| {
        let mut parts = line.splitn_str(3, " ");
        let mut number = || parts.next()?.to_str().ok()?.parse::<u64>().ok();
        let identity = Identity {
            inode: number()?,
            made: number()?,
        };
        let lock = PathBuf::from(OsStr::from_bytes(parts.next()?));
        Some(Note { lock, identity })
    };
    let lines = text.get(HOLDER_BYTES..).unwrap_or_default().lines();
    lines.map_while(parse).collect()
}
