//! Writing zip, to where nothing can be changed afterwards: sizes follow the content.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bstr::{BStr, ByteSlice};
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::super::StoreError;
use super::encode::{Entries, copy_exactly};

/// From this size on an entry needs 64-bit sizes; deflating may add a little.
const LARGE_BYTES: u64 = (4 << 30) - (64 << 20);

/// A zip under way. One that is dropped before it is finished has no table of contents, so that nobody takes it for whole.
pub(super) struct ZipOut<W: Write> {
    /// `None` when it is finished.
    zip: Option<ZipWriter<StreamWriter<UntilGivenUp<W>>>>,
    given_up: Arc<AtomicBool>,
}

impl<W: Write> ZipOut<W> {
    pub(super) fn new(out: W) -> ZipOut<W> {
        let given_up = Arc::new(AtomicBool::new(false));
        let out = UntilGivenUp {
            out,
            given_up: given_up.clone(),
        };
        ZipOut {
            zip: Some(ZipWriter::new_stream(out)),
            given_up,
        }
    }

    fn zip(&mut self) -> &mut ZipWriter<StreamWriter<UntilGivenUp<W>>> {
        self.zip
            .as_mut()
            .expect("it is only taken by the one that ends it")
    }

    /// Writes the table of contents.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        let Some(zip) = self.zip.take() else {
            return Ok(());
        };
        let mut out = zip.finish().map_err(not_written)?.into_inner();
        out.flush().map_err(StoreError::Output)
    }
}

impl<W: Write> Drop for ZipOut<W> {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

/// Takes what is written until it fails once, or the zip is given up; then it goes nowhere. The library writes a table
/// of contents when it is dropped, whatever has happened, and complains on standard error where it cannot.
struct UntilGivenUp<W> {
    out: W,
    given_up: Arc<AtomicBool>,
}

impl<W: Write> Write for UntilGivenUp<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.given_up.load(Ordering::Relaxed) {
            return Ok(data.len());
        }
        self.out.write(data).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.given_up.store(true, Ordering::Relaxed);
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.given_up.load(Ordering::Relaxed) {
            true => Ok(()),
            false => self.out.flush(),
        }
    }
}

impl<W: Write> Entries for ZipOut<W> {
    fn file(
        &mut self,
        path: &BStr,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), StoreError> {
        let mode = if executable { 0o100755 } else { 0o100644 };
        let options = options(mode).large_file(size >= LARGE_BYTES);
        let path = text(path)?;
        self.zip().start_file(path, options).map_err(not_written)?;
        copy_exactly(content, size, self.zip())
    }

    fn link(&mut self, path: &BStr, target: &str) -> Result<(), StoreError> {
        let path = text(path)?;
        let added = self.zip().add_symlink(path, target, options(0o120000));
        added.map_err(not_written)
    }

    fn folder(&mut self, path: &BStr) -> Result<(), StoreError> {
        let path = text(path)?;
        let added = self.zip().add_directory(path, options(0o40755));
        added.map_err(not_written)
    }
}

fn options(mode: u32) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .system(System::Unix)
        .unix_permissions(mode)
}

fn text(path: &BStr) -> Result<&str, StoreError> {
    path.to_str().map_err(|_| StoreError::Invalid {
        reason: format!("the file name '{path}' is not valid UTF-8, as a zip needs it"),
    })
}

fn not_written(error: ZipError) -> StoreError {
    match error {
        ZipError::Io(error) => StoreError::Output(error),
        error => StoreError::Failed {
            reason: format!("the zip could not be written: {error}"),
        },
    }
}
