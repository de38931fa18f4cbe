//! The pack as it arrives: hashed, kept in the quarantine, and never read past its end.
//!
//! A zlib stream does not say how long it is, so that reading ahead could take bytes that come
//! after the pack. But what must at least be left of the pack is known, and no more than that is
//! asked for.

use std::io::{self, Read};

use super::quarantine::Quarantine;
use super::{Context, ReceiveError};
use crate::pack::file::TRAILER_LEN;
use crate::{HashKind, ObjectId};

const BUFFER_LEN: usize = 64 << 10;

/// The shortest entry: one byte of header, the shortest zlib stream.
pub(super) const SHORTEST_ENTRY: u64 = 1 + 8;

/// A reader of exactly one pack.
pub(super) struct Input<'a> {
    source: &'a mut dyn Read,
    buffer: Box<[u8]>,
    /// What is read but not consumed.
    start: usize,
    end: usize,
    /// Where in the buffer the bytes begin that are consumed but not yet hashed and kept.
    unkept: usize,
    consumed: u64,
    limit: u64,
    hasher: gix_hash::Hasher,
    key: blake3::Hasher,
    quarantine: Quarantine,
}

/// A pack that arrived whole.
pub(super) struct Arrived {
    pub(super) quarantine: Quarantine,
    pub(super) checksum: ObjectId,
    /// The BLAKE3 hash of all of it.
    pub(super) key: [u8; 32],
}

impl<'a> Input<'a> {
    pub(super) fn new(source: &'a mut dyn Read, context: Context<'_>) -> Input<'a> {
        Input {
            source,
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            start: 0,
            end: 0,
            unkept: 0,
            consumed: 0,
            limit: context.limits.pack_bytes,
            hasher: gix_hash::hasher(HashKind::Sha1),
            key: blake3::Hasher::new(),
            quarantine: Quarantine::new(context.dir, context.limits.small_pack_bytes),
        }
    }

    /// How many bytes of the pack are consumed, which is the offset of the next one.
    pub(super) fn offset(&self) -> u64 {
        self.consumed
    }

    /// The next bytes that are here already.
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.end - self.start);
        self.start += len;
        self.consumed += len as u64;
    }

    /// Reads some more, of which the pack must have at least `left` bytes beyond those held.
    pub(super) fn read_more(&mut self, left: u64) -> Result<(), ReceiveError> {
        self.keep()?;
        if self.consumed + self.held().len() as u64 > self.limit {
            return Err(ReceiveError::PackTooLarge { limit: self.limit });
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        (self.start, self.unkept) = (0, 0);
        let room = self.buffer.len() - self.end;
        let want = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, room);
        let n = self.read_some(want)?;
        self.end += n;
        Ok(())
    }

    fn read_some(&mut self, want: usize) -> Result<usize, ReceiveError> {
        loop {
            match self
                .source
                .read(&mut self.buffer[self.end..self.end + want])
            {
                Ok(0) => return Err(self.truncated()),
                Ok(n) => return Ok(n),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::UnexpectedEof => return Err(self.truncated()),
                    _ => return Err(ReceiveError::Input(error)),
                },
            }
        }
    }

    fn truncated(&self) -> ReceiveError {
        ReceiveError::Truncated {
            received: self.consumed + self.held().len() as u64,
        }
    }

    /// Reads until `len` bytes are held, of which the pack must have that many.
    pub(super) fn fill(&mut self, len: usize) -> Result<&[u8], ReceiveError> {
        while self.held().len() < len {
            self.read_more((len - self.held().len()) as u64)?;
        }
        Ok(&self.held()[..len])
    }

    /// Hashes and keeps what was consumed.
    fn keep(&mut self) -> Result<(), ReceiveError> {
        let bytes = &self.buffer[self.unkept..self.start];
        if !bytes.is_empty() {
            self.hasher.update(bytes);
            self.key.update(bytes);
            self.quarantine
                .append(bytes)
                .map_err(ReceiveError::Storage)?;
            self.unkept = self.start;
        }
        Ok(())
    }

    /// Reads the checksum at the end and compares it.
    pub(super) fn finish(mut self) -> Result<Arrived, ReceiveError> {
        self.keep()?;
        let expected = ObjectId::from_bytes_or_panic(self.fill(TRAILER_LEN)?);
        // An attack on the checksum alone gains nothing, but no honest pack looks like one.
        let found = self
            .hasher
            .try_finalize()
            .unwrap_or_else(|_| ObjectId::null(HashKind::Sha1));
        if found != expected {
            return Err(ReceiveError::BadChecksum { expected, found });
        }
        self.key.update(expected.as_slice());
        self.quarantine
            .append(expected.as_slice())
            .map_err(ReceiveError::Storage)?;
        let key = *self.key.finalize().as_bytes();
        Ok(Arrived {
            quarantine: self.quarantine,
            checksum: expected,
            key,
        })
    }
}
