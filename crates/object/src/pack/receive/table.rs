//! What is known of each entry of a pack, in the pack's order.

use super::kept::Place;
use crate::{ObjectId, ObjectKind};

/// An entry.
#[derive(Clone)]
pub(super) struct Entry {
    /// Where in the pack it begins.
    pub(super) offset: u64,
    /// Its inflated size: of the object, or of the delta.
    pub(super) size: u64,
    /// The object; null until its delta is resolved.
    pub(super) id: ObjectId,
    /// The CRC-32 of header and zlib stream.
    pub(super) crc32: u32,
    /// The length of its header.
    pub(super) header_len: u8,
    pub(super) content: Content,
    /// Where its delta waits, if it does.
    pub(super) kept: Option<Place>,
}

/// What an entry holds, and once it is resolved, what its object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// An object as it is, or a delta that was resolved to one.
    Object(ObjectKind),
    /// A delta against an entry of the pack.
    OffsetDelta,
    /// A delta against an object.
    RefDelta,
}

/// The entries of a pack, and which is built on which.
#[derive(Default)]
pub(super) struct Table {
    /// In the order of their offsets.
    pub(super) entries: Vec<Entry>,
    /// Pairs of base and delta, both positions in `entries`.
    pub(super) offset_deltas: Vec<(u32, u32)>,
    /// Pairs of base and the delta's position in `entries`.
    pub(super) ref_deltas: Vec<(ObjectId, u32)>,
    /// Where the entries end.
    pub(super) end: u64,
    /// The inflated size of all objects.
    pub(super) object_bytes: u64,
}

impl Table {
    /// The position of the entry that begins at `offset`.
    pub(super) fn position(&self, offset: u64) -> Option<u32> {
        let found = self
            .entries
            .binary_search_by_key(&offset, |entry| entry.offset);
        found.ok().map(|position| position as u32)
    }

    /// Counts an object of a size that a stranger claims.
    pub(super) fn count_bytes(&mut self, size: u64) {
        self.object_bytes = self.object_bytes.saturating_add(size);
    }

    pub(super) fn entry(&self, position: u32) -> &Entry {
        &self.entries[position as usize]
    }

    pub(super) fn delta_count(&self) -> usize {
        self.offset_deltas.len() + self.ref_deltas.len()
    }
}

impl Entry {
    /// Where in the pack its zlib stream begins.
    pub(super) fn data(&self) -> u64 {
        self.offset + u64::from(self.header_len)
    }
}
