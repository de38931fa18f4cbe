//! Reading blobs: small ones from memory, large ones in pieces.

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use packhouse_object::{Database, ObjectId, ObjectKind, ObjectStream, ReadError};

use super::StoreError;

/// Blobs up to this size are read in one piece.
const WHOLE_BYTES_MAX: u64 = 1 << 20;

/// Skipped pieces pass through a buffer of this size.
const PIECE_LEN: usize = 64 << 10;

/// A file that is read in pieces, from any place. Going backwards in a large file reads it again from its start.
pub struct FileReader {
    database: Database,
    id: ObjectId,
    size: u64,
    position: u64,
    source: Source,
}

enum Source {
    Memory(Bytes),
    /// A stream and how far it has been read.
    Stream(Box<ObjectStream>, u64),
}

impl FileReader {
    /// A blob, which must be there.
    pub(super) fn open(database: Database, id: ObjectId) -> Result<FileReader, StoreError> {
        let header = database.header(&id)?.ok_or(ReadError::NotFound { id })?;
        if header.kind != ObjectKind::Blob {
            return Err(ReadError::WrongKind {
                id,
                expected: ObjectKind::Blob,
                found: header.kind,
            }
            .into());
        }
        let source = if header.size <= WHOLE_BYTES_MAX {
            Source::Memory(database.bytes_of(id, ObjectKind::Blob)?)
        } else {
            Source::Stream(Box::new(stream(&database, &id)?), 0)
        };
        Ok(FileReader {
            database,
            id,
            size: header.size,
            position: 0,
            source,
        })
    }

    /// Bytes in all.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// All of it, if it is in memory and nothing was read yet.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Memory(data) if self.position == 0 => Some(data),
            _ => None,
        }
    }

    /// The blob.
    pub fn id(&self) -> ObjectId {
        self.id
    }
}

fn stream(database: &Database, id: &ObjectId) -> Result<ObjectStream, ReadError> {
    database.stream(id)?.ok_or(ReadError::NotFound { id: *id })
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.position);
        if out.is_empty() || left == 0 {
            return Ok(0);
        }
        let wanted = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = match &mut self.source {
            Source::Memory(data) => {
                let start = self.position as usize;
                out[..wanted].copy_from_slice(&data[start..start + wanted]);
                wanted
            }
            Source::Stream(open, at) => {
                if *at > self.position {
                    **open = stream(&self.database, &self.id).map_err(io::Error::other)?;
                    *at = 0;
                }
                skip(&mut **open, self.position - *at)?;
                *at = self.position;
                let n = open.read(&mut out[..wanted])?;
                *at += n as u64;
                n
            }
        };
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "a place before the file's start",
            )
        })?;
        Ok(self.position)
    }
}

impl std::fmt::Debug for FileReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileReader({}, {} bytes)", self.id, self.size)
    }
}

fn skip(from: &mut dyn Read, mut bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let mut piece = vec![0; PIECE_LEN];
    while bytes > 0 {
        let most = piece
            .len()
            .min(usize::try_from(bytes).unwrap_or(usize::MAX));
        match from.read(&mut piece[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => bytes -= n as u64,
        }
    }
    Ok(())
}

/// `size` bytes of a blob from `offset` on, less at its end.
pub(super) fn read_range(
    database: &Database,
    id: &ObjectId,
    offset: u64,
    size: Option<u64>,
) -> Result<Vec<u8>, StoreError> {
    if offset == 0 && size.is_none() {
        match database.bytes_of(id, ObjectKind::Blob) {
            Err(ReadError::TooLarge { .. }) => {}
            data => return Ok(data?.into()),
        }
    }
    let mut reader = FileReader::open(database.clone(), *id)?;
    let start = offset.min(reader.size);
    let wanted = size.unwrap_or(u64::MAX).min(reader.size - start);
    reader.position = start;
    let mut data = Vec::with_capacity(wanted as usize);
    reader
        .take(wanted)
        .read_to_end(&mut data)
        .map_err(|source| {
            StoreError::Repo(crate::RepoError::Io {
                action: "read object",
                path: id.to_string(),
                source,
            })
        })?;
    Ok(data)
}
