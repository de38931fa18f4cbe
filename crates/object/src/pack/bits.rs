//! The objects of a pack by number, in the order of their entries: what the bits of bitmaps stand for.

use std::io::Write;
use std::ops::Range;
use std::sync::OnceLock;

use super::file::TRAILER_LEN;
use super::read_at::ReadAt;
use super::{Pack, PackError};
use crate::bitmap::{BitmapError, BitmapIndex};
use crate::copy_part::copy_bytes;
use crate::{ObjectId, Progress, WritePackError, oid};

impl Pack {
    /// The bit of an object, if the pack has it.
    pub fn bit_of(&self, id: &oid) -> Option<u32> {
        self.bit_at(self.lookup(id)?)
    }

    /// The bit of the object whose entry begins at `offset`.
    pub(crate) fn bit_at(&self, offset: u64) -> Option<u32> {
        self.rank(offset).ok().map(|place| place as u32)
    }

    /// The object of a bit, which must be under [`Pack::object_count`].
    pub fn id_of_bit(&self, bit: u32) -> ObjectId {
        self.index.id(self.position_of_bit(bit)).to_owned()
    }

    /// Where the entry of a bit begins.
    pub(crate) fn offset_of_bit(&self, bit: u32) -> u64 {
        self.index.offset(self.position_of_bit(bit))
    }

    /// Where the entry of a bit ends, and the next one or the trailer begins.
    pub(crate) fn end_of_bit(&self, bit: u32) -> u64 {
        match bit + 1 < self.index.count() {
            true => self.offset_of_bit(bit + 1),
            false => self.end_of_entries(),
        }
    }

    /// Where the last entry ends.
    pub(crate) fn end_of_entries(&self) -> u64 {
        self.bytes() - TRAILER_LEN as u64
    }

    /// Fills `out` with what the pack has at `offset`.
    pub(crate) fn read_bytes(&self, out: &mut [u8], offset: u64) -> Result<(), PackError> {
        let read = self.file.read_exact_at(out, offset);
        read.map_err(|source| self.io(source))
    }

    /// Writes some of the file's bytes to `out`. The range must be within [`Pack::bytes`].
    pub fn write_bytes(
        &self,
        range: Range<u64>,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<(), WritePackError> {
        copy_bytes(self, range, out, progress)
    }

    /// The position of a bit's object in the index.
    pub(crate) fn position_of_bit(&self, bit: u32) -> u32 {
        self.order().position(bit as usize)
    }

    /// The bitmap index beside the pack, if there is one that is for it. It is looked for, and held against its checksum,
    /// once.
    pub fn bitmap(&self) -> Option<&BitmapIndex> {
        let find = || {
            let path = self.path().with_extension("bitmap");
            let opened = BitmapIndex::open(&path, self.index.count(), &self.id());
            match opened {
                Ok(Ok(bitmap)) if bitmap.is_intact() => Some(bitmap),
                Ok(opened) => {
                    let error = opened.err().unwrap_or(BitmapError::Checksum);
                    let bitmap = path.display();
                    tracing::warn!(%bitmap, %error, "a bitmap index cannot be used");
                    None
                }
                // Most packs have none.
                Err(_) => None,
            }
        };
        let found = self.bitmap.get_or_init(OnceLock::new).get_or_init(find);
        found.as_ref()
    }
}
