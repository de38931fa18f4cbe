//! The entries of a pack as they lie there, to be copied into another without inflating them.

use std::io::{self, Write};
use std::ops::Range;

use super::entry::{EntryHeader, MAX_HEADER_LEN, parse_header};
use super::read_at::ReadAt;
use super::{Pack, PackError};

/// An entry as it lies in its pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Its header.
    pub header: EntryHeader,
    /// Where the entry begins.
    pub offset: u64,
    /// Where in the file its zlib stream is.
    pub data: Range<u64>,
    /// The CRC-32 of header and stream, when the index has it.
    pub crc32: Option<u32>,
}

/// Why an entry was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The entry could not be read, or is not the one that was written.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The copy could not be written.
    #[error("could not write a copy of a pack entry")]
    Write(#[source] io::Error),
}

impl Pack {
    /// Where the bytes of the entry at `offset` are.
    pub fn raw_entry(&self, offset: u64) -> Result<RawEntry, PackError> {
        let (position, end) = self.extent(offset)?;
        let header = self.entry(offset)?;
        self.raw(header, offset, position, end)
    }

    /// The entry at `offset` and its bytes, the header's first, if it has less than `limit`; read at once, and held against
    /// its CRC-32. A longer one is `None`.
    pub(crate) fn short_entry(
        &self,
        offset: u64,
        limit: u64,
    ) -> Result<Option<(RawEntry, Vec<u8>)>, PackError> {
        let (position, end) = self.extent(offset)?;
        if end - offset >= limit {
            return Ok(None);
        }
        let mut bytes = vec![0; (end - offset) as usize];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|source| self.io(source))?;
        let header = parse_header(&bytes[..bytes.len().min(MAX_HEADER_LEN)])
            .map_err(|source| PackError::Entry { offset, source })?;
        let entry = self.raw(header, offset, position, end)?;
        match entry.crc32 {
            Some(expected) if expected != crc32fast::hash(&bytes) => {
                Err(PackError::Checksum { offset })
            }
            _ => Ok(Some((entry, bytes))),
        }
    }

    fn raw(
        &self,
        header: EntryHeader,
        offset: u64,
        position: u32,
        end: u64,
    ) -> Result<RawEntry, PackError> {
        let data = offset + header.header_len as u64..end;
        if data.is_empty() {
            return Err(PackError::NoEntry { offset });
        }
        Ok(RawEntry {
            header,
            offset,
            data,
            crc32: self.index.crc32(position),
        })
    }

    /// Copies an entry's zlib stream to `out`.
    ///
    /// The entry is held against its CRC-32 on the way; when it differs, the error comes after the
    /// bytes, so that what they were written to is useless.
    pub fn copy_raw(&self, entry: &RawEntry, out: &mut dyn Write) -> Result<(), CopyError> {
        let mut crc = crc32fast::Hasher::new();
        let mut buffer = [0; 16 << 10];
        let header = &mut buffer[..entry.header.header_len.min(MAX_HEADER_LEN)];
        self.file
            .read_exact_at(header, entry.offset)
            .map_err(|source| self.io(source))?;
        crc.update(header);
        let mut at = entry.data.start;
        while at < entry.data.end {
            let n = buffer.len().min((entry.data.end - at) as usize);
            self.file
                .read_exact_at(&mut buffer[..n], at)
                .map_err(|source| self.io(source))?;
            crc.update(&buffer[..n]);
            out.write_all(&buffer[..n]).map_err(CopyError::Write)?;
            at += n as u64;
        }
        match entry.crc32 {
            Some(expected) if expected != crc.finalize() => Err(PackError::Checksum {
                offset: entry.offset,
            }
            .into()),
            _ => Ok(()),
        }
    }
}
