//! Reading an object of any size in pieces.

use std::io::{self, Read};

use bytes::{Buf, Bytes};

use crate::ObjectKind;
use crate::loose::LooseStream;
use crate::pack::PackStream;

/// An object's content, in pieces. It ends after `size` bytes or fails.
pub struct ObjectStream {
    /// What the object is.
    pub kind: ObjectKind,
    /// Its size in bytes.
    pub size: u64,
    source: Source,
}

enum Source {
    Memory(Bytes),
    Pack(PackStream),
    Loose(LooseStream),
}

impl ObjectStream {
    pub(crate) fn memory(kind: ObjectKind, data: Bytes) -> ObjectStream {
        ObjectStream {
            kind,
            size: data.len() as u64,
            source: Source::Memory(data),
        }
    }
}

impl From<PackStream> for ObjectStream {
    fn from(stream: PackStream) -> Self {
        ObjectStream {
            kind: stream.kind,
            size: stream.size,
            source: Source::Pack(stream),
        }
    }
}

impl From<LooseStream> for ObjectStream {
    fn from(stream: LooseStream) -> Self {
        ObjectStream {
            kind: stream.kind,
            size: stream.size,
            source: Source::Loose(stream),
        }
    }
}

impl Read for ObjectStream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Memory(data) => {
                let n = out.len().min(data.len());
                data.copy_to_slice(&mut out[..n]);
                Ok(n)
            }
            Source::Pack(stream) => stream.read(out),
            Source::Loose(stream) => stream.read(out),
        }
    }
}

impl std::fmt::Debug for ObjectStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectStream({}, {} bytes)", self.kind, self.size)
    }
}

// Streams are handed to the threads that send them.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<ObjectStream>();
};
