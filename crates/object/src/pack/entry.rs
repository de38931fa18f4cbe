//! The header of an entry in a pack: its kind, its inflated size, and where its base is.
//!
//! `gitformat-pack(5)`: three bits of kind and four of size in the first byte, then seven bits of
//! size a byte; an offset delta has the distance to its base after that, a reference delta its id.

use crate::{HashKind, ObjectId, ObjectKind};

/// The most bytes a header takes: ten of size, then ten of distance or an id.
pub const MAX_HEADER_LEN: usize = 10 + 32;

/// What an entry holds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// An object as it is.
    Object(ObjectKind),
    /// A delta against the entry that begins `distance` bytes before this one.
    OffsetDelta {
        /// Never zero.
        distance: u64,
    },
    /// A delta against an object.
    RefDelta {
        /// The object's id.
        base: ObjectId,
    },
}

/// The header of an entry.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// What the entry holds.
    pub kind: EntryKind,
    /// The inflated size in bytes: of the object, or of the delta itself.
    pub size: u64,
    /// The length of the header in bytes; the zlib stream follows.
    pub header_len: usize,
}

/// Bytes that are no entry header.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The bytes end inside the header.
    #[error("the header is cut short")]
    Truncated,
    /// A size or distance that does not fit 64 bits, or has more bytes than it needs to fill them.
    #[error("a number in the header is too large")]
    Overflow,
    /// Kinds 0 and 5 mean nothing.
    #[error("kind {0} is unknown")]
    UnknownKind(u8),
    /// An offset delta against itself.
    #[error("a delta names itself as its base")]
    ZeroDistance,
    /// An offset delta against something before the pack's first entry.
    #[error("the base of a delta would be outside the pack")]
    BaseOutside,
}

/// Reads the header at the start of `bytes`, which may go on behind it.
pub fn parse_header(bytes: &[u8]) -> Result<EntryHeader, EntryError> {
    let mut input = Bytes { bytes, at: 0 };
    let first = input.next()?;
    let mut size = u64::from(first & 0x0f);
    let mut shift = 4;
    let mut byte = first;
    while byte & 0x80 != 0 {
        byte = input.next()?;
        size |= shifted(byte & 0x7f, shift)?;
        shift += 7;
    }
    let kind = match (first >> 4) & 7 {
        1 => EntryKind::Object(ObjectKind::Commit),
        2 => EntryKind::Object(ObjectKind::Tree),
        3 => EntryKind::Object(ObjectKind::Blob),
        4 => EntryKind::Object(ObjectKind::Tag),
        6 => EntryKind::OffsetDelta {
            distance: input.distance()?,
        },
        7 => EntryKind::RefDelta { base: input.id()? },
        other => return Err(EntryError::UnknownKind(other)),
    };
    Ok(EntryHeader {
        kind,
        size,
        header_len: input.at,
    })
}

/// Appends the header of an entry to `out` and returns its length.
pub fn write_header(kind: EntryKind, size: u64, out: &mut Vec<u8>) -> usize {
    let before = out.len();
    let code = match kind {
        EntryKind::Object(ObjectKind::Commit) => 1,
        EntryKind::Object(ObjectKind::Tree) => 2,
        EntryKind::Object(ObjectKind::Blob) => 3,
        EntryKind::Object(ObjectKind::Tag) => 4,
        EntryKind::OffsetDelta { .. } => 6,
        EntryKind::RefDelta { .. } => 7,
    };
    let mut byte = (code << 4) | (size & 0x0f) as u8;
    let mut rest = size >> 4;
    while rest != 0 {
        out.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.push(byte);
    match kind {
        EntryKind::Object(_) => {}
        EntryKind::OffsetDelta { distance } => write_distance(distance, out),
        EntryKind::RefDelta { base } => out.extend_from_slice(base.as_slice()),
    }
    out.len() - before
}

/// Seven bits a byte, most significant first, each byte but the last counting one more than it
/// says, so that every number has one form.
fn write_distance(distance: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut at = digits.len() - 1;
    digits[at] = (distance & 0x7f) as u8;
    let mut rest = distance >> 7;
    while rest != 0 {
        rest -= 1;
        at -= 1;
        digits[at] = 0x80 | (rest & 0x7f) as u8;
        rest >>= 7;
    }
    out.extend_from_slice(&digits[at..]);
}

/// `bits << shift`, if no bit is lost.
pub(super) fn shifted(bits: u8, shift: u32) -> Result<u64, EntryError> {
    let bits = u64::from(bits);
    match bits.checked_shl(shift) {
        Some(value) if value >> shift == bits => Ok(value),
        _ => Err(EntryError::Overflow),
    }
}

struct Bytes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bytes<'_> {
    fn next(&mut self) -> Result<u8, EntryError> {
        let byte = *self.bytes.get(self.at).ok_or(EntryError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    fn distance(&mut self) -> Result<u64, EntryError> {
        let mut byte = self.next()?;
        let mut distance = u64::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.next()?;
            let next = distance.checked_add(1).ok_or(EntryError::Overflow)?;
            if next >> 57 != 0 {
                return Err(EntryError::Overflow);
            }
            distance = (next << 7) | u64::from(byte & 0x7f);
        }
        if distance == 0 {
            Err(EntryError::ZeroDistance)
        } else {
            Ok(distance)
        }
    }

    fn id(&mut self) -> Result<ObjectId, EntryError> {
        let end = self.at + HashKind::Sha1.len_in_bytes();
        let raw = self.bytes.get(self.at..end).ok_or(EntryError::Truncated)?;
        self.at = end;
        Ok(ObjectId::from_bytes_or_panic(raw))
    }
}
