//! Data whose size is not known before its end: in memory while it is small, else in an unnamed file.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::PathBuf;

use packhouse_object::ProcessMark;

/// Up to this many bytes stay in memory.
pub(super) const MEMORY_BYTES_MAX: usize = 1 << 20;

/// Takes data in pieces. After a write that failed it is of no use: what it has must not pass for all of the data.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
    failure: Option<Failure>,
    /// A process that is forked off shares the place in the file where the next piece goes.
    made_in: ProcessMark,
}

/// All of it.
#[derive(Debug)]
pub(super) enum Spooled {
    Memory(Vec<u8>),
    /// A file that stands at its start, and its size.
    File(File, u64),
}

/// What is kept of an error, to tell it again.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Numbered(i32),
    Of(ErrorKind),
}

impl Spool {
    /// Data that may go to a file in `dir`.
    pub(super) fn new(dir: impl Into<PathBuf>) -> Spool {
        Spool {
            dir: dir.into(),
            memory: Vec::new(),
            file: None,
            len: 0,
            failure: None,
            made_in: ProcessMark::here(),
        }
    }

    pub(super) fn finish(self) -> io::Result<Spooled> {
        self.check()?;
        match self.file {
            None => Ok(Spooled::Memory(self.memory)),
            Some(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                Ok(Spooled::File(file, self.len))
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        self.made_in.check()?;
        match self.failure {
            None => Ok(()),
            Some(Failure::Numbered(number)) => Err(io::Error::from_raw_os_error(number)),
            Some(Failure::Of(kind)) => Err(kind.into()),
        }
    }

    fn take(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + data.len() > MEMORY_BYTES_MAX {
            let mut file = tempfile::tempfile_in(&self.dir)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write(data),
            None => {
                self.memory.extend_from_slice(data);
                Ok(data.len())
            }
        }
    }
}

impl Write for Spool {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.check()?;
        let taken = self.take(data);
        match &taken {
            Ok(n) => self.len += *n as u64,
            // It is tried again.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                self.failure = Some(match error.raw_os_error() {
                    Some(number) => Failure::Numbered(number),
                    None => Failure::Of(error.kind()),
                });
            }
        }
        taken
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
