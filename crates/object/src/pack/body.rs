//! The content of an object, in memory or, when that would be too much, in a temporary file.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use bytes::Bytes;

use super::read_at::ReadAt;

/// An object's content.
#[derive(Debug)]
pub(super) enum Body {
    Memory(Bytes),
    /// An unnamed file: it is gone when it is closed.
    File {
        file: File,
        len: u64,
    },
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File { len, .. } => *len,
        }
    }

    /// The bytes of memory it takes.
    pub(super) fn held_bytes(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File { .. } => 0,
        }
    }

    /// Moves the content out of memory.
    pub(super) fn spill(&mut self, dir: &Path) -> io::Result<()> {
        if let Body::Memory(bytes) = self {
            let mut file = tempfile::tempfile_in(dir)?;
            file.write_all(bytes)?;
            *self = Body::File {
                file,
                len: bytes.len() as u64,
            };
        }
        Ok(())
    }

    /// The content as one piece of memory.
    pub(super) fn load(&self) -> io::Result<Bytes> {
        match self {
            Body::Memory(bytes) => Ok(bytes.clone()),
            Body::File { file, len } => {
                let len = usize::try_from(*len).map_err(io::Error::other)?;
                let mut bytes = vec![0; len];
                ReadAt::read_exact_at(file, &mut bytes, 0)?;
                Ok(bytes.into())
            }
        }
    }
}

impl ReadAt for Body {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Body::Memory(bytes) => bytes.read_at(out, offset),
            Body::File { file, .. } => ReadAt::read_at(file, out, offset),
        }
    }
}

/// Takes content in pieces and puts it in an unnamed file.
pub(super) struct BodyWriter {
    out: BufWriter<File>,
    len: u64,
}

impl BodyWriter {
    pub(super) fn new(dir: &Path) -> io::Result<BodyWriter> {
        let file = tempfile::tempfile_in(dir)?;
        Ok(BodyWriter {
            out: BufWriter::with_capacity(64 << 10, file),
            len: 0,
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Copies all that `from` gives.
    pub(super) fn copy(mut self, from: &mut dyn Read) -> io::Result<Body> {
        self.len += io::copy(from, &mut self.out)?;
        self.finish()
    }

    pub(super) fn finish(self) -> io::Result<Body> {
        let file = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok(Body::File {
            file,
            len: self.len,
        })
    }
}
