//! Git's index of a working tree, version 2.
//!
//! With what the files say of themselves it spares `git status` from reading them all.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bstr::{BString, ByteSlice};
use packhouse_object::{EntryMode, ObjectId};
use ring::digest;

use super::CacheError;
use super::tree::local_path;

/// One file of the index.
#[derive(Clone, Debug)]
pub(super) struct IndexEntry {
    pub(super) path: BString,
    pub(super) mode: EntryMode,
    pub(super) id: ObjectId,
}

/// Whether the files are known to be what the index says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// They were written from it just now.
    Files,
    /// Git has to look.
    Nothing,
}

/// Writes the index of the tree at `tree`. The entries are in Git's order.
pub(super) fn write_index(
    index: &Path,
    tree: &Path,
    entries: &[IndexEntry],
    trust: Trust,
) -> Result<(), CacheError> {
    let mut bytes = Vec::with_capacity(entries.len() * 96 + 32);
    bytes.extend_from_slice(b"DIRC");
    bytes.extend_from_slice(&2u32.to_be_bytes());
    let count = u32::try_from(entries.len()).map_err(|_| CacheError::Config {
        reason: "the tree has more files than an index can have".to_owned(),
    })?;
    bytes.extend_from_slice(&count.to_be_bytes());
    for entry in entries {
        let found = match trust {
            Trust::Files => fs::symlink_metadata(local_path(tree, entry.path.as_bstr())).ok(),
            Trust::Nothing => None,
        };
        push(&mut bytes, entry, found.as_ref());
    }
    let sum = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    bytes.extend_from_slice(sum.as_ref());
    fs::write(index, bytes).map_err(CacheError::file(index))
}

fn push(bytes: &mut Vec<u8>, entry: &IndexEntry, found: Option<&Metadata>) {
    let begun = bytes.len();
    // Numbers are cut to 32 bits, as Git cuts them.
    let stat = found.map_or([0; 10], |found| {
        [
            found.ctime() as u32,
            found.ctime_nsec() as u32,
            found.mtime() as u32,
            found.mtime_nsec() as u32,
            found.dev() as u32,
            found.ino() as u32,
            0,
            found.uid(),
            found.gid(),
            found.len() as u32,
        ]
    });
    for (at, number) in stat.into_iter().enumerate() {
        let number = if at == 6 { entry.mode as u32 } else { number };
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(entry.id.as_bytes());
    let name_len = u16::try_from(entry.path.len())
        .unwrap_or(u16::MAX)
        .min(0xfff);
    bytes.extend_from_slice(&name_len.to_be_bytes());
    bytes.extend_from_slice(&entry.path);
    // One to eight NULs, so that the next one begins at a multiple of eight.
    let len = bytes.len() - begun;
    bytes.resize(begun + (len / 8 + 1) * 8, 0);
}
