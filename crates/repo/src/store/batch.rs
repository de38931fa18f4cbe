//! Many changes gathered into one commit.

use std::io::{self, Read, Write};
use std::path::Path;

use bstr::{BString, ByteSlice};

use super::path::normalize_file;
use super::read::Found;
use super::spool::Spool;
use super::write::{Edits, NewContent, check_file_mode};
use super::{CommitOptions, FileType, Snapshot, StoreError};

/// Changes that become one commit. Blobs are stored as they come; dropping the batch commits nothing.
///
/// The last change of a path wins.
///
/// In a process that is forked off, a batch that was begun before can only be dropped: it is its parent's to commit.
#[derive(Debug)]
pub struct Batch {
    snapshot: Snapshot,
    options: CommitOptions,
    edits: Option<Edits>,
    /// A commit failed, and with it went what had been gathered: another one would lack that.
    failed: bool,
    result: Option<Snapshot>,
}

impl Snapshot {
    /// Begins a batch on this snapshot.
    pub fn batch(&self, options: CommitOptions) -> Result<Batch, StoreError> {
        self.check_writable("batch on")?;
        Ok(Batch {
            snapshot: self.clone(),
            options,
            edits: Some(Edits::new(self.store())),
            failed: false,
            result: None,
        })
    }
}

impl Batch {
    fn open(&mut self) -> Result<&mut Edits, StoreError> {
        let edits = self.edits.as_mut().ok_or_else(closed)?;
        edits.sink.check_process()?;
        Ok(edits)
    }

    /// Writes a file.
    pub fn write(
        &mut self,
        path: impl AsRef<[u8]>,
        data: &[u8],
        mode: Option<FileType>,
    ) -> Result<(), StoreError> {
        let file_type = check_file_mode(mode)?;
        let edits = self.open()?;
        let path = normalize_file(path)?;
        let id = edits.sink.add(data)?;
        edits.set_last(path, file_type, id);
        Ok(())
    }

    /// Writes a file of any size.
    pub fn write_reader(
        &mut self,
        path: impl AsRef<[u8]>,
        data: &mut dyn Read,
        mode: Option<FileType>,
    ) -> Result<(), StoreError> {
        let file_type = check_file_mode(mode)?;
        let edits = self.open()?;
        let path = normalize_file(path)?;
        let id = edits.sink.add_reader(data, None)?;
        edits.set_last(path, file_type, id);
        Ok(())
    }

    /// Writes a file with the content of one outside the store, symbolic links followed.
    pub fn write_from_file(
        &mut self,
        path: impl AsRef<[u8]>,
        local: impl AsRef<Path>,
        mode: Option<FileType>,
    ) -> Result<(), StoreError> {
        self.put(path, NewContent::File(local.as_ref().to_owned()), mode)
    }

    /// Writes a symbolic link.
    pub fn write_symlink(
        &mut self,
        path: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
    ) -> Result<(), StoreError> {
        self.put(path, NewContent::Symlink(target.as_ref().into()), None)
    }

    fn put(
        &mut self,
        path: impl AsRef<[u8]>,
        content: NewContent,
        mode: Option<FileType>,
    ) -> Result<(), StoreError> {
        let edits = self.open()?;
        let path = normalize_file(path)?;
        let (file_type, id) = content.store(&mut edits.sink, mode)?;
        edits.set_last(path, file_type, id);
        Ok(())
    }

    /// Removes a file, which must be in the snapshot or in the batch.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<(), StoreError> {
        let snapshot = self.snapshot.clone();
        let edits = self.open()?;
        let path = normalize_file(path)?;
        let below = [path.as_slice(), b"/"].concat();
        let holds_staged = edits
            .entries
            .range(BString::from(below.clone())..)
            .take_while(|(other, _)| other.starts_with(&below))
            .any(|(_, change)| change.is_some());
        if holds_staged {
            return Err(StoreError::IsADirectory { path });
        }
        let staged = edits.entries.get(&path);
        if matches!(staged, Some(None)) {
            return Err(StoreError::NotFound { path });
        }
        let is_staged = staged.is_some();
        // A file that was written where its folder was, or where one had been, has nothing below it.
        let is_below_file = path
            .find_iter("/")
            .any(|slash| edits.entries.contains_key(path[..slash].as_bstr()));
        if is_below_file && !is_staged {
            return Err(StoreError::NotFound { path });
        }
        match snapshot.find(&path)? {
            Found::Entry(entry) if entry.file_type == FileType::Tree && !is_staged => {
                return Err(StoreError::IsADirectory { path });
            }
            Found::Entry(_) => {
                edits.entries.insert(path, None);
            }
            Found::Missing | Found::BelowFile if is_staged => {
                edits.entries.remove(&path);
            }
            Found::Missing | Found::BelowFile => return Err(StoreError::NotFound { path }),
        }
        Ok(())
    }

    /// A file to be written in pieces. Give it back to [`Batch::add_writer`] when it is complete.
    pub fn writer(
        &mut self,
        path: impl AsRef<[u8]>,
        mode: Option<FileType>,
    ) -> Result<BatchWriter, StoreError> {
        let file_type = check_file_mode(mode)?;
        Ok(BatchWriter {
            path: normalize_file(path)?,
            file_type,
            spool: self.open()?.sink.spool()?,
        })
    }

    /// Writes a file that was written in pieces.
    pub fn add_writer(&mut self, writer: BatchWriter) -> Result<(), StoreError> {
        let edits = self.open()?;
        let id = edits.sink.add_spooled(writer.spool)?;
        edits.set_last(writer.path, writer.file_type, id);
        Ok(())
    }

    /// Commits all changes, and closes the batch. Without changes there is no commit.
    ///
    /// If the branch has moved on the batch is not closed, but what was gathered is lost to it, so every further commit
    /// of it fails too: begin another batch on a newer snapshot.
    pub fn commit(&mut self) -> Result<Snapshot, StoreError> {
        if self.failed {
            return Err(StoreError::Failed {
                reason: "Batch failed to commit before; begin another on a newer snapshot"
                    .to_owned(),
            });
        }
        self.open()?;
        let edits = self.edits.take().ok_or_else(closed)?;
        match self.snapshot.commit_edits(edits, self.options.clone()) {
            Ok(snapshot) => {
                self.result = Some(snapshot.clone());
                Ok(snapshot)
            }
            Err(error) => {
                self.edits = Some(Edits::new(self.snapshot.store()));
                self.failed = true;
                Err(error)
            }
        }
    }

    /// As [`Batch::commit`], on another snapshot of the store than the one that it was begun on, and that removals were
    /// checked against: so that content can be read before it is this thread's turn to write.
    ///
    /// One that is read-only is [`StoreError::ReadOnly`], and one of another repository [`StoreError::Invalid`]: then the
    /// batch is as it was.
    pub fn commit_on(&mut self, snapshot: &Snapshot) -> Result<Snapshot, StoreError> {
        snapshot.check_writable("batch on")?;
        if !snapshot.store().same_repository(self.snapshot.store()) {
            return Err(StoreError::invalid("the snapshot is of another repository"));
        }
        self.snapshot = snapshot.clone();
        self.commit()
    }

    /// Closes the batch without a commit.
    pub fn close(&mut self) {
        self.edits = None;
    }

    /// Whether it was committed or closed.
    pub fn is_closed(&self) -> bool {
        self.edits.is_none()
    }

    /// The snapshot it was committed as.
    pub fn result(&self) -> Option<&Snapshot> {
        self.result.as_ref()
    }
}

fn closed() -> StoreError {
    StoreError::Failed {
        reason: "Batch is closed".to_owned(),
    }
}

/// A file of a batch that is written in pieces.
#[derive(Debug)]
pub struct BatchWriter {
    path: BString,
    file_type: FileType,
    spool: Spool,
}

impl Write for BatchWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.spool.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}
