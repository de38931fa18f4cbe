//! Writing an archive of a snapshot.

use std::io::{self, Read, Write};

use bstr::{BStr, BString, ByteSlice};
use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use lzma_rust2::{XzOptions, XzWriter};
use packhouse_object::EntryMode;

use super::super::path::check_to_disk;
use super::super::reader::FileReader;
use super::super::{FileType, Snapshot, StoreError, StoreProgress, normalize};
use super::ArchiveFormat;
use super::tar_out::TarOut;
use super::zip_out::ZipOut;
use crate::given_up::is_given_up;

/// The preset of xz: a dictionary of 4 MiB, which takes about 32 MiB of memory.
const XZ_PRESET: u32 = 3;

/// A form of archive that takes one entry after the other.
pub(super) trait Entries {
    /// Adds a file of `size` bytes.
    fn file(
        &mut self,
        path: &BStr,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), StoreError>;

    /// Adds a symbolic link; its target is text.
    fn link(&mut self, path: &BStr, target: &str) -> Result<(), StoreError>;

    /// Adds an empty folder.
    fn folder(&mut self, path: &BStr) -> Result<(), StoreError>;
}

impl Snapshot {
    /// Writes the files from `path` (empty: the root) downwards as an archive, under names relative to it, and returns
    /// how many there were. Submodules become empty folders.
    ///
    /// Errors: [`StoreError::Output`] if `out` takes no more; [`StoreError::Invalid`] for a link whose target is not
    /// valid UTF-8, and in a zip for such a file name; for a name that leads out of the archive or is a repository's,
    /// which a tree from elsewhere may have; and for one that is there twice.
    pub fn archive_out(
        &self,
        path: impl AsRef<[u8]>,
        out: &mut (dyn Write + Send),
        format: ArchiveFormat,
        progress: &dyn StoreProgress,
    ) -> Result<u64, StoreError> {
        let path = path.as_ref();
        match format {
            ArchiveFormat::Zip => {
                let mut zip = ZipOut::new(out);
                let files = self.add_all(path, &mut zip, progress)?;
                zip.finish()?;
                Ok(files)
            }
            ArchiveFormat::Tar => Ok(self.tar(path, out, progress)?.0),
            ArchiveFormat::TarGz => {
                let gz = GzEncoder::new(out, flate2::Compression::default());
                let (files, gz) = self.tar(path, gz, progress)?;
                gz.finish().map_err(StoreError::Output)?;
                Ok(files)
            }
            ArchiveFormat::TarBz2 => {
                let bz2 = BzEncoder::new(out, bzip2::Compression::best());
                let (files, bz2) = self.tar(path, bz2, progress)?;
                bz2.finish().map_err(StoreError::Output)?;
                Ok(files)
            }
            ArchiveFormat::TarXz => {
                let xz = XzWriter::new(out, XzOptions::with_preset(XZ_PRESET));
                let (files, xz) = self.tar(path, xz.map_err(StoreError::Output)?, progress)?;
                xz.finish().map_err(StoreError::Output)?;
                Ok(files)
            }
        }
    }

    fn tar<W: Write>(
        &self,
        path: &[u8],
        out: W,
        progress: &dyn StoreProgress,
    ) -> Result<(u64, W), StoreError> {
        let mut tar = TarOut::new(out);
        let files = self.add_all(path, &mut tar, progress)?;
        Ok((files, tar.finish()?))
    }

    fn add_all(
        &self,
        path: &[u8],
        out: &mut dyn Entries,
        progress: &dyn StoreProgress,
    ) -> Result<u64, StoreError> {
        let folder = normalize(path)?.unwrap_or_default();
        if !folder.is_empty() && !self.is_dir(&folder)? {
            return Err(match self.exists(&folder)? {
                true => StoreError::NotADirectory { path: folder },
                false => StoreError::NotFound { path: folder },
            });
        }
        let mut files = 0;
        let mut checked = None;
        for file in self.files(&folder)?.unambiguous() {
            if progress.cancelled() {
                return Err(StoreError::Cancelled);
            }
            let (path, mode, id) = file?;
            let name = match folder.is_empty() {
                true => path.as_bstr(),
                false => path[folder.len() + 1..].as_bstr(),
            };
            check_names(name, mode, &mut checked)?;
            if mode == EntryMode::Submodule {
                out.folder(name)?;
                continue;
            }
            let mut content = FileReader::open(self.database().clone(), id)?;
            match mode {
                EntryMode::Symlink => {
                    let mut target = Vec::new();
                    content
                        .read_to_end(&mut target)
                        .map_err(StoreError::Source)?;
                    let target = target.to_str().map_err(|_| {
                        let reason = format!("the target of symlink '{path}' is not valid UTF-8");
                        StoreError::Invalid { reason }
                    })?;
                    out.link(name, target)?;
                }
                _ => {
                    let size = content.size();
                    out.file(name, mode == EntryMode::Executable, size, &mut content)?;
                }
            }
            files += 1;
            progress.step(files, None);
        }
        Ok(files)
    }
}

/// Checks each part of a name; those of the folder only if it is not the one that was checked before.
fn check_names(
    name: &BStr,
    mode: EntryMode,
    checked: &mut Option<BString>,
) -> Result<(), StoreError> {
    let (folder, last) = match name.rsplit_once_str(b"/") {
        Some((folder, last)) => (Some(folder), last),
        None => (None, name.as_bytes()),
    };
    if let Some(folder) = folder
        && checked.as_deref().is_none_or(|checked| *checked != folder)
    {
        for part in folder.split(|&byte| byte == b'/') {
            check_to_disk(name, part, FileType::Tree)?;
        }
        *checked = Some(folder.into());
    }
    let file_type = match mode {
        EntryMode::Submodule => FileType::Tree,
        _ => FileType::from(mode),
    };
    check_to_disk(name, last, file_type)
}

/// Copies `size` bytes and no more or less; errors tell whether reading or writing failed.
pub(super) fn copy_exactly(
    content: &mut dyn Read,
    size: u64,
    out: &mut dyn Write,
) -> Result<(), StoreError> {
    const PIECE_LEN: usize = 128 << 10;
    let mut piece = vec![0; PIECE_LEN.min(size as usize)];
    let mut left = size;
    while left > 0 {
        if is_given_up() {
            return Err(StoreError::Cancelled);
        }
        let n = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = match content.read(&mut piece[..n]) {
            Ok(0) => return Err(StoreError::Source(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            n => n.map_err(StoreError::Source)?,
        };
        out.write_all(&piece[..n]).map_err(StoreError::Output)?;
        left -= n as u64;
    }
    Ok(())
}
