//! Writing: every change is one commit on the branch its snapshot came from.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_object::{Commit, NewObject, ObjectId, ObjectKind};

use super::judge::judge;
use super::message::{format_message, new_commit};
use super::open::full_name;
use super::path::normalize_file;
use super::refs::RefKind;
use super::sink::BlobSink;
use super::spool::Spool;
use super::tree_edit::{Change, edit_tree};
use super::{ChangeReport, Durability, FileType, Snapshot, Store, StoreError};
use crate::directory::{Advance, Advanced, Bring, DirectoryError, Step, Storing, Turn};

/// What a commit changes: the final state of each path that is named, and the new blobs for it.
#[derive(Debug)]
pub struct Edits {
    /// By normalised path; `None` removes the file or the folder that is there, or nothing.
    ///
    /// Where a file and something below it are both set, the folder wins. What is set below a folder that is removed
    /// starts an empty one.
    pub entries: BTreeMap<BString, Option<(FileType, ObjectId)>>,
    /// The blobs that are not in the store yet.
    pub sink: BlobSink,
}

impl Edits {
    /// No edits.
    pub fn new(store: &Store) -> Edits {
        Edits {
            entries: BTreeMap::new(),
            sink: BlobSink::new(store),
        }
    }

    /// Sets a file to a blob that is in the store or the sink.
    pub fn set(
        &mut self,
        path: impl AsRef<[u8]>,
        file_type: FileType,
        id: ObjectId,
    ) -> Result<(), StoreError> {
        let path = normalize_file(path)?;
        self.entries.insert(path, Some((file_type, id)));
        Ok(())
    }

    /// Removes a file, or a folder with all that is in it.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.entries.insert(normalize_file(path)?, None);
        Ok(())
    }

    /// Sets a file to new content.
    pub fn put(
        &mut self,
        path: impl AsRef<[u8]>,
        content: NewContent,
        mode: Option<FileType>,
    ) -> Result<(), StoreError> {
        let path = normalize_file(path)?;
        let change = content.store(&mut self.sink, mode)?;
        self.entries.insert(path, Some(change));
        Ok(())
    }

    /// Sets a file as the last of several changes, in their order: what was set below it is gone, and a file that was
    /// set where a folder of it has to be is gone with all that had been there before.
    pub(super) fn set_last(&mut self, path: BString, file_type: FileType, id: ObjectId) {
        let mut below = path.clone();
        below.push(b'/');
        let staged = self.entries.range::<BString, _>(&below..);
        let staged = staged.take_while(|(other, _)| other.starts_with(&below));
        for gone in staged.map(|(other, _)| other.clone()).collect::<Vec<_>>() {
            self.entries.remove(&gone);
        }
        for slash in path.find_iter("/") {
            if let Some(change @ Some(_)) = self.entries.get_mut(path[..slash].as_bstr()) {
                *change = None;
            }
        }
        self.entries.insert(path, Some((file_type, id)));
    }
}

/// New content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is in a file outside the store, symbolic links followed. It may be run if anybody may run that one.
    File(PathBuf),
    /// A symbolic link to this target.
    Symlink(BString),
}

impl NewContent {
    /// Stores the content; `mode` overrides what the content itself suggests.
    pub(super) fn store(
        self,
        sink: &mut BlobSink,
        mode: Option<FileType>,
    ) -> Result<(FileType, ObjectId), StoreError> {
        match self {
            NewContent::Bytes(data) => {
                Ok((mode.unwrap_or(FileType::Blob), sink.add_bytes(data.into())?))
            }
            NewContent::File(path) => {
                let id = sink.add_file(&path)?;
                Ok((mode.map_or_else(|| type_on_disk(&path), Ok)?, id))
            }
            NewContent::Symlink(target) => {
                if mode.is_some_and(|mode| mode != FileType::Link) {
                    return Err(StoreError::invalid("Cannot specify mode for symlinks"));
                }
                check_link_target(&target).map_err(StoreError::invalid)?;
                Ok((FileType::Link, sink.add(&target)?))
            }
        }
    }
}

/// What is wrong with the target of a symbolic link that no file system could hold.
pub(super) fn check_link_target(target: &[u8]) -> Result<(), &'static str> {
    match target.is_empty() || target.contains(&0) {
        true => Err("the target of a symbolic link is not empty and has no NUL"),
        false => Ok(()),
    }
}

/// Executable if anybody may run the file.
fn type_on_disk(path: &Path) -> Result<FileType, StoreError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = path.metadata().map_err(StoreError::local(path))?;
    Ok(match metadata.permissions().mode() & 0o111 {
        0 => FileType::Blob,
        _ => FileType::Executable,
    })
}

/// How a commit is made.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// The message, perhaps with placeholders; automatic if missing or empty.
    pub message: Option<String>,
    /// The short name of a bulk operation, for automatic messages.
    pub operation: Option<String>,
    /// Further parents of the commit, after the branch's tip: commits of this repository. Nothing is merged.
    pub parents: Vec<ObjectId>,
    /// The report of the result, instead of one that compares with the old tree.
    pub report: Option<ChangeReport>,
    /// Commit nothing: only report. It may be done on snapshots that are read-only or stale.
    pub dry_run: bool,
}

/// How one file is written.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// The message, perhaps with placeholders; automatic if missing or empty.
    pub message: Option<String>,
    /// What the file becomes; a plain file, or what the file it comes from is, if missing.
    pub mode: Option<FileType>,
    /// Further parents of the commit, after the branch's tip: commits of this repository.
    pub parents: Vec<ObjectId>,
}

impl From<&WriteOptions> for CommitOptions {
    fn from(options: &WriteOptions) -> Self {
        CommitOptions {
            message: options.message.clone(),
            operation: None,
            parents: options.parents.clone(),
            ..CommitOptions::default()
        }
    }
}

impl Store {
    /// Waits for this thread's turn to write, and holds it until the result is dropped: neither threads nor processes
    /// that use this crate write meanwhile, so a snapshot taken now stays the newest. `git` is not kept out.
    pub fn exclusive(&self) -> Result<Turn, StoreError> {
        Ok(self.inner.directory.enter()?)
    }

    /// An error if the repository was removed: nothing is missing from it then.
    pub(super) fn check_there(&self) -> Result<(), StoreError> {
        match fs::symlink_metadata(self.path().join("HEAD")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = self.path().to_owned();
                Err(DirectoryError::Gone { path }.into())
            }
            _ => Ok(()),
        }
    }

    /// How objects are stored.
    pub(super) fn storing(&self) -> Storing {
        let options = &self.inner.options;
        Storing {
            durable: options.durability == Durability::Full,
            level: options.level(),
        }
    }
}

/// A commit that is made, and not stored yet.
pub(super) struct Made {
    pub(super) id: ObjectId,
    pub(super) commit: Commit,
    pub(super) step: Step,
    pub(super) report: ChangeReport,
    /// The commit and its new trees, which are in `bring` too.
    pub(super) objects: Vec<NewObject>,
    pub(super) bring: Bring,
}

/// What edits come to.
pub(super) enum Outcome {
    Unchanged(Option<ChangeReport>),
    Made(Box<Made>),
}

impl Snapshot {
    /// Makes one commit of all edits. If they change nothing there is no commit, and the snapshot itself is returned.
    ///
    /// Every write ends here, so that one rule holds for all: the snapshot must be writable and the newest state of its
    /// branch, also if nothing changes.
    pub fn commit_edits(
        &self,
        edits: Edits,
        options: CommitOptions,
    ) -> Result<Snapshot, StoreError> {
        if options.dry_run {
            return self.report_edits(edits, options);
        }
        let branch = self.check_writable("write to")?;
        let store = self.store();
        let directory = &store.inner.directory;
        let Made {
            id,
            commit,
            step,
            report,
            objects,
            bring,
        } = match self.make(edits, options)? {
            Outcome::Made(made) => *made,
            Outcome::Unchanged(report) => {
                directory.check_writable()?;
                let name = full_name(RefKind::Branch, branch)?;
                told(
                    branch,
                    directory.confirm(&name, self.commit(), store.storing())?,
                )?;
                return Ok(self.unchanged(report));
            }
        };
        let has_packs = !bring.packs.is_empty();
        self.move_branch(branch, &[step], bring)?;
        objects.iter().for_each(|object| directory.remember(object));
        let database = match has_packs {
            true => store.database()?,
            false => self.database().clone(),
        };
        Ok(Snapshot::of(store, database, id, commit)
            .bound(self.ref_name.clone(), true)
            .with_changes(Some(report)))
    }

    /// This snapshot with the report of what a commit of the edits would change.
    fn report_edits(&self, edits: Edits, options: CommitOptions) -> Result<Snapshot, StoreError> {
        let report = match self.make(edits, options)? {
            Outcome::Made(made) => Some(made.report),
            Outcome::Unchanged(report) => report,
        };
        Ok(self.with_changes(report.and_then(ChangeReport::unless_empty)))
    }

    /// This snapshot as the result of a write that changed nothing.
    pub(super) fn unchanged(&self, report: Option<ChangeReport>) -> Snapshot {
        match report {
            Some(report) => self.with_changes(report.unless_empty()),
            None => self.clone(),
        }
    }

    /// The commit of all edits.
    pub(super) fn make(&self, edits: Edits, options: CommitOptions) -> Result<Outcome, StoreError> {
        let store = self.store();
        store.check_parents(&options.parents)?;
        store.check_files(&edits.entries, &edits.sink)?;
        let edited = edit_tree(self.database(), self.tree(), &edits.entries)?;
        if edited.tree == self.tree() {
            return Ok(Outcome::Unchanged(options.report));
        }
        let report = options.report.unwrap_or(edited.report);
        let message = format_message(
            options.message.as_deref(),
            &report,
            options.operation.as_deref(),
            store.inner.options.messages,
        )?;
        let mut parents = vec![self.commit()];
        for parent in options.parents {
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
        let reflog = format!("commit: {message}");
        let commit = new_commit(edited.tree, parents, store.identity(), message.into());
        let object = NewObject::new(ObjectKind::Commit, commit.encode())?;
        let id = object.id;
        let mut objects = edited.new;
        objects.push(object);
        let bring = edits.sink.finish(objects.clone())?;
        judge(self.database(), &edits.entries, &bring)?;
        Ok(Outcome::Made(Box::new(Made {
            id,
            commit,
            step: Step::new(id, reflog),
            report,
            objects,
            bring,
        })))
    }

    /// Moves the branch from this snapshot's commit on, storing what that needs.
    pub(super) fn move_branch(
        &self,
        branch: &str,
        steps: &[Step],
        bring: Bring,
    ) -> Result<(), StoreError> {
        let store = self.store();
        let advanced = store.inner.directory.advance(Advance {
            name: &full_name(RefKind::Branch, branch)?,
            old: self.commit(),
            steps,
            who: &store.inner.who,
            storing: store.storing(),
            bring,
        })?;
        told(branch, advanced)
    }

    fn write_one(
        &self,
        path: &[u8],
        options: &WriteOptions,
        content: impl FnOnce(&mut BlobSink) -> Result<(FileType, ObjectId), StoreError>,
    ) -> Result<Snapshot, StoreError> {
        self.check_writable("write to")?;
        let path = normalize_file(path)?;
        let mut edits = Edits::new(self.store());
        let change: Change = Some(content(&mut edits.sink)?);
        edits.entries.insert(path, change);
        self.commit_edits(edits, options.into())
    }

    /// Writes a file.
    pub fn write(
        &self,
        path: impl AsRef<[u8]>,
        data: &[u8],
        options: &WriteOptions,
    ) -> Result<Snapshot, StoreError> {
        let file_type = check_file_mode(options.mode)?;
        self.write_one(path.as_ref(), options, |sink| {
            Ok((file_type, sink.add(data)?))
        })
    }

    /// Writes a file of any size.
    pub fn write_reader(
        &self,
        path: impl AsRef<[u8]>,
        data: &mut dyn Read,
        options: &WriteOptions,
    ) -> Result<Snapshot, StoreError> {
        let file_type = check_file_mode(options.mode)?;
        self.write_one(path.as_ref(), options, |sink| {
            Ok((file_type, sink.add_reader(data, None)?))
        })
    }

    /// Writes a file with the content of one outside the store, symbolic links followed.
    pub fn write_from_file(
        &self,
        path: impl AsRef<[u8]>,
        local: impl AsRef<Path>,
        options: &WriteOptions,
    ) -> Result<Snapshot, StoreError> {
        let content = NewContent::File(local.as_ref().to_owned());
        self.write_one(path.as_ref(), options, |sink| {
            content.store(sink, options.mode)
        })
    }

    /// Writes a symbolic link.
    pub fn write_symlink(
        &self,
        path: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
        options: &WriteOptions,
    ) -> Result<Snapshot, StoreError> {
        let content = NewContent::Symlink(target.as_ref().into());
        self.write_one(path.as_ref(), options, |sink| {
            content.store(sink, options.mode)
        })
    }

    /// Writes and removes files as one commit. A path that is both written and removed is removed; removing what is
    /// not there does nothing.
    pub fn apply<P: AsRef<[u8]>, R: AsRef<[u8]>>(
        &self,
        writes: impl IntoIterator<Item = (P, NewContent, Option<FileType>)>,
        removes: impl IntoIterator<Item = R>,
        options: CommitOptions,
    ) -> Result<Snapshot, StoreError> {
        self.check_writable("write to")?;
        let mut edits = Edits::new(self.store());
        for (path, content, mode) in writes {
            edits.put(path, content, mode)?;
        }
        for path in removes {
            edits.remove(path)?;
        }
        self.commit_edits(edits, options)
    }

    /// A file to be written in pieces; [`FileWriter::finish`] commits it.
    pub fn writer(
        &self,
        path: impl AsRef<[u8]>,
        options: WriteOptions,
    ) -> Result<FileWriter, StoreError> {
        self.check_writable("write to")?;
        check_file_mode(options.mode)?;
        let edits = Edits::new(self.store());
        Ok(FileWriter {
            snapshot: self.clone(),
            path: normalize_file(path)?,
            options,
            spool: edits.sink.spool()?,
            edits,
        })
    }
}

/// A file that is written in pieces, in bounded memory. Dropping it writes nothing.
#[derive(Debug)]
pub struct FileWriter {
    snapshot: Snapshot,
    path: BString,
    options: WriteOptions,
    edits: Edits,
    spool: Spool,
}

impl FileWriter {
    /// Commits the file.
    pub fn finish(mut self) -> Result<Snapshot, StoreError> {
        let file_type = check_file_mode(self.options.mode)?;
        let id = self.edits.sink.add_spooled(self.spool)?;
        self.edits.entries.insert(self.path, Some((file_type, id)));
        self.snapshot
            .commit_edits(self.edits, (&self.options).into())
    }
}

impl Write for FileWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.spool.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.flush()
    }
}

pub(super) fn told(branch: &str, advanced: Advanced) -> Result<(), StoreError> {
    let branch = branch.to_owned();
    match advanced {
        Advanced::Moved => Ok(()),
        Advanced::Stale => Err(StoreError::Stale { branch }),
        Advanced::Gone => Err(StoreError::NoSuchBranch { name: branch }),
    }
}

/// A mode that data can have.
pub(super) fn check_file_mode(mode: Option<FileType>) -> Result<FileType, StoreError> {
    match mode {
        None => Ok(FileType::Blob),
        Some(mode @ (FileType::Blob | FileType::Executable | FileType::Link)) => Ok(mode),
        Some(mode) => Err(StoreError::invalid(format!(
            "a file cannot have the mode of a {mode}"
        ))),
    }
}
