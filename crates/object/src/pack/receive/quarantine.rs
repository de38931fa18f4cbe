//! Where a pack waits while it is checked: in memory while it is small, then in a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use crate::pack::file::next_number;
use crate::pack::read_at::ReadAt;

/// The bytes of a pack so far.
pub(super) struct Quarantine {
    dir: PathBuf,
    memory_limit: u64,
    len: u64,
    number: u64,
    place: Place,
}

enum Place {
    Memory(Vec<u8>),
    File { file: File, path: TempPath },
}

impl Quarantine {
    /// Keeps up to `memory_limit` bytes in memory and more in a file in `dir`.
    pub(super) fn new(dir: &Path, memory_limit: u64) -> Quarantine {
        Quarantine {
            dir: dir.to_owned(),
            memory_limit,
            len: 0,
            number: next_number(),
            place: Place::Memory(Vec::new()),
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        if self.len > self.memory_limit {
            self.move_to_file()?;
        }
        match &mut self.place {
            Place::Memory(held) => held.extend_from_slice(bytes),
            Place::File { file, .. } => file.write_all(bytes)?,
        }
        Ok(())
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// A number no other pack of this process has. What was read under it must not change.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// The file, which is written if there is none yet.
    pub(super) fn into_file(mut self) -> io::Result<(File, TempPath)> {
        self.move_to_file()?;
        match self.place {
            Place::File { file, path } => Ok((file, path)),
            Place::Memory(_) => unreachable!("it was moved to a file"),
        }
    }

    fn move_to_file(&mut self) -> io::Result<()> {
        if let Place::Memory(held) = &self.place {
            let (mut file, path) = NamedTempFile::with_suffix_in(".pack", &self.dir)?.into_parts();
            file.write_all(held)?;
            self.place = Place::File { file, path };
        }
        Ok(())
    }
}

impl ReadAt for Quarantine {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.place {
            Place::Memory(held) => held[..].read_at(out, offset),
            Place::File { file, .. } => ReadAt::read_at(file, out, offset),
        }
    }
}
