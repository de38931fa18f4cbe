//! Copying files of a snapshot into a local folder.

mod plan;
mod write;

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use self::plan::Plan;
use super::destination::{Destination, Named, StoreFolder, split};
use super::existing::Existing;
use super::overlap::{Pair, Winner, settle, sorted};
use super::problems::Problems;
use super::source::{Kind, StoredSource, resolve_stored};
use crate::store::path::join;
use crate::store::{
    ChangeError, ChangeReport, FileEntry, FileType, FileWalk, Snapshot, StoreError, StoreProgress,
};

/// What is copied out of a snapshot, and how.
#[derive(Clone)]
pub struct CopyOut<'a> {
    /// Files and folders; `folder/` is what is in the folder, `base/./rest` goes below the folder part of `rest`, and
    /// the empty path is everything.
    pub sources: Vec<BString>,
    /// The folder they are put into; it is made if it is missing.
    pub dest: PathBuf,
    /// The one source, a file, becomes exactly the destination instead of going into it.
    pub exact: bool,
    /// Only report.
    pub dry_run: bool,
    /// Leave what exists already as it is.
    pub ignore_existing: bool,
    /// Make the destination hold what the sources hold and nothing else, writing only what differs. All is written before
    /// anything is deleted, but where a file system takes two names for one.
    pub delete: bool,
    /// Collect errors about single files in the report and go on. Nothing is deleted where a source is missing or a folder
    /// of the destination cannot be read.
    pub ignore_errors: bool,
    /// Changes nothing: where `delete` compares, it compares contents. Those of many files are remembered with their times.
    pub checksum: bool,
    /// Write new files under their own names at once, which is faster: for a folder that nobody looks into before all of it
    /// is there. A copy that is killed leaves files of which only a part is there.
    pub in_place: bool,
    /// Told of each file that was made `in_place`, by all threads that write, and what it says of itself. Not of those that
    /// took the place of another: a copy of a hostile tree, or where two names are one, may have written into that one first.
    pub made: Option<&'a FileMade<'a>>,
    /// Told how far the copy is.
    pub progress: Option<&'a dyn StoreProgress>,
}

/// Told of a file that was made: its path in the destination, and what it says of itself.
pub type FileMade<'a> = dyn Fn(&BStr, &fs::Metadata) + Sync + 'a;

impl Default for CopyOut<'_> {
    fn default() -> Self {
        CopyOut {
            sources: Vec::new(),
            dest: PathBuf::new(),
            exact: false,
            dry_run: false,
            ignore_existing: false,
            delete: false,
            ignore_errors: false,
            checksum: true,
            in_place: false,
            made: None,
            progress: None,
        }
    }
}

impl Snapshot {
    /// Copies files into a local folder, and gives this snapshot with a report of what was done, or in a dry run would
    /// be; its paths are relative to the destination.
    ///
    /// Files appear whole unless `in_place` says otherwise, with the commit's time; one that takes the place of another
    /// has its permissions, but for those to run it. A link or file where a folder has to be is replaced, never
    /// followed. Without `delete` every file is written; a source that comes later wins a place that several want.
    /// With `delete` the first one does, with a warning. A source that has a name twice, as only forged trees have, is
    /// refused.
    pub fn copy_out(&self, options: &CopyOut<'_>) -> Result<Snapshot, StoreError> {
        self.copy_out_with(&[], options)
    }

    /// As [`Snapshot::copy_out`], with sources in other snapshots of the same repository, which come after those of the
    /// options. All is one copy with one report.
    pub fn copy_out_with(
        &self,
        others: &[(Snapshot, Vec<BString>)],
        options: &CopyOut<'_>,
    ) -> Result<Snapshot, StoreError> {
        let mut copy = Copy::new(self, options)?;
        for (other, _) in others {
            if !other.store().same_repository(self.store()) {
                return Err(StoreError::invalid(
                    "sources must belong to the same repo as self",
                ));
            }
            copy.snapshots.push(other);
        }
        if options.exact {
            return match others {
                [] => self.copy_out_exactly(options),
                _ => Err(not_one_file()),
            };
        }
        let groups = [&options.sources].into_iter();
        let groups = groups.chain(others.iter().map(|(_, paths)| paths));
        let mut sources = Vec::new();
        for (of, paths) in groups.enumerate() {
            for source in paths {
                let resolved = resolve_stored(copy.snapshots[of], source);
                match copy.problems.check(source.clone(), resolved)? {
                    Some(source) => sources.push((of, source)),
                    None => copy.complete = false,
                }
            }
        }
        match copy.problems.all_failed() {
            Some(error) if sources.is_empty() && !options.dry_run => return Err(error),
            _ if sources.is_empty() => return Ok(copy.reported(ChangeReport::default())),
            _ => {}
        }
        copy.run(sources)
    }

    /// Copies one file to exactly the destination, and gives the same report as if it went into the folder.
    fn copy_out_exactly(&self, options: &CopyOut<'_>) -> Result<Snapshot, StoreError> {
        let [source] = options.sources.as_slice() else {
            return Err(not_one_file());
        };
        let source = resolve_stored(self, source)?;
        if source.kind != Kind::File || options.delete {
            return Err(not_one_file());
        }
        let name = options.dest.file_name().ok_or_else(not_one_file)?;
        if fs::symlink_metadata(&options.dest).is_ok_and(|found| found.is_dir()) {
            let error = ErrorKind::IsADirectory.into();
            return Err(StoreError::local(&options.dest)(error));
        }
        let folder = options.dest.parent().unwrap_or(Path::new(""));
        Copy::new(self, options)?.run_in(folder, Some(name), vec![(0, source)])
    }
}

fn not_one_file() -> StoreError {
    StoreError::invalid("only one source, a file, can become exactly the destination, a file")
}

/// Copies sources that have been looked at; none at all are an empty folder.
pub(super) fn copy_resolved(
    snapshot: &Snapshot,
    sources: Vec<StoredSource>,
    options: &CopyOut<'_>,
) -> Result<Snapshot, StoreError> {
    let sources = sources.into_iter().map(|source| (0, source));
    Copy::new(snapshot, options)?.run(sources.collect())
}

/// A file that is to be copied.
struct Source {
    /// The number of the snapshot that it is in.
    of: usize,
    path: BString,
    stored: Existing,
}

struct Copy<'a> {
    /// At least one. The first is what is returned.
    snapshots: Vec<&'a Snapshot>,
    options: &'a CopyOut<'a>,
    store: StoreFolder,
    problems: Problems,
    warnings: Vec<ChangeError>,
    /// Every source was found and all of the destination seen: what is in no source may be deleted.
    complete: bool,
}

impl<'a> Copy<'a> {
    fn new(snapshot: &'a Snapshot, options: &'a CopyOut<'a>) -> Result<Copy<'a>, StoreError> {
        Ok(Copy {
            snapshots: vec![snapshot],
            options,
            store: StoreFolder::of(snapshot.store().path())?,
            problems: Problems::new(options.ignore_errors),
            warnings: Vec::new(),
            complete: true,
        })
    }

    fn run(self, sources: Vec<(usize, StoredSource)>) -> Result<Snapshot, StoreError> {
        let folder = &self.options.dest;
        self.run_in(folder, None, sources)
    }

    /// Copies into a folder; a single file under another name, if one is given.
    fn run_in(
        mut self,
        folder: &Path,
        name: Option<&OsStr>,
        sources: Vec<(usize, StoredSource)>,
    ) -> Result<Snapshot, StoreError> {
        let mut pairs = self.pairs(sources)?;
        if let Some(name) = name {
            for pair in &mut pairs {
                pair.target = name.as_bytes().into();
            }
        }
        let write = !self.options.dry_run;
        let destination = match pairs.is_empty() && !self.options.delete {
            true => None,
            false => {
                let named = match name {
                    Some(_) => Named::ByCaller,
                    None => Named::ByTree,
                };
                let opened = Destination::open(folder, write, self.store.clone(), named)?;
                opened.map(|destination| destination.in_place(self.options.in_place))
            }
        };
        let plan = match (&destination, self.options.delete) {
            (None, _) => Plan {
                writes: pairs.into_iter().map(|pair| (pair, false)).collect(),
                ..Plan::default()
            },
            (Some(destination), false) => self.plan_all(destination, pairs)?,
            (Some(destination), true) => self.plan_mirror(destination, pairs)?,
        };
        match destination {
            Some(destination) if write => self.carry_out(&destination, plan),
            _ => {
                let report = report_of(
                    plan.writes.iter().map(|(pair, there)| (pair, *there)),
                    plan.deletes,
                );
                Ok(self.reported(report))
            }
        }
    }

    /// Every file and where it goes, each place once, sorted by place.
    fn pairs(
        &mut self,
        sources: Vec<(usize, StoredSource)>,
    ) -> Result<Vec<Pair<Source>>, StoreError> {
        let mut pairs = Vec::new();
        let count = sources.len();
        let mut refused = 0;
        for (of, source) in sources {
            let before = pairs.len();
            let mut add = |path, target, stored| {
                let source = Source { of, path, stored };
                pairs.push(Pair { target, source });
            };
            let walked = unambiguous_files_of(self.snapshots[of], &source, &mut add);
            let path = match source.path.is_empty() {
                true => "/".into(),
                false => source.path,
            };
            if self.problems.check(path, walked)?.is_none() {
                pairs.truncate(before);
                self.complete = false;
                refused += 1;
            }
        }
        if refused > 0
            && refused == count
            && !self.options.dry_run
            && let Some(error) = self.problems.all_failed()
        {
            return Err(error);
        }
        // A submodule has no content here.
        let (pairs, submodules): (Vec<_>, Vec<_>) = pairs
            .into_iter()
            .partition(|pair: &Pair<Source>| pair.source.stored.file_type != FileType::Commit);
        for pair in submodules {
            self.warn(pair.source.path, "a submodule: skipping".to_owned());
        }
        // A tree that names two files alike is refused; one that does so only to this disk gets in nobody's way: each
        // file is written through open folders.
        if count == 1 {
            return Ok(sorted(pairs));
        }
        let winner = match self.options.delete {
            true => Winner::First,
            false => Winner::Last,
        };
        let (kept, lost) = settle(pairs, winner);
        if self.options.delete {
            for pair in lost {
                let error = format!(
                    "Overlapping destination '{}': skipping (kept earlier source)",
                    pair.target
                );
                self.warn(pair.source.path, error);
            }
        }
        Ok(kept)
    }

    fn warn(&mut self, path: BString, error: String) {
        self.warnings.push(ChangeError { path, error });
    }

    fn carry_out(mut self, destination: &Destination, plan: Plan) -> Result<Snapshot, StoreError> {
        let Plan {
            writes,
            mut deletes,
            under_way,
            ..
        } = plan;
        for path in &under_way {
            destination.remove_if_left(path);
        }
        let mut deleted = Vec::new();
        if !deletes.is_empty() && one_name_is_another(destination, &writes) {
            // The new file would be under the old name, and be deleted with it.
            deleted = self.delete(destination, std::mem::take(&mut deletes))?;
        }
        let written = self.write(destination, &writes);
        let mut done = Vec::with_capacity(writes.len());
        for ((pair, there), written) in writes.iter().zip(written) {
            let local = destination.local_path(pair.target.as_bstr());
            let written = self.problems.check(local.as_os_str().as_bytes(), written)?;
            match written {
                Some(()) => done.push((pair, *there)),
                // What is deleted may be the only copy of what could not be written.
                None => self.complete = false,
            }
        }
        // Last: a copy that cannot write all has deleted nothing but what was in the way.
        deleted.extend(self.delete(destination, deletes)?);
        for folder in plan.folders.iter().rev() {
            destination.prune(folder.as_bstr());
        }
        let succeeded = plan.unchanged > 0 || !deleted.is_empty() || !done.is_empty();
        match self.problems.all_failed() {
            Some(error) if !succeeded => Err(error),
            _ => Ok(self.reported(report_of(done.into_iter(), deleted))),
        }
    }

    /// Deletes files, and gives those that are gone. Where not all was seen, it only looks what has given way.
    fn delete(
        &mut self,
        destination: &Destination,
        paths: Vec<BString>,
    ) -> Result<Vec<BString>, StoreError> {
        let mut deleted = Vec::with_capacity(paths.len());
        for path in paths {
            if !self.complete && destination.holds_file(path.as_bstr()) {
                continue;
            }
            let gone = destination.delete(path.as_bstr());
            let local = destination.local_path(path.as_bstr());
            let gone = self.problems.check(local.as_os_str().as_bytes(), gone)?;
            deleted.extend(gone.map(|()| path));
        }
        Ok(deleted)
    }

    /// The snapshot with the report.
    fn reported(self, mut report: ChangeReport) -> Snapshot {
        report.sort();
        report.errors = self.problems.into_errors();
        report.warnings = self.warnings;
        self.snapshots[0].with_changes(report.unless_empty())
    }
}

/// Whether a file is found under a new name, as where upper and lower case are the same.
fn one_name_is_another(destination: &Destination, writes: &[(Pair<Source>, bool)]) -> bool {
    let mut new = writes.iter().filter(|(_, there)| !there);
    new.any(|(pair, _)| destination.holds_file(pair.target.as_bstr()))
}

fn report_of<'a>(
    writes: impl Iterator<Item = (&'a Pair<Source>, bool)>,
    deletes: Vec<BString>,
) -> ChangeReport {
    let mut report = ChangeReport::default();
    for (pair, there) in writes {
        let list = if there {
            &mut report.update
        } else {
            &mut report.add
        };
        list.push(FileEntry {
            path: pair.target.clone(),
            file_type: pair.source.stored.file_type,
            source: Some(pair.source.path.clone()),
        });
    }
    let deleted = deletes.into_iter();
    report.delete = deleted
        .map(|path| FileEntry::new(path, FileType::Blob))
        .collect();
    report
}

/// Calls `visit` with each file of a source: its path, its place below the destination, and what it is.
pub(super) fn files_of(
    snapshot: &Snapshot,
    source: &StoredSource,
    visit: &mut dyn FnMut(BString, BString, Existing),
) -> Result<(), StoreError> {
    visit_files(snapshot, source, |files| files, visit)
}

/// The same, but refuses folders that have a name twice, or one with a slash in it: of what they give, one file would
/// take the place of another, or a folder that of a link.
fn unambiguous_files_of(
    snapshot: &Snapshot,
    source: &StoredSource,
    visit: &mut dyn FnMut(BString, BString, Existing),
) -> Result<(), StoreError> {
    visit_files(snapshot, source, FileWalk::unambiguous, visit)
}

fn visit_files(
    snapshot: &Snapshot,
    source: &StoredSource,
    walk: fn(FileWalk) -> FileWalk,
    visit: &mut dyn FnMut(BString, BString, Existing),
) -> Result<(), StoreError> {
    let name = split(&source.path).1;
    if source.kind == Kind::File {
        let entry = snapshot.existing(&source.path)?;
        let (file_type, id) = (entry.file_type, entry.id);
        let target = join(&source.prefix, name);
        visit(source.path.clone(), target, Existing { file_type, id });
        return Ok(());
    }
    let below = match source.kind {
        Kind::Folder => join(&source.prefix, name),
        _ => source.prefix.clone(),
    };
    let skip = if source.path.is_empty() {
        0
    } else {
        source.path.len() + 1
    };
    for file in walk(snapshot.files(&source.path)?) {
        let (path, mode, id) = file?;
        let target = join(&below, &path[skip..]);
        let file_type = FileType::from(mode);
        visit(path, target, Existing { file_type, id });
    }
    Ok(())
}
