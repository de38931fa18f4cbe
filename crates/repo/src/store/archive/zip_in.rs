//! Reading zip. Its table of contents is at the end, so that it waits in a file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use packhouse_object::WritePackFileError;
use zip::ZipArchive;
use zip::result::ZipError;

use super::super::StoreError;
use super::intake::{Intake, LINK_BYTES_MAX, too_large};

/// Takes all entries, with the archive in a nameless file in `dir` meanwhile.
pub(super) fn read(
    input: impl Read,
    dir: &Path,
    intake: &mut Intake<'_>,
) -> Result<(), StoreError> {
    let file = spool(input, dir, intake.bytes_left())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unreadable)?;
    for index in 0..zip.len() {
        intake.entry()?;
        let mut entry = zip.by_index(index).map_err(unreadable)?;
        let name = match std::str::from_utf8(entry.name_raw()) {
            Ok(_) => entry.name_raw().to_vec(),
            // Without a mark the name is of the first PC's characters, unless it happens to be UTF-8.
            Err(_) => entry.name().map_err(unreadable)?.into_owned().into_bytes(),
        };
        if entry.is_dir() {
            continue;
        }
        if entry.encrypted() {
            return Err(damaged("it is encrypted"));
        }
        let mode = entry.unix_mode().unwrap_or(0o644);
        let size = entry.size();
        if entry.is_symlink() {
            let mut target = Vec::new();
            let mut start = (&mut entry).take(LINK_BYTES_MAX + 1);
            start.read_to_end(&mut target).map_err(StoreError::Source)?;
            if target.len() as u64 > LINK_BYTES_MAX {
                return Err(damaged("a symbolic link has an endless target"));
            }
            intake.link(&name, &target)?;
        } else {
            intake.file(&name, mode & 0o111 != 0, size, &mut entry)?;
        }
    }
    Ok(())
}

fn spool(input: impl Read, dir: &Path, limit: u64) -> Result<File, StoreError> {
    let disk = |error| StoreError::from(WritePackFileError::Io(error));
    let mut file = tempfile::tempfile_in(dir).map_err(disk)?;
    let mut input = Failing {
        input: input.take(limit.saturating_add(1)),
        failed: false,
    };
    let copied = io::copy(&mut input, &mut file);
    let len = copied.map_err(|error| match input.failed {
        true => StoreError::Source(error),
        false => disk(error),
    })?;
    if len > limit {
        return Err(too_large(limit));
    }
    file.seek(SeekFrom::Start(0)).map_err(disk)?;
    Ok(file)
}

/// Remembers whether an error came from reading.
struct Failing<R> {
    input: R,
    failed: bool,
}

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out);
        self.failed |= read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

fn unreadable(error: ZipError) -> StoreError {
    match error {
        ZipError::Io(error) => StoreError::Source(error),
        error => damaged(&error.to_string()),
    }
}

fn damaged(reason: &str) -> StoreError {
    let reason = format!("the archive cannot be read: {reason}");
    StoreError::Source(io::Error::new(io::ErrorKind::InvalidData, reason))
}
