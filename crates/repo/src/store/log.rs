//! The commits before a snapshot along first parents: all of them, or those that pass filters.

use std::collections::VecDeque;

use bstr::BString;
use packhouse_object::{Database, ObjectId, ObjectKind, PathFilter, ReadError, on_processors};
use rayon::prelude::*;

use super::fnmatch::Fnmatch;
use super::path::normalize_file;
use super::scan::Scan;
use super::{FileType, Snapshot, StoreError};
use crate::same_files::SameFiles;

/// Which commits a log lists: those that pass every filter that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only commits at which this file or folder differs from the first parent, by content or mode.
    pub path: Option<BString>,
    /// Only commits whose message matches this shell pattern as a whole.
    pub matching: Option<String>,
    /// Leaves out commits down to the first that is not newer than this, in seconds since the epoch.
    pub before: Option<i64>,
}

/// Commits, newest first.
pub struct Log {
    start: Snapshot,
    commits: Commits,
    matching: Option<Fnmatch>,
    before: Option<i64>,
}

impl Snapshot {
    /// This commit and those before it along first parents that pass every filter, newest first, read as they are
    /// asked for.
    pub fn log(&self, filter: LogFilter) -> Result<Log, StoreError> {
        let chain = Chain {
            start: self.clone(),
            next: Some(self.commit()),
        };
        let commits = match filter.path.map(normalize_file).transpose()? {
            None => Commits::All(chain),
            Some(path) => Commits::Changing(Changing {
                filter: PathFilter::new(&path),
                path: path
                    .split(|&byte| byte == b'/')
                    .map(BString::from)
                    .collect(),
                chain,
                ahead: Vec::new(),
                ready: VecDeque::new(),
                ahead_max: AHEAD_FIRST,
                files: None,
            }),
        };
        Ok(Log {
            start: self.clone(),
            commits,
            matching: filter
                .matching
                .map(|pattern| Fnmatch::new(pattern.as_bytes())),
            before: filter.before,
        })
    }
}

impl Log {
    fn step(&mut self) -> Result<Option<Snapshot>, StoreError> {
        while let Some((commit, is_changed)) = self.commits.next()? {
            if self.before.is_some_and(|before| commit.seconds > before) {
                continue;
            }
            // From here on older commits count, whatever their clocks said.
            self.before = None;
            if !is_changed {
                continue;
            }
            let snapshot = match commit.id == self.start.commit() {
                true => self.start.clone(),
                false => self.start.found_alike(commit.id)?,
            };
            let is_match = match &self.matching {
                Some(pattern) => pattern.matches(snapshot.message()),
                None => true,
            };
            if is_match {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }
}

impl Iterator for Log {
    type Item = Result<Snapshot, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.commits.end();
        }
        item
    }
}

/// What a log needs to know of a commit.
#[derive(Clone, Copy, Debug)]
struct Skimmed {
    id: ObjectId,
    tree: ObjectId,
    seconds: i64,
}

enum Commits {
    All(Chain),
    Changing(Changing),
}

impl Commits {
    /// The next commit, and whether it changes the path.
    fn next(&mut self) -> Result<Option<(Skimmed, bool)>, StoreError> {
        match self {
            Commits::All(chain) => Ok(chain.next()?.map(|commit| (commit, true))),
            Commits::Changing(changing) => changing.next(),
        }
    }

    fn end(&mut self) {
        match self {
            Commits::All(chain) => chain.next = None,
            Commits::Changing(changing) => {
                changing.chain.next = None;
                changing.ahead.clear();
                changing.ready.clear();
            }
        }
    }
}

/// Commits along first parents.
struct Chain {
    start: Snapshot,
    next: Option<ObjectId>,
}

impl Chain {
    fn next(&mut self) -> Result<Option<Skimmed>, StoreError> {
        let Some(id) = self.next else {
            return Ok(None);
        };
        let (tree, parents, seconds) = self.start.database().commit_links_once(id)?;
        let parents = self.start.store().parents_of(&id, &parents)?;
        self.next = parents.first().copied();
        Ok(Some(Skimmed { id, tree, seconds }))
    }

    fn take(&mut self, count: usize) -> Result<Vec<Skimmed>, StoreError> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count
            && let Some(commit) = self.next()?
        {
            taken.push(commit);
        }
        Ok(taken)
    }
}

/// How many commits are read ahead at first; twice as many each time.
const AHEAD_FIRST: usize = 8;

/// The most commits that are read ahead.
const AHEAD_MAX: usize = 512;

/// Commits whose trees one thread reads.
const SHARE: usize = 64;

/// Commits, and whether each changes a path. While trees are read, so are the commits that come next.
struct Changing {
    path: Vec<BString>,
    filter: PathFilter,
    chain: Chain,
    /// Commits whose trees were not read yet.
    ahead: Vec<Skimmed>,
    /// Commits with what they have at the path. The last one waits for its parent.
    ready: VecDeque<(Skimmed, At)>,
    ahead_max: usize,
    /// Once it was asked.
    files: Option<SameFiles>,
}

/// What is at a path: mode and id.
type At = Option<(u32, ObjectId)>;

impl Changing {
    fn next(&mut self) -> Result<Option<(Skimmed, bool)>, StoreError> {
        while self.ready.len() < 2 {
            if self.ahead.is_empty() {
                self.ahead = self.chain.take(self.ahead_max)?;
                if self.ahead.is_empty() {
                    break;
                }
            }
            self.read_trees()?;
        }
        let Some((commit, here)) = self.ready.pop_front() else {
            return Ok(None);
        };
        let before = self.ready.front().and_then(|(_, at)| *at);
        let is_same = here == before || self.has_same_files(here, before)?;
        Ok(Some((commit, !is_same)))
    }

    /// Whether the same files are where not quite the same is.
    fn has_same_files(&mut self, here: At, before: At) -> Result<bool, StoreError> {
        let folder = |at: At| match at {
            None => Some(None),
            Some((mode, id)) => (FileType::from_mode(mode) == FileType::Tree).then_some(Some(id)),
        };
        let (Some(here), Some(before)) = (folder(here), folder(before)) else {
            return Ok(false);
        };
        let files = match self.files.take() {
            Some(known) => known,
            None => SameFiles::of(self.chain.start.database())?,
        };
        let is_same = files.in_folders(here, before);
        self.files = Some(files);
        Ok(is_same?)
    }

    fn read_trees(&mut self) -> Result<(), StoreError> {
        self.ahead_max = (2 * self.ahead_max).min(AHEAD_MAX);
        let now = std::mem::take(&mut self.ahead);
        let database = self.chain.start.database().clone();
        let (path, filter) = (&self.path, &self.filter);
        let (chain, count) = (&mut self.chain, self.ahead_max);
        let follow = || -> Result<Vec<Vec<At>>, ReadError> {
            now.par_chunks(SHARE)
                .map(|share| follow_all(&database, share, path, filter))
                .collect()
        };
        let (found, ahead) = on_processors(|| rayon::join(follow, || chain.take(count)));
        self.ahead = ahead?;
        self.ready
            .extend(now.into_iter().zip(found?.into_iter().flatten()));
        Ok(())
    }
}

fn follow_all(
    database: &Database,
    commits: &[Skimmed],
    path: &[BString],
    filter: &PathFilter,
) -> Result<Vec<At>, ReadError> {
    let mut found = Vec::with_capacity(commits.len());
    let mut known: Option<Trail> = None;
    // Each is a child of the one before it. Where it is known to change nothing, no tree is read.
    for commit in commits.iter().rev() {
        let before = known.as_ref();
        if let Some(before) = before.filter(|_| database.is_known_unchanged(&commit.id, filter)) {
            found.push(before.entry);
            continue;
        }
        let trail = Trail::follow(database, commit.tree, path, before)?;
        found.push(trail.entry);
        known = Some(trail);
    }
    found.reverse();
    Ok(found)
}

/// A path in one tree: the folders on the way, as far as they are there, and what is at its end.
#[derive(Clone, Debug, Default)]
struct Trail {
    folders: Vec<ObjectId>,
    entry: At,
}

impl Trail {
    /// The trail in another tree. Where it meets a folder of `known` the rest is the same.
    fn follow(
        database: &Database,
        root: ObjectId,
        path: &[BString],
        known: Option<&Trail>,
    ) -> Result<Trail, ReadError> {
        let mut trail = Trail::default();
        let mut tree = root;
        for (depth, name) in path.iter().enumerate() {
            if let Some(known) = known
                && known.folders.get(depth) == Some(&tree)
            {
                trail.folders.extend_from_slice(&known.folders[depth..]);
                trail.entry = known.entry;
                return Ok(trail);
            }
            trail.folders.push(tree);
            let data = database.bytes_once(tree, ObjectKind::Tree)?;
            let found = Scan::new(&data)
                .find(name)
                .map_err(|source| ReadError::decode(tree, source))?;
            let Some(entry) = found else {
                return Ok(trail);
            };
            if depth + 1 == path.len() {
                trail.entry = Some((entry.mode, entry.id));
            } else if entry.file_type() == FileType::Tree {
                tree = entry.id;
            } else {
                return Ok(trail);
            }
        }
        Ok(trail)
    }
}
