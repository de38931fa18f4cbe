//! Writing zip, to where nothing can be changed afterwards: sizes follow the content.

use std::io::{Read, Write};

use bstr::{BStr, ByteSlice};
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::super::StoreError;
use super::encode::{Entries, copy_exactly};

/// From this size on an entry needs 64-bit sizes; deflating may add a little.
const LARGE_BYTES: u64 = (4 << 30) - (64 << 20);

pub(super) struct ZipOut<W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
}

impl<W: Write> ZipOut<W> {
    pub(super) fn new(out: W) -> ZipOut<W> {
        ZipOut {
            zip: ZipWriter::new_stream(out),
        }
    }

    /// Writes the table of contents.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let mut out = self.zip.finish().map_err(not_written)?.into_inner();
        out.flush().map_err(StoreError::Output)
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
        self.zip
            .start_file(text(path)?, options)
            .map_err(not_written)?;
        copy_exactly(content, size, &mut self.zip)
    }

    fn link(&mut self, path: &BStr, target: &str) -> Result<(), StoreError> {
        let added = self.zip.add_symlink(text(path)?, target, options(0o120000));
        added.map_err(not_written)
    }

    fn folder(&mut self, path: &BStr) -> Result<(), StoreError> {
        let added = self.zip.add_directory(text(path)?, options(0o40755));
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
