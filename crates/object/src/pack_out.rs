//! A pack on its way out: hashed, and handed on in large pieces.

use std::io::{self, Write};

use crate::HashKind;

/// The pack is hashed and handed on in pieces of this size.
pub(crate) const PIECE_LEN: usize = 64 << 10;

/// Hashes what is written and hands it on in large pieces.
pub(crate) struct PackOut<'a> {
    out: &'a mut dyn Write,
    hasher: gix_hash::Hasher,
    piece: Vec<u8>,
    /// Where the piece begins in the pack.
    handed_on: u64,
}

impl<'a> PackOut<'a> {
    /// Begins a pack of so many objects.
    pub(crate) fn begin(out: &'a mut dyn Write, count: u32) -> io::Result<Self> {
        let hasher = gix_hash::hasher(HashKind::Sha1);
        let mut out = PackOut {
            out,
            hasher,
            piece: Vec::with_capacity(2 * PIECE_LEN),
            handed_on: 0,
        };
        out.write_all(b"PACK\0\0\0\x02")?;
        out.write_all(&count.to_be_bytes())?;
        Ok(out)
    }

    /// How many bytes were written so far.
    pub(crate) fn offset(&self) -> u64 {
        self.handed_on + self.piece.len() as u64
    }

    /// What was written last and is not handed on: more may be appended to it.
    pub(crate) fn piece(&mut self) -> &mut Vec<u8> {
        &mut self.piece
    }

    /// Writes a large piece, which is not copied for it.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hand_on()?;
        self.hasher.update(bytes);
        self.out.write_all(bytes)?;
        self.handed_on += bytes.len() as u64;
        Ok(())
    }

    fn hand_on(&mut self) -> io::Result<()> {
        self.hasher.update(&self.piece);
        self.out.write_all(&self.piece)?;
        self.handed_on += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// Writes the checksum; returns the size of it all.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.hand_on()?;
        let checksum = self.hasher.try_finalize().map_err(io::Error::other)?;
        self.out.write_all(checksum.as_slice())?;
        self.out.flush()?;
        Ok(self.handed_on + checksum.as_slice().len() as u64)
    }
}

impl Write for PackOut<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(data);
        if self.piece.len() >= PIECE_LEN {
            self.hand_on()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
