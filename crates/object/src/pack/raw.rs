//! The entries of a pack as they lie there, to be copied into another without inflating them.

use std::io::{self, Write};
use std::ops::Range;

use super::entry::{EntryHeader, MAX_HEADER_LEN};
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
        let end = self.entry_end(offset)?;
        let header = self.entry(offset)?;
        let data = offset + header.header_len as u64..end;
        if data.is_empty() {
            return Err(PackError::NoEntry { offset });
        }
        let crc32 = self
            .position_at(offset)
            .and_then(|position| self.index.crc32(position));
        Ok(RawEntry {
            header,
            offset,
            data,
            crc32,
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
