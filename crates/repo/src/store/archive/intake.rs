//! Files of an archive on their way into a commit.

use std::io::{self, Read};

use bstr::{BStr, BString, ByteSlice};

use super::super::copy::above;
use super::super::write::check_link_target;
use super::super::{
    ChangeError, CommitOptions, Edits, FileType, Snapshot, StoreError, StoreProgress, join,
    normalize,
};
use super::{ArchiveIn, ArchiveLimits};

/// The longest target of a symbolic link: more than any system takes.
pub(super) const LINK_BYTES_MAX: u64 = 64 << 10;

/// The most memory that unpacking xz or LZMA may take, in KiB: the dictionary of its highest preset.
pub(super) const XZ_MEMORY_KIB: u32 = 96 << 10;

/// Takes entries; nothing is committed before all are there.
pub(super) struct Intake<'a> {
    dest: BString,
    limits: ArchiveLimits,
    progress: &'a dyn StoreProgress,
    edits: Edits,
    warnings: Vec<ChangeError>,
    entries: u64,
    files: u64,
    bytes: u64,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        snapshot: &Snapshot,
        options: &ArchiveIn,
        progress: &'a dyn StoreProgress,
    ) -> Result<Intake<'a>, StoreError> {
        if !options.dry_run {
            snapshot.check_writable("write to")?;
        }
        Ok(Intake {
            dest: normalize(&options.dest)?.unwrap_or_default(),
            limits: options.limits,
            progress,
            edits: Edits::new(snapshot.store()),
            warnings: Vec::new(),
            entries: 0,
            files: 0,
            bytes: 0,
        })
    }

    /// Counts an entry, whatever it is.
    pub(super) fn entry(&mut self) -> Result<(), StoreError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            let limit = self.limits.entries;
            return Err(failed(format!("the archive has more than {limit} entries")));
        }
        match self.progress.cancelled() {
            true => Err(StoreError::Cancelled),
            false => Ok(()),
        }
    }

    /// Whether there was no entry so far.
    pub(super) fn is_untouched(&self) -> bool {
        self.entries == 0
    }

    /// How many bytes the rest of the archive may have.
    pub(super) fn bytes_left(&self) -> u64 {
        self.limits.bytes - self.bytes
    }

    fn count_bytes(&mut self, bytes: u64) -> Result<(), StoreError> {
        if bytes > self.bytes_left() {
            return Err(too_large(self.limits.bytes));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// Takes a file of exactly `size` bytes.
    pub(super) fn file(
        &mut self,
        name: &[u8],
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), StoreError> {
        let path = self.place(name)?;
        self.count_bytes(size)?;
        let file_type = match executable {
            true => FileType::Executable,
            false => FileType::Blob,
        };
        let mut content = Exactly {
            content,
            left: size,
        };
        let id = self.edits.sink.add_reader(&mut content, Some(size))?;
        // Checksums are held against what was read when there is no more.
        content.read(&mut [0]).map_err(StoreError::Source)?;
        self.set(path, file_type, id);
        Ok(())
    }

    /// Takes a symbolic link. Where it leads is nobody's business before it is copied out.
    pub(super) fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), StoreError> {
        let path = self.place(name)?;
        check_link_target(target).map_err(|reason| {
            let name = name.as_bstr();
            StoreError::invalid(format!(
                "the archive's '{name}' cannot be taken in: {reason}"
            ))
        })?;
        self.count_bytes(target.len() as u64)?;
        let id = self.edits.sink.add(target)?;
        self.set(path, FileType::Link, id);
        Ok(())
    }

    /// Takes another name of a file that came before. One that did not come is told as a warning.
    pub(super) fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), StoreError> {
        let path = self.place(name)?;
        let found = self
            .edits
            .entries
            .get(&self.place(target)?)
            .copied()
            .flatten();
        match found {
            Some((file_type, id)) => self.set(path, file_type, id),
            None => {
                let target = target.as_bstr();
                self.warn(
                    &path,
                    format!("skipped: a hard link to '{target}', which is not before it"),
                );
            }
        }
        Ok(())
    }

    /// Leaves out an entry that no store can hold.
    pub(super) fn skip(&mut self, name: &[u8], what: &str) {
        self.warn(&name.into(), format!("skipped: {what}"));
    }

    fn warn(&mut self, path: &BString, error: String) {
        let path = path.clone();
        self.warnings.push(ChangeError { path, error });
    }

    fn set(&mut self, path: BString, file_type: FileType, id: packhouse_object::ObjectId) {
        self.edits.entries.insert(path, Some((file_type, id)));
        self.files += 1;
        self.progress.step(self.files, None);
    }

    /// Where an entry goes: inside the destination, or nowhere.
    fn place(&self, name: &[u8]) -> Result<BString, StoreError> {
        let bad = |reason| StoreError::BadPath {
            path: name.into(),
            reason,
        };
        if name.starts_with(b"/") {
            return Err(bad("the archive has an absolute path"));
        }
        if name.contains(&0) {
            return Err(bad("the archive has a name with a NUL byte"));
        }
        let parts = name.split(|&byte| byte == b'/');
        let parts: Vec<&BStr> = parts
            .filter(|part| !part.is_empty() && *part != b".")
            .map(ByteSlice::as_bstr)
            .collect();
        if parts.iter().any(|part| *part == "..") {
            return Err(bad("the archive has a path that leads out of it"));
        }
        if parts.is_empty() {
            return Err(bad("the archive has a file without a name"));
        }
        Ok(parts
            .iter()
            .fold(self.dest.clone(), |path, part| join(&path, part)))
    }

    /// Of two files of one name the later one counts, as where archives are unpacked. But where one is below another,
    /// only one of them could be there.
    fn check_no_file_is_a_folder(&self) -> Result<(), StoreError> {
        let entries = &self.edits.entries;
        for path in entries.keys() {
            if let Some(file) = above(path).find(|folder| entries.contains_key(folder.as_bstr())) {
                let file = file.as_bstr();
                return Err(StoreError::invalid(format!(
                    "the archive has '{file}' as a file and as a folder, with '{path}' in it"
                )));
            }
        }
        Ok(())
    }

    /// Commits what was taken.
    pub(super) fn commit(
        self,
        snapshot: &Snapshot,
        options: &ArchiveIn,
    ) -> Result<Snapshot, StoreError> {
        if self.edits.entries.is_empty() {
            return Err(StoreError::invalid("Archive contains no files"));
        }
        self.check_no_file_is_a_folder()?;
        let commit = CommitOptions {
            message: options.message.clone(),
            operation: Some("ar".to_owned()),
            parents: options.parents.clone(),
            report: None,
            dry_run: options.dry_run,
        };
        let committed = snapshot.commit_edits(self.edits, commit)?;
        // Where nothing was written the report is the one from before.
        let mut report = match committed.commit() == snapshot.commit() && !options.dry_run {
            true => Default::default(),
            false => committed.changes().cloned().unwrap_or_default(),
        };
        report.warnings = self.warnings;
        Ok(committed.with_changes(report.unless_empty()))
    }
}

/// Content that is held against its size.
struct Exactly<'a> {
    content: &'a mut dyn Read,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(out)?;
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        match self.left.checked_sub(n as u64) {
            None => wrong("it is larger than the archive says"),
            Some(1..) if n == 0 && !out.is_empty() => wrong("it is smaller than the archive says"),
            Some(left) => {
                self.left = left;
                Ok(n)
            }
        }
    }
}

pub(super) fn failed(reason: String) -> StoreError {
    StoreError::Failed { reason }
}

pub(super) fn too_large(limit: u64) -> StoreError {
    failed(format!("the archive unfolds to more than {limit} bytes"))
}
