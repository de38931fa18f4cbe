//! Reading an object of a pack in pieces, whatever its size.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::body::{Body, BodyWriter};
use super::chain::Link;
use super::delta::{self, DeltaError, StreamError};
use super::entry::EntryKind;
use super::inflate::InflateReader;
use super::read_at::ReadAt;
use super::{Pack, PackError};
use crate::{ObjectCache, ObjectKind};

/// Deltas whose base and result are no larger are applied in memory, larger ones in files.
const STREAM_IN_MEMORY: u64 = 8 << 20;

/// An object of a pack, read in pieces.
pub struct PackStream {
    /// What it is.
    pub kind: ObjectKind,
    /// Its size in bytes; the stream ends there, or fails.
    pub size: u64,
    source: Source,
}

enum Source {
    Entry(Box<InflateReader<PackData>>),
    Body { body: Body, at: u64 },
}

/// Keeps the pack open for as long as the stream is read.
struct PackData(Arc<Pack>);

impl ReadAt for PackData {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        ReadAt::read_at(&self.0.file, out, offset)
    }
}

impl Pack {
    /// The object at `offset`, of any size, in pieces.
    ///
    /// A large delta is applied in temporary files first; anything else is inflated as it is read.
    pub fn stream(
        self: &Arc<Self>,
        offset: u64,
        cache: &ObjectCache,
    ) -> Result<PackStream, PackError> {
        let entry = self.entry(offset)?;
        if let EntryKind::Object(kind) = entry.kind {
            let data = offset + entry.header_len as u64;
            let reader = InflateReader::new(PackData(Arc::clone(self)), data, entry.size);
            return Ok(PackStream {
                kind,
                size: entry.size,
                source: Source::Entry(reader.into()),
            });
        }
        let (kind, body) = match self.read_up_to(offset, cache, STREAM_IN_MEMORY) {
            Ok(object) => (object.kind, Body::Memory(object.data)),
            Err(PackError::TooLarge { .. }) => self.build_in_files(offset)?,
            Err(error) => return Err(error),
        };
        Ok(PackStream {
            kind,
            size: body.len(),
            source: Source::Body { body, at: 0 },
        })
    }

    /// Applies a chain of deltas with base and result in temporary files.
    fn build_in_files(&self, offset: u64) -> Result<(ObjectKind, Body), PackError> {
        let dir = self.spool_dir();
        let (mut links, root) = self.chain(offset)?;
        let mut base = InflateReader::new(&self.file, root.data, root.size);
        let mut body = BodyWriter::new(&dir)
            .and_then(|writer| writer.copy(&mut base))
            .map_err(|error| self.spool_error(root.offset, error))?;
        while let Some(link) = links.pop() {
            body = self.apply_in_files(&link, &body, &dir)?;
        }
        Ok((root.kind, body))
    }

    fn apply_in_files(&self, link: &Link, base: &Body, dir: &Path) -> Result<Body, PackError> {
        let offset = link.offset;
        let mut delta = InflateReader::new(&self.file, link.data, link.size);
        let mut result = BodyWriter::new(dir).map_err(PackError::Spool)?;
        let free = |_| Ok(());
        delta::apply_stream(
            base,
            base.len(),
            &mut delta,
            u64::MAX,
            &free,
            &mut |piece| result.write(piece),
        )
        .map_err(|error| match error {
            StreamError::Io(error) => self.spool_error(offset, error),
            StreamError::Delta(source) => PackError::Delta { offset, source },
        })?;
        result.finish().map_err(PackError::Spool)
    }

    fn spool_error(&self, offset: u64, error: io::Error) -> PackError {
        match error.kind() {
            io::ErrorKind::InvalidData => PackError::Inflate {
                offset,
                reason: super::inflate::DAMAGED,
            },
            io::ErrorKind::UnexpectedEof => PackError::Delta {
                offset,
                source: DeltaError::Truncated,
            },
            _ => PackError::Spool(error),
        }
    }

    /// Beside the pack, where there is room for what is as large, or the system's folder if
    /// nothing may be written there.
    fn spool_dir(&self) -> PathBuf {
        match self.path().parent() {
            Some(dir) if tempfile::tempfile_in(dir).is_ok() => dir.to_owned(),
            _ => std::env::temp_dir(),
        }
    }
}

impl Read for PackStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Entry(reader) => reader.read(out),
            Source::Body { body, at } => {
                let n = body.read_at(out, *at)?;
                *at += n as u64;
                Ok(n)
            }
        }
    }
}

impl std::fmt::Debug for PackStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackStream({}, {} bytes)", self.kind, self.size)
    }
}

// Streams are handed to the threads that send them.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<PackStream>();
    is_send::<InflateReader<&File>>();
};
