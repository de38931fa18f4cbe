//! An archive as a local file.

use std::io::Write;
use std::path::Path;

use super::super::{Snapshot, StoreError, StoreProgress};
use super::ArchiveFormat;
use crate::under_way::{Kind, write_whole};

impl Snapshot {
    /// Writes an archive to the local file `file`, otherwise as [`archive_out`](Snapshot::archive_out).
    ///
    /// A file appears, or is replaced, when the archive is whole and on disk; its permissions are those of the file that
    /// was there, or what the umask makes of 666. A link is followed. Pipes and devices are written into. In a folder that
    /// may be written but not read, the file may be missing again, or the old one, after a crash of the system.
    ///
    /// Errors: [`StoreError::Local`] if the file cannot be written, and those of `archive_out`; a file that was there
    /// has not changed then, unless what failed is to bring its new name to disk, which comes last. A pipe or a device may
    /// have got a part.
    pub fn archive_to_file(
        &self,
        path: impl AsRef<[u8]>,
        file: &Path,
        format: ArchiveFormat,
        progress: &dyn StoreProgress,
    ) -> Result<u64, StoreError> {
        let failed = |error| StoreError::local(file)(error);
        write_whole(Kind::Archive, file, failed, |out| {
            let out: &mut (dyn Write + Send) = out;
            self.archive_out(path, out, format, progress)
                .map_err(|error| match error {
                    StoreError::Output(error) => failed(error),
                    other => other,
                })
        })
    }
}
