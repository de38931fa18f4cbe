//! Reverse indexes: `.rev` files, which have the objects of a pack by offset (`gitformat-pack(5)`).

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use tempfile::{NamedTempFile, TempPath};

use super::{Index, map};
use crate::{HashKind, ObjectId};

const SIGNATURE: [u8; 4] = *b"RIDX";
const VERSION: u32 = 1;
/// SHA-1, by its number in this format.
const HASH_ID: u32 = 1;
const HEADER_LEN: usize = 12;
const HASH_LEN: usize = HashKind::Sha1.len_in_bytes();

/// Bytes that are no reverse index, or not that of this pack.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReverseIndexError {
    /// Its size is not that of one for so many objects.
    #[error("its size does not fit the number of objects")]
    Size,
    /// It does not begin like one that is known.
    #[error("it does not begin like a reverse index")]
    Header,
    /// It was made for another pack.
    #[error("it is for another pack")]
    OtherPack,
    /// It names an object that the pack does not have.
    #[error("it names an object that the pack does not have")]
    Position,
}

/// A reverse index, held in memory or mapped.
pub struct ReverseIndex {
    bytes: Bytes,
}

impl ReverseIndex {
    /// Maps the file at `path`, which must never be written to again, for a pack of so many objects with this
    /// checksum. The inner error is about what the file holds.
    pub fn open(
        path: &Path,
        objects: u32,
        pack: &ObjectId,
    ) -> io::Result<Result<ReverseIndex, ReverseIndexError>> {
        let bytes = map::map(&File::open(path)?)?;
        Ok(ReverseIndex::from_bytes(bytes, objects, pack))
    }

    /// The same of bytes in memory. Every position is looked at, so that none reaches outside of the index.
    pub fn from_bytes(
        bytes: Bytes,
        objects: u32,
        pack: &ObjectId,
    ) -> Result<ReverseIndex, ReverseIndexError> {
        let table_len = objects as usize * 4;
        if bytes.len() != HEADER_LEN + table_len + 2 * HASH_LEN {
            return Err(ReverseIndexError::Size);
        }
        let header = bytes.starts_with(&SIGNATURE) && be32(&bytes[4..]) == VERSION;
        if !header || be32(&bytes[8..]) != HASH_ID {
            return Err(ReverseIndexError::Header);
        }
        let (table, trailer) = bytes[HEADER_LEN..].split_at(table_len);
        if trailer[..HASH_LEN] != *pack.as_slice() {
            return Err(ReverseIndexError::OtherPack);
        }
        match table.chunks_exact(4).all(|place| be32(place) < objects) {
            true => Ok(ReverseIndex { bytes }),
            false => Err(ReverseIndexError::Position),
        }
    }

    /// The position in the index of the entry at a place by offset, which must be under the number of objects.
    pub fn position(&self, place: usize) -> u32 {
        be32(&self.bytes[HEADER_LEN + place * 4..])
    }
}

impl std::fmt::Debug for ReverseIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let objects = (self.bytes.len() - HEADER_LEN - 2 * HASH_LEN) / 4;
        write!(f, "ReverseIndex({objects} objects)")
    }
}

/// Writes the reverse index of a pack; the bytes are those Git writes.
pub fn write_reverse_index(index: &Index, out: &mut dyn Write) -> io::Result<()> {
    let mut places: Vec<u32> = (0..index.count()).collect();
    places.sort_unstable_by_key(|position| index.offset(*position));
    let mut bytes = Vec::with_capacity(HEADER_LEN + places.len() * 4 + 2 * HASH_LEN);
    bytes.extend_from_slice(&SIGNATURE);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&HASH_ID.to_be_bytes());
    for position in places {
        bytes.extend_from_slice(&position.to_be_bytes());
    }
    bytes.extend_from_slice(index.pack_checksum().as_slice());
    let mut hasher = gix_hash::hasher(HashKind::Sha1);
    hasher.update(&bytes);
    let checksum = hasher.try_finalize().map_err(io::Error::other)?;
    bytes.extend_from_slice(checksum.as_slice());
    out.write_all(&bytes)
}

/// Writes the reverse index of the pack whose index is at `idx` into a file of its own beside that, under a temporary name, and syncs
/// it. Dropping what is returned removes the file.
pub fn write_reverse_index_beside(idx: &Path) -> io::Result<TempPath> {
    let index = Index::open(idx)?.map_err(io::Error::other)?;
    let folder = idx.parent().unwrap_or(Path::new("."));
    let (mut file, path) = NamedTempFile::with_suffix_in(".rev", folder)?.into_parts();
    write_reverse_index(&index, &mut file)?;
    file.sync_all()?;
    Ok(path)
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
