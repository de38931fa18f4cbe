//! Data whose size is not known before its end: in memory while it is small, else in an unnamed file.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Up to this many bytes stay in memory.
pub(super) const MEMORY_BYTES_MAX: usize = 1 << 20;

/// Takes data in pieces.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

/// All of it.
#[derive(Debug)]
pub(super) enum Spooled {
    Memory(Vec<u8>),
    /// A file that stands at its start, and its size.
    File(File, u64),
}

impl Spool {
    /// Data that may go to a file in `dir`.
    pub(super) fn new(dir: impl Into<PathBuf>) -> Spool {
        Spool {
            dir: dir.into(),
            memory: Vec::new(),
            file: None,
            len: 0,
        }
    }

    pub(super) fn finish(self) -> io::Result<Spooled> {
        match self.file {
            None => Ok(Spooled::Memory(self.memory)),
            Some(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Spooled::File(file, self.len))
            }
        }
    }
}

impl Write for Spool {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + data.len() > MEMORY_BYTES_MAX {
            let mut file = tempfile::tempfile_in(&self.dir)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        let n = match &mut self.file {
            Some(file) => file.write(data)?,
            None => {
                self.memory.extend_from_slice(data);
                data.len()
            }
        };
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
