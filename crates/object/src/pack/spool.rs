//! A blob that arrives in pieces, and whose size is known when the last one has.
//!
//! Its id covers its size, which comes first. A small blob waits in memory; a large one is
//! deflated into a temporary file as it comes, ready to be copied into a pack, and is inflated
//! once at the end to be hashed.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::deflate::Deflater;
use super::inflate::InflateReader;
use crate::{CollisionError, NewObject, ObjectHasher, ObjectId, ObjectKind, hash_object};

/// Takes a blob in pieces.
pub struct BlobSpool {
    dir: PathBuf,
    memory_limit: usize,
    size: u64,
    state: State,
}

enum State {
    Memory(Vec<u8>),
    File(Box<Deflating>),
}

struct Deflating {
    deflater: Deflater,
    out: BufWriter<File>,
}

/// A whole blob.
#[derive(Debug)]
pub struct SpooledBlob {
    /// Its id.
    pub id: ObjectId,
    /// Its size in bytes, inflated.
    pub size: u64,
    /// Where it is.
    pub content: SpooledContent,
}

/// Where a spooled blob is.
#[derive(Debug)]
pub enum SpooledContent {
    /// In memory, as it is.
    Memory(Bytes),
    /// In an unnamed temporary file, as one zlib stream from the file's start to its end.
    Deflated(File),
}

/// Why a blob was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The temporary file could not be written or read.
    #[error("could not use the temporary file of a blob")]
    Io(#[from] io::Error),
    /// The blob is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
}

impl BlobSpool {
    /// A blob that stays in memory up to `memory_limit` bytes and goes to a file in `dir` beyond.
    pub fn new(dir: &Path, memory_limit: usize) -> BlobSpool {
        BlobSpool {
            dir: dir.to_owned(),
            memory_limit,
            size: 0,
            state: State::Memory(Vec::new()),
        }
    }

    /// Adds the next piece.
    pub fn write(&mut self, data: &[u8]) -> Result<(), SpoolError> {
        if let State::Memory(held) = &mut self.state {
            if held.len() + data.len() <= self.memory_limit {
                held.extend_from_slice(data);
                self.size += data.len() as u64;
                return Ok(());
            }
            let held = std::mem::take(held);
            self.state = State::File(Box::new(Deflating::begin(&self.dir, held, data)?));
        } else if let State::File(file) = &mut self.state {
            file.push(data)?;
        }
        self.size += data.len() as u64;
        Ok(())
    }

    /// How many bytes have come.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Hashes the blob; no piece is missing.
    pub fn finish(self) -> Result<SpooledBlob, SpoolError> {
        let size = self.size;
        let (id, content) = match self.state {
            State::Memory(data) => (
                hash_object(ObjectKind::Blob, &data)?,
                SpooledContent::Memory(data.into()),
            ),
            State::File(file) => {
                let file = file.finish()?;
                (hash_deflated(&file, size)?, SpooledContent::Deflated(file))
            }
        };
        Ok(SpooledBlob { id, size, content })
    }
}

impl Deflating {
    fn begin(dir: &Path, held: Vec<u8>, data: &[u8]) -> io::Result<Deflating> {
        let out = BufWriter::with_capacity(256 << 10, tempfile::tempfile_in(dir)?);
        let mut file = Deflating {
            deflater: Deflater::new(),
            out,
        };
        // The longer piece says more about how well the blob deflates.
        file.deflater.begin(if held.len() >= data.len() {
            &held
        } else {
            data
        });
        file.push(&held)?;
        file.push(data)?;
        Ok(file)
    }

    fn push(&mut self, data: &[u8]) -> io::Result<()> {
        self.deflater
            .push(data, &mut |piece| self.out.write_all(piece))
    }

    fn finish(mut self) -> io::Result<File> {
        self.deflater
            .finish(&mut |piece| self.out.write_all(piece))?;
        self.out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    }
}

fn hash_deflated(file: &File, size: u64) -> Result<ObjectId, SpoolError> {
    let mut hasher = ObjectHasher::new(ObjectKind::Blob, size);
    let mut data = InflateReader::new(file, 0, size);
    let mut piece = vec![0; 64 << 10];
    loop {
        let n = data.read(&mut piece)?;
        if n == 0 {
            return Ok(hasher.finish()?);
        }
        hasher.update(&piece[..n]);
    }
}

impl SpooledBlob {
    /// The blob as an object in memory, if it is small enough to be there.
    pub fn as_new_object(&self) -> Option<NewObject> {
        match &self.content {
            SpooledContent::Memory(data) => Some(NewObject {
                id: self.id,
                kind: ObjectKind::Blob,
                data: data.clone(),
            }),
            SpooledContent::Deflated(_) => None,
        }
    }
}

impl std::fmt::Debug for BlobSpool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobSpool({} bytes)", self.size)
    }
}
