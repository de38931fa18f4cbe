//! Reading an index.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::map;
use crate::fanout;
use crate::{HashKind, ObjectId, oid};

const SIGNATURE: [u8; 4] = *b"\xfftOc";
const FANOUT_LEN: usize = 256 * 4;
/// This bit of a 32-bit offset says that the rest is a position in the table of 64-bit ones.
const LARGE: u32 = 1 << 31;

/// Bytes that are no index.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Too short for the number of objects it claims.
    #[error("it is cut short")]
    Truncated,
    /// A version other than 1 and 2.
    #[error("version {0} is unknown")]
    UnknownVersion(u32),
    /// Its first table counts downwards.
    #[error("its fan-out table is not in order")]
    Fanout,
    /// There are bytes that belong to no table.
    #[error("its size does not fit its number of objects")]
    Size,
}

/// An index, held in memory or mapped.
///
/// Positions count objects in the order of their ids.
pub struct Index {
    bytes: Bytes,
    count: u32,
    layout: Layout,
}

/// Where the tables begin.
#[derive(Copy, Clone)]
enum Layout {
    /// Records of offset and id.
    V1,
    V2 {
        ids: usize,
        crcs: usize,
        offsets: usize,
        large: usize,
        large_count: usize,
    },
}

const HASH_LEN: usize = HashKind::Sha1.len_in_bytes();
const V1_RECORD: usize = 4 + HASH_LEN;

impl Index {
    /// Maps the index at `path`, which must never be written to again. The inner error is about
    /// what the file holds.
    pub fn open(path: &Path) -> io::Result<Result<Index, IndexError>> {
        Ok(Index::from_bytes(map::map(&File::open(path)?)?))
    }

    /// Takes `bytes` as an index if its sizes and its first table are in order.
    pub fn from_bytes(bytes: Bytes) -> Result<Index, IndexError> {
        let is_v2 = bytes.starts_with(&SIGNATURE);
        if is_v2 {
            let version = bytes.get(4..8).map(be32).ok_or(IndexError::Truncated)?;
            if version != 2 {
                return Err(IndexError::UnknownVersion(version));
            }
        }
        let fanout_at = if is_v2 { 8 } else { 0 };
        let fanout = bytes
            .get(fanout_at..fanout_at + FANOUT_LEN)
            .ok_or(IndexError::Truncated)?;
        let count = fanout_total(fanout)?;
        let layout = if is_v2 {
            v2_layout(bytes.len(), count)?
        } else {
            let records = bytes.len().checked_sub(FANOUT_LEN + 2 * HASH_LEN);
            let expected = count as usize * V1_RECORD;
            match records.map(|records| records.cmp(&expected)) {
                Some(Ordering::Equal) => Layout::V1,
                Some(Ordering::Greater) => return Err(IndexError::Size),
                _ => return Err(IndexError::Truncated),
            }
        };
        Ok(Index {
            bytes,
            count,
            layout,
        })
    }

    /// How many objects the pack holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The size of the index in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The id at a position, which must be under [`Index::count`].
    pub fn id(&self, position: u32) -> &oid {
        let position = position as usize;
        let at = match self.layout {
            Layout::V1 => FANOUT_LEN + position * V1_RECORD + 4,
            Layout::V2 { ids, .. } => ids + position * HASH_LEN,
        };
        oid::from_bytes_unchecked(&self.bytes[at..at + HASH_LEN])
    }

    /// Where in the pack the entry at a position begins. A damaged index may name any place.
    pub fn offset(&self, position: u32) -> u64 {
        let position = position as usize;
        match self.layout {
            Layout::V1 => u64::from(self.be32_at(FANOUT_LEN + position * V1_RECORD)),
            Layout::V2 {
                offsets,
                large,
                large_count,
                ..
            } => {
                let offset = self.be32_at(offsets + position * 4);
                if offset & LARGE == 0 {
                    return u64::from(offset);
                }
                match (offset & !LARGE) as usize {
                    at if at < large_count => be64(&self.bytes[large + at * 8..][..8]),
                    // No file is as large: whoever reads there is told that nothing is.
                    _ => u64::MAX,
                }
            }
        }
    }

    /// The CRC-32 of the entry at a position, which version 1 does not have.
    pub fn crc32(&self, position: u32) -> Option<u32> {
        match self.layout {
            Layout::V1 => None,
            Layout::V2 { crcs, .. } => Some(self.be32_at(crcs + position as usize * 4)),
        }
    }

    /// The position of an id.
    pub fn lookup(&self, id: &oid) -> Option<u32> {
        fanout::find(id, self.bucket(id.first_byte()), |position| {
            self.id(position)
        })
    }

    /// The positions of the ids that begin with some hexadecimal digits, of either case; none for
    /// anything else than digits.
    pub fn prefix(&self, digits: &str) -> Range<u32> {
        let hex_len = HASH_LEN * 2;
        if digits.len() > hex_len || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return 0..0;
        }
        let id = |fill: char| {
            let padded: String = digits
                .chars()
                .chain(std::iter::repeat(fill))
                .take(hex_len)
                .collect();
            ObjectId::from_hex(padded.as_bytes()).ok()
        };
        match (id('0'), id('f')) {
            (Some(first), Some(last)) => {
                self.partition(|id| *id < *first)..self.partition(|id| *id <= *last)
            }
            _ => 0..0,
        }
    }

    /// The checksum of the pack this index was made for.
    pub fn pack_checksum(&self) -> ObjectId {
        let at = self.bytes.len() - 2 * HASH_LEN;
        ObjectId::from_bytes_or_panic(&self.bytes[at..at + HASH_LEN])
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

    /// Where the ids that begin with `first` are.
    fn bucket(&self, first: u8) -> Range<u32> {
        let start = match first {
            0 => 0,
            _ => self.fanout(first - 1),
        };
        start..self.fanout(first)
    }

    fn fanout(&self, first: u8) -> u32 {
        let at = match self.layout {
            Layout::V1 => 0,
            Layout::V2 { .. } => 8,
        };
        self.be32_at(at + usize::from(first) * 4)
    }

    /// The first position whose id is not `before`.
    fn partition(&self, before: impl Fn(&oid) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.id(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn be32_at(&self, at: usize) -> u32 {
        be32(&self.bytes[at..at + 4])
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Index({} objects)", self.count)
    }
}

fn v2_layout(len: usize, count: u32) -> Result<Layout, IndexError> {
    let count = count as usize;
    let ids = 8 + FANOUT_LEN;
    let crcs = ids + count * HASH_LEN;
    let offsets = crcs + count * 4;
    let large = offsets + count * 4;
    let large_bytes = len
        .checked_sub(large + 2 * HASH_LEN)
        .ok_or(IndexError::Truncated)?;
    if large_bytes % 8 != 0 || large_bytes / 8 > count {
        return Err(IndexError::Size);
    }
    Ok(Layout::V2 {
        ids,
        crcs,
        offsets,
        large,
        large_count: large_bytes / 8,
    })
}

/// The last number of a fan-out table, if the table never counts downwards.
fn fanout_total(fanout: &[u8]) -> Result<u32, IndexError> {
    let mut total = 0;
    for next in fanout.chunks_exact(4).map(be32) {
        if next < total {
            return Err(IndexError::Fanout);
        }
        total = next;
    }
    Ok(total)
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("the slice has four bytes"))
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("the slice has eight bytes"))
}
