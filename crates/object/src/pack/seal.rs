//! The last steps of a pack: its count, its checksum, its index, and the syncs.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tempfile::{NamedTempFile, TempPath};

use super::FinishedPack;
use super::file::PACK_HEADER_LEN;
use super::index::{IndexEntry, write_index};
use super::read_at::ReadAt;
use crate::{HashKind, ObjectId};

/// The header of a pack of `count` objects.
pub(super) fn pack_header_bytes(count: u32) -> [u8; PACK_HEADER_LEN] {
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    header[8..].copy_from_slice(&count.to_be_bytes());
    header
}

/// Completes a pack whose entries end at `content_len`: writes the count and the checksum, which
/// covers it, then the index, and syncs all.
pub(super) fn seal(
    file: File,
    path: TempPath,
    dir: &Path,
    content_len: u64,
    count: u32,
    entries: &[IndexEntry],
) -> io::Result<FinishedPack> {
    file.write_all_at(&pack_header_bytes(count), 0)?;
    let mut sha = gix_hash::hasher(HashKind::Sha1);
    let mut key = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    while at < content_len {
        let n = buffer.len().min((content_len - at) as usize);
        ReadAt::read_exact_at(&file, &mut buffer[..n], at)?;
        sha.update(&buffer[..n]);
        key.update(&buffer[..n]);
        at += n as u64;
    }
    let checksum = sha
        .try_finalize()
        .map_err(|_| io::Error::other("the pack is a SHA-1 collision attack"))?;
    file.write_all_at(checksum.as_slice(), content_len)?;
    key.update(checksum.as_slice());
    let pack = SealedPack {
        file,
        path,
        bytes: content_len + checksum.as_slice().len() as u64,
    };
    sync_with_index(pack, dir, checksum, *key.finalize().as_bytes(), entries)
}

/// A pack that has its checksum.
pub(super) struct SealedPack {
    pub(super) file: File,
    pub(super) path: TempPath,
    pub(super) bytes: u64,
}

/// Writes the index of a pack beside it and syncs both files and the folder.
pub(super) fn sync_with_index(
    pack: SealedPack,
    dir: &Path,
    checksum: ObjectId,
    key: [u8; 32],
    entries: &[IndexEntry],
) -> io::Result<FinishedPack> {
    let (mut idx, idx_path) = NamedTempFile::with_suffix_in(".idx", dir)?.into_parts();
    let index = write_index(entries, &checksum, &mut idx)?;
    idx.flush()?;
    pack.file.sync_all()?;
    idx.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(FinishedPack {
        pack: pack.path,
        idx: idx_path,
        checksum,
        key,
        objects: entries.len() as u64,
        pack_bytes: pack.bytes,
        idx_bytes: index.bytes,
        bitmap: None,
    })
}
