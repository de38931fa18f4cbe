//! Reading a `multi-pack-index` file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use crate::chunk_file::Chunks;
use crate::fanout;
use crate::pack::map_file;
use crate::{HashKind, ObjectId, oid};

pub(super) const SIGNATURE: [u8; 4] = *b"MIDX";
pub(super) const VERSION: u8 = 1;
/// The number of SHA-1 in these files.
pub(super) const SHA1: u8 = 1;

pub(super) const HASH_LEN: usize = HashKind::Sha1.len_in_bytes();
pub(super) const HEADER_LEN: usize = 12;
pub(super) const FANOUT_LEN: usize = 256 * 4;
/// Pack and offset.
pub(super) const PLACE_LEN: usize = 8;
/// The rest of an offset with this bit is a place in the table of 64-bit ones.
pub(super) const LARGE: u32 = 1 << 31;

/// A file that is no multi-pack index, or not one that can be used here.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultiPackIndexError {
    /// Too short for what it claims to hold.
    #[error("it is cut short")]
    Truncated,
    /// It does not begin like one.
    #[error("it does not begin like a multi-pack index")]
    Signature,
    /// A version other than 1, another hash, or one that stands on others.
    #[error("its version or its hash is unknown")]
    UnknownVersion,
    /// What every such file has is not in it.
    #[error("a part of it is missing or has the wrong size")]
    Parts,
    /// Its first table counts downwards.
    #[error("its fan-out table is not in order")]
    Fanout,
    /// The packs are not named as they should be.
    #[error("it does not name its packs")]
    Names,
}

/// A multi-pack index, mapped. Positions count objects in the order of their ids.
pub struct MultiPackIndex {
    bytes: Bytes,
    count: u32,
    names: Vec<String>,
    fanout: usize,
    ids: usize,
    places: usize,
    large: Range<usize>,
    /// Where the position of each bit is.
    order: Option<usize>,
}

impl MultiPackIndex {
    /// Maps the file at `path`, which must never be written to again. The inner error is about what the file holds.
    pub fn open(path: &Path) -> io::Result<Result<MultiPackIndex, MultiPackIndexError>> {
        Ok(MultiPackIndex::from_bytes(map_file(&File::open(path)?)?))
    }

    /// The same of bytes in memory.
    pub fn from_bytes(bytes: Bytes) -> Result<MultiPackIndex, MultiPackIndexError> {
        let end = bytes.len().checked_sub(HASH_LEN);
        let end = end
            .filter(|end| *end >= HEADER_LEN)
            .ok_or(MultiPackIndexError::Truncated)?;
        if bytes[..4] != SIGNATURE {
            return Err(MultiPackIndexError::Signature);
        }
        if bytes[4..6] != [VERSION, SHA1] || bytes[7] != 0 {
            return Err(MultiPackIndexError::UnknownVersion);
        }
        let chunks = Chunks::of(&bytes[..end], HEADER_LEN, usize::from(bytes[6]));
        let chunks = chunks.ok_or(MultiPackIndexError::Truncated)?;
        let sized = |name, size| {
            let start = chunks.sized(name, size);
            start.ok_or(MultiPackIndexError::Parts)
        };
        let names = chunks.find(b"PNAM").ok_or(MultiPackIndexError::Parts)?;
        let names = names_in(&bytes[names], be32(&bytes[8..]))?;
        let fanout = sized(b"OIDF", FANOUT_LEN)?;
        let mut count = 0;
        for row in bytes[fanout..fanout + FANOUT_LEN].chunks_exact(4) {
            let next = be32(row);
            if next < count {
                return Err(MultiPackIndexError::Fanout);
            }
            count = next;
        }
        let ids = sized(b"OIDL", count as usize * HASH_LEN)?;
        let places = sized(b"OOFF", count as usize * PLACE_LEN)?;
        let large = chunks.find(b"LOFF").unwrap_or(0..0);
        let order = chunks.sized(b"RIDX", count as usize * 4);
        // So that no position of a bit reaches outside.
        let order = order.filter(|start| {
            let table = &bytes[*start..*start + count as usize * 4];
            table.chunks_exact(4).all(|position| be32(position) < count)
        });
        Ok(MultiPackIndex {
            bytes,
            count,
            names,
            fanout,
            ids,
            places,
            large,
            order,
        })
    }

    /// How many objects it knows.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The names of the indexes of its packs, in the order of the packs' numbers.
    pub fn pack_names(&self) -> &[String] {
        &self.names
    }

    /// The checksum at its end, by which what belongs to it knows it.
    pub fn checksum(&self) -> ObjectId {
        ObjectId::from_bytes_or_panic(&self.bytes[self.bytes.len() - HASH_LEN..])
    }

    /// Whether the checksum at the end is that of the bytes before it.
    pub fn is_intact(&self) -> bool {
        let (content, checksum) = self.bytes.split_at(self.bytes.len() - HASH_LEN);
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        hasher.update(content);
        hasher
            .try_finalize()
            .is_ok_and(|found| found.as_slice() == checksum)
    }

    /// The id at a position, which must be under [`MultiPackIndex::count`].
    pub fn id(&self, position: u32) -> &oid {
        let at = self.ids + position as usize * HASH_LEN;
        oid::from_bytes_unchecked(&self.bytes[at..at + HASH_LEN])
    }

    /// The position of an id.
    pub fn lookup(&self, id: &oid) -> Option<u32> {
        let byte = usize::from(*id.as_bytes().first()?);
        let row = |byte: usize| be32(&self.bytes[self.fanout + byte * 4..]);
        let positions = byte.checked_sub(1).map_or(0, row)..row(byte);
        fanout::find(id, positions, |position| self.id(position))
    }

    /// The number of the pack in which the object at a position is, and where its entry begins. `None`: what is there makes no
    /// sense.
    pub fn place(&self, position: u32) -> Option<(u32, u64)> {
        let at = self.places + position as usize * PLACE_LEN;
        let (pack, offset) = (be32(&self.bytes[at..]), be32(&self.bytes[at + 4..]));
        // Without that table all of the bits are the offset's.
        if offset & LARGE == 0 || self.large.is_empty() {
            return Some((pack, u64::from(offset)));
        }
        let at = self.large.start + (offset & !LARGE) as usize * 8;
        let large = self.bytes[..self.large.end].get(at..at + 8)?;
        Some((pack, u64::from_be_bytes(large.try_into().ok()?)))
    }

    /// The position of the object that a bit stands for; the bit must be under the number of objects, and there must be
    /// [bits](MultiPackIndex::bits).
    pub(super) fn position_of_bit(&self, bit: u32) -> u32 {
        let order = self.order.expect("there is an order where there are bits");
        be32(&self.bytes[order + bit as usize * 4..])
    }

    /// The bit of each position: objects are counted pack by pack, in the order of their entries. `None`: the file does not say
    /// in which order, or says it of some twice.
    pub fn bits(&self) -> Option<Vec<u32>> {
        self.order?;
        let mut bits = vec![u32::MAX; self.count as usize];
        for bit in 0..self.count {
            bits[self.position_of_bit(bit) as usize] = bit;
        }
        bits.iter().all(|bit| *bit != u32::MAX).then_some(bits)
    }
}

fn names_in(bytes: &[u8], packs: u32) -> Result<Vec<String>, MultiPackIndexError> {
    let mut names = Vec::new();
    for name in bytes.split(|byte| *byte == 0).take(packs as usize) {
        let name = std::str::from_utf8(name).ok();
        let name = name.filter(|name| name.ends_with(".idx") && !name.contains('/'));
        names.push(name.ok_or(MultiPackIndexError::Names)?.to_owned());
    }
    match names.len() == packs as usize {
        true => Ok(names),
        false => Err(MultiPackIndexError::Names),
    }
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
