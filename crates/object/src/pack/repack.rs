//! Objects of a repository gathered in a new pack file, with the deltas there are.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::FinishedPack;
use super::file::TRAILER_LEN;
use super::index::IndexEntry;
use super::read_at::ReadAt;
use super::seal::{SealedPack, sync_with_index};
use crate::write_pack::write_entries;
use crate::{Counted, Database, ObjectId, PackOptions, Progress, WritePackError};

/// The pack passes through memory in pieces of this size.
const PIECE_LEN: usize = 256 << 10;

/// Writes a pack of the counted objects into a temporary file in `dir`, and its index, and syncs all.
///
/// Entries are copied as they lie in the repository's packs, held against their CRC-32; loose objects are held
/// against their ids. About 60 bytes of memory for each object.
pub fn repack(
    db: &Database,
    counted: &Counted,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<FinishedPack, WritePackError> {
    let (file, path) = NamedTempFile::with_suffix_in(".pack", dir)?.into_parts();
    let options = PackOptions {
        ofs_delta: true,
        thin: false,
    };
    let mut placed = Vec::with_capacity(counted.ids.len());
    let mut out = BufWriter::with_capacity(PIECE_LEN, &file);
    let stats = write_entries(
        db,
        counted,
        &options,
        &mut out,
        progress,
        &mut |id, offset| {
            placed.push((id, offset));
        },
    )?;
    out.flush()?;
    drop(out);
    let (mut entries, key) = index_entries(&file, &placed, stats.bytes)?;
    entries.sort_unstable_by_key(|entry| entry.id);
    let mut trailer = [0; TRAILER_LEN];
    ReadAt::read_exact_at(&file, &mut trailer, stats.bytes - TRAILER_LEN as u64)?;
    let checksum = ObjectId::from_bytes_or_panic(&trailer);
    let pack = SealedPack {
        file,
        path,
        bytes: stats.bytes,
    };
    Ok(sync_with_index(pack, dir, checksum, key, &entries)?)
}

/// What an index says of each entry, and the hash of the whole pack, from reading it once.
fn index_entries(
    pack: &File,
    placed: &[(ObjectId, u64)],
    bytes: u64,
) -> io::Result<(Vec<IndexEntry>, [u8; 32])> {
    let mut key = blake3::Hasher::new();
    let mut entries = Vec::with_capacity(placed.len());
    let mut piece = vec![0; PIECE_LEN];
    let mut read = |from: u64, to: u64, mut crc: Option<&mut crc32fast::Hasher>| {
        let mut at = from;
        while at < to {
            let n = piece.len().min((to - at) as usize);
            ReadAt::read_exact_at(pack, &mut piece[..n], at)?;
            key.update(&piece[..n]);
            if let Some(crc) = &mut crc {
                crc.update(&piece[..n]);
            }
            at += n as u64;
        }
        io::Result::Ok(())
    };
    let end_of_entries = bytes - TRAILER_LEN as u64;
    let first = placed.first().map_or(end_of_entries, |(_, offset)| *offset);
    read(0, first, None)?;
    for (at, (id, offset)) in placed.iter().enumerate() {
        let end = placed.get(at + 1).map_or(end_of_entries, |(_, next)| *next);
        let mut crc = crc32fast::Hasher::new();
        read(*offset, end, Some(&mut crc))?;
        entries.push(IndexEntry {
            id: *id,
            crc32: crc.finalize(),
            offset: *offset,
        });
    }
    read(end_of_entries, bytes, None)?;
    Ok((entries, *key.finalize().as_bytes()))
}
