//! Copying local files and folders into a store.

mod gather;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_object::ObjectId;

use super::by_times::ByTimes;
use super::existing::{Existing, at_targets, files_below, giving_way, is_taken};
use super::ingest::{Candidate, Reading, State};
use super::local_file::{self, Found};
use super::overlap::{Pair, above};
use super::problems::Problems;
use super::stat_cache::StatCache;
use crate::store::path::{join, normalize};
use crate::store::{
    BlobSink, ChangeError, ChangeReport, CommitOptions, Edits, ExcludeFilter, FileEntry, FileType,
    NoProgress, Snapshot, StoreError, StoreProgress,
};

/// What is copied into a store, and how.
#[derive(Clone)]
pub struct CopyIn<'a> {
    /// Local files and folders; `folder/` is what is in the folder, `base/./rest` goes below the folder part of `rest`.
    pub sources: Vec<OsString>,
    /// The folder they are put into; empty for the root.
    pub dest: BString,
    /// Only report.
    pub dry_run: bool,
    /// Links count as what they lead to.
    pub follow_symlinks: bool,
    /// The commit's message; `None` or empty for one that says what changed.
    pub message: Option<String>,
    /// What every file becomes, whatever its permissions: [`FileType::Blob`] or [`FileType::Executable`].
    pub mode: Option<FileType>,
    /// Leave what exists already as it is.
    pub ignore_existing: bool,
    /// Make the destination hold what the sources hold and nothing else, writing only what differs.
    pub delete: bool,
    /// Collect errors about single files in the report and go on. Nothing is deleted then.
    pub ignore_errors: bool,
    /// Compare contents where `delete` compares. Otherwise files whose time is before the second of the commit count as
    /// unchanged if they are of the same type, whatever they hold.
    pub checksum: bool,
    /// What is left out.
    pub exclude: Option<ExcludeFilter>,
    /// What the filter's base patterns exclude is not deleted either.
    pub keep_excluded: bool,
    /// The name of the operation in automatic messages; `None` for `cp`.
    pub operation: Option<String>,
    /// Further parents of the commit.
    pub parents: Vec<ObjectId>,
    /// Told how far the copy is.
    pub progress: Option<&'a dyn StoreProgress>,
}

impl Default for CopyIn<'_> {
    fn default() -> Self {
        CopyIn {
            sources: Vec::new(),
            dest: BString::default(),
            dry_run: false,
            follow_symlinks: false,
            message: None,
            mode: None,
            ignore_existing: false,
            delete: false,
            ignore_errors: false,
            checksum: true,
            exclude: None,
            keep_excluded: false,
            operation: None,
            parents: Vec::new(),
            progress: None,
        }
    }
}

impl Snapshot {
    /// Copies local files into the store in one commit. The snapshot's [`changes`](Snapshot::changes) say what was
    /// done, paths relative to the destination; a dry run gives this snapshot with what would be done.
    ///
    /// Without `delete` every file is written and reported, as added or updated by whether something was there. A
    /// source that comes later wins a place that several want; with `delete` the first one does, with a warning.
    ///
    /// ```
    /// use packhouse_repo::store::{CopyIn, CopyOut, Create, Store, StoreOptions};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let create = Create::New { branch: Some("main".to_owned()) };
    /// # let options = StoreOptions { create, ..StoreOptions::default() };
    /// # let store = Store::open(dir.path().join("data.git"), options)?;
    /// # let site = dir.path().join("site");
    /// std::fs::create_dir(&site)?;
    /// std::fs::write(site.join("index.html"), "<h1>Hello</h1>")?;
    /// let main = store.branches().get("main")?;
    /// let copied = main.copy_in(&CopyIn {
    ///     sources: vec![site.into()],
    ///     dest: "public".into(),
    ///     ..CopyIn::default()
    /// })?;
    /// assert_eq!(copied.changes().unwrap().add[0].path, "site/index.html");
    /// assert!(copied.exists("public/site/index.html")?);
    ///
    /// let out = CopyOut {
    ///     sources: vec!["public/site/".into()],
    ///     dest: dir.path().join("out"),
    ///     ..CopyOut::default()
    /// };
    /// copied.copy_out(&out)?;
    /// assert!(out.dest.join("index.html").exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_in(&self, options: &CopyIn<'_>) -> Result<Snapshot, StoreError> {
        if let Some(mode @ (FileType::Link | FileType::Tree | FileType::Commit)) = options.mode {
            return Err(StoreError::invalid(format!(
                "a file cannot be stored as {mode}"
            )));
        }
        let dest = normalize(&options.dest)?.unwrap_or_default();
        if !options.dry_run {
            self.check_writable("write to")?;
        }
        let mut copy = Copy {
            snapshot: self,
            options,
            dest,
            problems: Problems::new(options.ignore_errors),
            warnings: Vec::new(),
            complete: true,
        };
        let pairs = copy.pairs()?;
        match copy.problems.all_failed() {
            Some(error) if pairs.is_empty() && !options.dry_run => Err(error),
            _ if options.delete => copy.mirror(pairs),
            _ => copy.add(pairs),
        }
    }
}

/// A local file that is to be copied.
struct Source {
    local: PathBuf,
    /// It is not named by the caller but was come by, so that it may vanish.
    walked: bool,
    found: Option<Found>,
}

impl Source {
    fn look_at(&self, follow: bool) -> Result<Found, StoreError> {
        match self.found {
            Some(found) => Ok(found),
            None => local_file::look_at(&self.local, follow),
        }
    }

    /// As [`Source::look_at`], and sees whether it can be read.
    fn open(&self, follow: bool) -> Result<Found, StoreError> {
        let found = self.look_at(follow)?;
        match found.is_link() && !follow {
            true => Ok(found),
            false => local_file::open(&self.local, follow).map(|(_, found)| Found::from(&found)),
        }
    }
}

struct Copy<'a> {
    snapshot: &'a Snapshot,
    options: &'a CopyIn<'a>,
    dest: BString,
    problems: Problems,
    warnings: Vec<ChangeError>,
    /// Everything in the sources was seen, and could be read.
    complete: bool,
}

impl Copy<'_> {
    /// Writes every file.
    fn add(mut self, pairs: Vec<Pair<Source>>) -> Result<Snapshot, StoreError> {
        let targets = pairs.iter().map(|pair| pair.target.as_bstr());
        let existing = at_targets(self.snapshot, self.dest.as_bstr(), targets)?;
        let mut todo = Vec::with_capacity(pairs.len());
        for (pair, existing) in pairs.into_iter().zip(existing) {
            let is_taken = || is_taken(self.snapshot, &join(&self.dest, &pair.target), existing);
            if !self.options.ignore_existing || !is_taken()? {
                todo.push(Todo { pair, existing });
            }
        }
        if self.options.dry_run {
            return self.report_unread(todo);
        }
        let mut edits = Edits::new(self.snapshot.store());
        let states = self.read(&todo, Some(&mut edits.sink))?;
        let mut report = ChangeReport::default();
        let mut written = Vec::new();
        for (todo, state) in todo.iter().zip(&states) {
            let Some(state) = state else { continue };
            self.list(&mut report, todo, state.file_type);
            self.edit(&mut edits, todo, *state);
            written.push(todo);
        }
        report.delete = self.giving_way(&written)?;
        self.finish(edits, report, &states)
    }

    /// A dry run that opens files and reads nothing: what is there already counts as updated.
    fn report_unread(mut self, todo: Vec<Todo>) -> Result<Snapshot, StoreError> {
        let mut report = ChangeReport::default();
        let mut written = Vec::new();
        for todo in &todo {
            let found = todo.pair.source.open(self.options.follow_symlinks);
            match self.taken(todo, found.map(|found| found.file_type()))? {
                Some(file_type) => {
                    self.list(&mut report, todo, self.stored_as(file_type));
                    written.push(todo);
                }
                None => continue,
            }
        }
        report.delete = self.giving_way(&written)?;
        Ok(self.reported(report))
    }

    /// Makes the destination hold what the sources hold.
    fn mirror(mut self, pairs: Vec<Pair<Source>>) -> Result<Snapshot, StoreError> {
        // No sources at all is a mistake, not an empty folder.
        if self.options.sources.is_empty() {
            let edits = Edits::new(self.snapshot.store());
            return self.finish(edits, ChangeReport::default(), &[]);
        }
        let existing = files_below(self.snapshot, self.dest.as_bstr())?;
        let targets: HashSet<BString> = pairs.iter().map(|pair| pair.target.clone()).collect();
        let by_times = match self.options.checksum {
            true => None,
            false => ByTimes::of(self.snapshot),
        };
        let mut unread = Vec::new();
        for pair in pairs {
            let existing = existing.get(&pair.target).copied();
            let skip = existing.is_some_and(|existing| {
                self.options.ignore_existing
                    || by_times.is_some_and(|times| self.is_old(times, &pair.source, existing))
            });
            if !skip {
                unread.push(Todo { pair, existing });
            }
        }
        let mut edits = Edits::new(self.snapshot.store());
        let sink = (!self.options.dry_run).then_some(&mut edits.sink);
        let states = self.read(&unread, sink)?;
        let mut report = ChangeReport::default();
        let mut written = Vec::new();
        for (todo, state) in unread.iter().zip(&states) {
            let Some(state) = state else { continue };
            if todo.existing != Some((*state).into()) {
                self.list(&mut report, todo, state.file_type);
                self.edit(&mut edits, todo, *state);
                written.push(todo);
            }
        }
        if self.complete {
            report.delete = self.deletions(&existing, &targets, &written);
            // A submodule has no content on disk: that it is missing there says nothing.
            let (kept, deleted) = report
                .delete
                .into_iter()
                .partition(|entry| entry.file_type == FileType::Commit);
            report.delete = deleted;
            self.warnings.extend(kept_submodules(kept));
        }
        for entry in &report.delete {
            edits.entries.insert(join(&self.dest, &entry.path), None);
        }
        let gone = self.giving_way(&written)?;
        report.delete.extend(gone);
        self.finish(edits, report, &states)
    }

    /// Whether a file counts as unchanged without being read.
    fn is_old(&self, times: ByTimes, source: &Source, existing: Existing) -> bool {
        let found = source.look_at(self.options.follow_symlinks);
        found.is_ok_and(|found| {
            let file_type = self.stored_as(found.file_type());
            times.is_unchanged(&found, file_type, existing)
        })
    }

    /// What has to give way to what is written.
    fn giving_way(&self, written: &[&Todo]) -> Result<Vec<FileEntry>, StoreError> {
        let targets = written.iter().map(|todo| todo.pair.target.as_bstr());
        let existing = at_targets(self.snapshot, self.dest.as_bstr(), targets.clone())?;
        giving_way(self.snapshot, self.dest.as_bstr(), targets.zip(existing))
    }

    /// What is in the destination and not in the sources, but for what gives way to what is written.
    fn deletions(
        &self,
        existing: &HashMap<BString, Existing>,
        targets: &HashSet<BString>,
        written: &[&Todo],
    ) -> Vec<FileEntry> {
        let written: HashSet<&[u8]> = written
            .iter()
            .map(|todo| todo.pair.target.as_slice())
            .collect();
        let folders: HashSet<&[u8]> = written.iter().flat_map(|path| above(path)).collect();
        let exclude = self
            .options
            .exclude
            .as_ref()
            .filter(|_| self.options.keep_excluded);
        let is_deleted = |path: &BString| {
            !targets.contains(path)
                && !exclude.is_some_and(|exclude| exclude.is_excluded(path, false))
                && !folders.contains(path.as_slice())
                && !above(path).any(|folder| written.contains(folder))
        };
        existing
            .iter()
            .filter(|(path, _)| is_deleted(path))
            .map(|(path, existing)| FileEntry {
                path: path.clone(),
                file_type: existing.file_type,
                source: Some(join(&self.dest, path)),
            })
            .collect()
    }

    /// What each file is; `None` for one that failed or vanished.
    fn read(
        &mut self,
        todo: &[Todo],
        sink: Option<&mut BlobSink>,
    ) -> Result<Vec<Option<State>>, StoreError> {
        let sources = self.options.sources.iter().map(Path::new);
        let candidates: Vec<Candidate> = todo
            .iter()
            .map(|todo| Candidate {
                local: todo.pair.source.local.clone(),
                found: todo.pair.source.found,
                existing: todo.existing,
            })
            .collect();
        let cache = StatCache::load(self.snapshot.store(), sources, &candidates);
        let read = Reading {
            snapshot: self.snapshot,
            follow: self.options.follow_symlinks,
            cache: &cache,
            progress: self.options.progress.unwrap_or(&NoProgress),
        }
        .states(&candidates, sink)?;
        let mut states = Vec::with_capacity(read.len());
        for (todo, state) in todo.iter().zip(read) {
            let errors = self.problems.count();
            let state = self.taken(todo, state)?;
            // What is deleted may be what the file that could not be read has become.
            self.complete &= self.problems.count() == errors;
            states.push(state.map(|state| State {
                file_type: self.stored_as(state.file_type),
                ..state
            }));
        }
        if !self.options.dry_run {
            cache.save();
        }
        Ok(states)
    }

    /// The value for a file, unless it failed and errors are collected, or it vanished on the way.
    fn taken<T>(
        &mut self,
        todo: &Todo,
        result: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let source = &todo.pair.source;
        match &result {
            Err(StoreError::Local { source: error, .. })
                if source.walked
                    && error.kind() == ErrorKind::NotFound
                    && !source.local.is_symlink() =>
            {
                self.warn(
                    &source.local,
                    "vanished while it was copied: skipping".to_owned(),
                );
                Ok(None)
            }
            _ => self
                .problems
                .check(source.local.as_os_str().as_bytes(), result),
        }
    }

    fn stored_as(&self, file_type: FileType) -> FileType {
        match (file_type, self.options.mode) {
            (FileType::Link, _) | (_, None) => file_type,
            (_, Some(mode)) => mode,
        }
    }

    fn list(&self, report: &mut ChangeReport, todo: &Todo, file_type: FileType) {
        let list = match todo.existing {
            Some(existing) if existing.file_type != FileType::Tree => &mut report.update,
            _ => &mut report.add,
        };
        list.push(FileEntry {
            path: todo.pair.target.clone(),
            file_type,
            source: Some(todo.pair.source.local.as_os_str().as_bytes().into()),
        });
    }

    fn edit(&self, edits: &mut Edits, todo: &Todo, state: State) {
        if todo.existing != Some(state.into()) {
            let path = join(&self.dest, &todo.pair.target);
            edits
                .entries
                .insert(path, Some((state.file_type, state.id)));
        }
    }

    fn finish(
        self,
        edits: Edits,
        report: ChangeReport,
        states: &[Option<State>],
    ) -> Result<Snapshot, StoreError> {
        if self.options.dry_run {
            // Nothing was stored that a commit could name.
            return Ok(self.reported(report));
        }
        let succeeded = states.iter().any(Option::is_some) || !report.in_sync();
        if let (false, Some(error)) = (succeeded, self.problems.all_failed()) {
            return Err(error);
        }
        let operation = self.options.operation.as_deref().unwrap_or("cp");
        let written = self.snapshot.commit_edits(
            edits,
            CommitOptions {
                message: self.options.message.clone(),
                operation: Some(operation.to_owned()),
                parents: self.options.parents.clone(),
                ..CommitOptions::default()
            },
        )?;
        Ok(written.with_changes(self.completed(report)))
    }

    /// The snapshot as it was, with the report.
    fn reported(self, report: ChangeReport) -> Snapshot {
        let snapshot = self.snapshot;
        snapshot.with_changes(self.completed(report))
    }

    fn completed(self, mut report: ChangeReport) -> Option<ChangeReport> {
        report.sort();
        report.errors = self.problems.into_errors();
        report.warnings = self.warnings;
        report.unless_empty()
    }
}

/// The warnings about submodules that are not deleted.
pub(super) fn kept_submodules(kept: Vec<FileEntry>) -> impl Iterator<Item = ChangeError> {
    let mut paths: Vec<BString> = kept.into_iter().map(|entry| entry.path).collect();
    paths.sort_unstable();
    paths.into_iter().map(|path| ChangeError {
        path,
        error: "a submodule: kept".to_owned(),
    })
}

struct Todo {
    pair: Pair<Source>,
    existing: Option<Existing>,
}

impl From<State> for Existing {
    fn from(state: State) -> Self {
        Existing {
            file_type: state.file_type,
            id: state.id,
        }
    }
}
