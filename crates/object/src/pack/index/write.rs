//! Writing an index, version 2.

use std::io::{self, Write};

use crate::{HashKind, ObjectId};

/// One object of a pack, for its index.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The object.
    pub id: ObjectId,
    /// The CRC-32 of the entry, header included.
    pub crc32: u32,
    /// Where in the pack the entry begins.
    pub offset: u64,
}

/// An index that was written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct WrittenIndex {
    /// The checksum at its end.
    pub checksum: ObjectId,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Offsets from here on go to the table of 64-bit ones.
const FIRST_LARGE: u64 = 1 << 31;

/// Writes the index of a pack; the bytes are those `git index-pack` writes.
///
/// The entries must be in the order of their ids, no id twice, and at most `u32::MAX` of them.
pub fn write_index(
    entries: &[IndexEntry],
    pack_checksum: &ObjectId,
    out: &mut dyn Write,
) -> io::Result<WrittenIndex> {
    debug_assert!(entries.windows(2).all(|pair| pair[0].id < pair[1].id));
    let mut out = Hashed::new(out);
    out.write_all(b"\xfftOc\0\0\0\x02")?;
    let mut position = 0;
    for first in 0..=u8::MAX {
        position += entries[position..].partition_point(|entry| entry.id.first_byte() <= first);
        out.write_all(&(position as u32).to_be_bytes())?;
    }
    for entry in entries {
        out.write_all(entry.id.as_slice())?;
    }
    for entry in entries {
        out.write_all(&entry.crc32.to_be_bytes())?;
    }
    let mut large = 0u32;
    for entry in entries {
        let offset = if entry.offset < FIRST_LARGE {
            entry.offset as u32
        } else {
            large += 1;
            (large - 1) | FIRST_LARGE as u32
        };
        out.write_all(&offset.to_be_bytes())?;
    }
    for entry in entries.iter().filter(|entry| entry.offset >= FIRST_LARGE) {
        out.write_all(&entry.offset.to_be_bytes())?;
    }
    out.write_all(pack_checksum.as_slice())?;
    out.finish()
}

/// Gathers small writes, hashes and counts them.
pub(in crate::pack) struct Hashed<'a> {
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    hasher: gix_hash::Hasher,
    bytes: u64,
}

const BUFFER_BYTES: usize = 64 << 10;

impl<'a> Hashed<'a> {
    pub(in crate::pack) fn new(out: &'a mut dyn Write) -> Self {
        let hasher = gix_hash::hasher(HashKind::Sha1);
        Hashed {
            out,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            hasher,
            bytes: 0,
        }
    }

    pub(in crate::pack) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the checksum.
    pub(in crate::pack) fn finish(mut self) -> io::Result<WrittenIndex> {
        self.flush()?;
        let checksum = self
            .hasher
            .try_finalize()
            .map_err(|_| io::Error::other("the index is a SHA-1 collision attack"))?;
        self.out.write_all(checksum.as_slice())?;
        Ok(WrittenIndex {
            checksum,
            bytes: self.bytes + checksum.as_slice().len() as u64,
        })
    }
}
