//! Writing zip, to where nothing can be changed afterwards: sizes follow the content.

use std::fmt::Write as _;
use std::io::Write;

use bstr::{BStr, ByteSlice};
use packhouse_object::ObjectId;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::{ArchiveError, Content, Entries, FileEntry};

/// From this size on an entry needs 64-bit sizes; deflating may add a little.
const LARGE_BYTES: u64 = (4 << 30) - (64 << 20);

pub(super) struct ZipArchive<W: Write> {
    zip: ZipWriter<StreamWriter<W>>,
    time: DateTime,
}

impl<W: Write> ZipArchive<W> {
    /// Begins an archive whose files have this time, as far as a zip can say it.
    pub(super) fn begin(out: W, seconds: i64) -> ZipArchive<W> {
        ZipArchive {
            zip: ZipWriter::new_stream(out),
            time: time(seconds).unwrap_or_default(),
        }
    }

    /// Writes the table of contents.
    pub(super) fn finish(self) -> Result<(), ArchiveError> {
        let mut out = self.zip.finish().map_err(not_written)?.into_inner();
        Ok(out.flush()?)
    }

    fn options(&self, mode: u32) -> SimpleFileOptions {
        SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(self.time)
            .system(System::Unix)
            .unix_permissions(mode)
    }
}

impl<W: Write> Entries for ZipArchive<W> {
    fn folder(&mut self, name: &BStr, _: &ObjectId) -> Result<(), ArchiveError> {
        let options = self.options(0o040755);
        let added = self.zip.add_directory(text(name), options);
        added.map_err(not_written)
    }

    fn link(&mut self, name: &BStr, _: &ObjectId, target: &[u8]) -> Result<(), ArchiveError> {
        let options = self.options(0o120000);
        let added = self
            .zip
            .add_symlink(text(name), text(target.as_bstr()), options);
        added.map_err(not_written)
    }

    fn file(&mut self, entry: &FileEntry<'_>, content: Content) -> Result<(), ArchiveError> {
        let mode = if entry.is_executable {
            0o100755
        } else {
            0o100644
        };
        let options = self.options(mode).large_file(entry.size >= LARGE_BYTES);
        self.zip
            .start_file(text(entry.name), options)
            .map_err(not_written)?;
        content.copy(entry, &mut self.zip)
    }
}

/// A name as a zip can hold it: bytes that are no text are written as their numbers.
fn text(name: &BStr) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\u{fffd}{byte:02x}");
        }
    }
    out
}

/// In UTC, which is as good as any other zone: a zip does not tell.
fn time(seconds: i64) -> Option<DateTime> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |number: i8| u8::try_from(number).ok();
    DateTime::from_date_and_time(
        u16::try_from(time.year()).ok()?,
        small(time.month())?,
        small(time.day())?,
        small(time.hour())?,
        small(time.minute())?,
        small(time.second())?,
    )
    .ok()
}

fn not_written(error: ZipError) -> ArchiveError {
    match error {
        ZipError::Io(error) => ArchiveError::Output(error),
        error => ArchiveError::Output(std::io::Error::other(error)),
    }
}
