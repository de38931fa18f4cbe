//! History along first parents: what was before, which commits changed a path, one commit instead of many.

use bstr::BString;
use packhouse_object::{Database, NewObject, ObjectId, ObjectKind, ReadError, commit_links};

use super::fnmatch::Fnmatch;
use super::message::new_commit;
use super::path::normalize_file;
use super::scan::Scan;
use super::{FileType, Snapshot, StoreError};
use crate::directory::Bring;

impl Snapshot {
    /// The commit before this one: its first parent, found the same way; `None` at the beginning.
    ///
    /// It can be written if this one can, but such a write is [`StoreError::Stale`] as long as the branch is further.
    pub fn parent(&self) -> Result<Option<Snapshot>, StoreError> {
        let parents = self.store().parents_of(&self.commit(), self.parents())?;
        let Some(parent) = parents.first() else {
            return Ok(None);
        };
        self.found_alike(*parent).map(Some)
    }

    /// Another commit, found the way this one was.
    fn found_alike(&self, commit: ObjectId) -> Result<Snapshot, StoreError> {
        let snapshot = Snapshot::load(self.store(), self.database().clone(), commit)?;
        Ok(snapshot.bound(self.ref_name.clone(), self.writable))
    }

    /// The commit `steps` before this one.
    pub fn back(&self, steps: u64) -> Result<Snapshot, StoreError> {
        let mut at = self.clone();
        for done in 0..steps {
            at = at.parent()?.ok_or_else(|| {
                StoreError::invalid(format!(
                    "Cannot go back {steps} commits: history too short ({done} before this one)"
                ))
            })?;
        }
        Ok(at)
    }

    /// This commit and those before it along first parents that pass every filter, newest first, read as they are
    /// asked for.
    pub fn log(&self, filter: LogFilter) -> Result<Log, StoreError> {
        let path = filter.path.map(normalize_file).transpose()?;
        Ok(Log {
            start: self.clone(),
            next: Some(self.commit()),
            here: None,
            path: path.map(|path| {
                path.split(|&byte| byte == b'/')
                    .map(BString::from)
                    .collect()
            }),
            matching: filter
                .matching
                .map(|pattern| Fnmatch::new(pattern.as_bytes())),
            before: filter.before,
        })
    }

    /// The same files as a commit of its own: on `parent`, or as the first of a new history. No ref names it yet.
    pub fn squash(
        &self,
        parent: Option<&Snapshot>,
        message: Option<&str>,
    ) -> Result<Snapshot, StoreError> {
        let store = self.store();
        if parent.is_some_and(|parent| !store.same_repository(parent.store())) {
            return Err(StoreError::invalid(
                "the parent belongs to another repository",
            ));
        }
        let parents = parent.map(Snapshot::commit).into_iter().collect();
        let message = message.map_or_else(|| self.message().to_owned(), BString::from);
        let commit = new_commit(self.tree(), parents, store.identity(), message);
        let object = NewObject::new(ObjectKind::Commit, commit.encode())?;
        let id = object.id;
        let bring = Bring {
            objects: vec![object],
            ..Bring::default()
        };
        store.inner.directory.bring(bring, store.storing())?;
        Ok(Snapshot::of(store, self.database().clone(), id, commit))
    }
}

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
    next: Option<ObjectId>,
    /// What is at the path in the commit that comes next, if that is known.
    here: Option<Trail>,
    path: Option<Vec<BString>>,
    matching: Option<Fnmatch>,
    before: Option<i64>,
}

/// A path in one tree: the folders on the way, as far as they are there, and what is at its end.
#[derive(Clone, Debug, Default)]
struct Trail {
    folders: Vec<ObjectId>,
    entry: Option<(u32, ObjectId)>,
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
            let data = database.bytes_of(tree, ObjectKind::Tree)?;
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

impl Log {
    fn step(&mut self) -> Result<Option<Snapshot>, StoreError> {
        let database = self.start.database().clone();
        while let Some(id) = self.next {
            let data = database.bytes_of(id, ObjectKind::Commit)?;
            let (tree, parents, seconds) =
                commit_links(&data).map_err(|source| ReadError::decode(id, source))?;
            let parents = self.start.store().parents_of(&id, &parents)?;
            let parent = parents.first().copied();
            let is_changed = match &self.path {
                None => true,
                Some(path) => {
                    let here = match self.here.take() {
                        Some(here) => here,
                        None => Trail::follow(&database, tree, path, None)?,
                    };
                    let before = match parent {
                        None => Trail::default(),
                        Some(parent) => {
                            let data = database.bytes_of(parent, ObjectKind::Commit)?;
                            let (tree, _, _) = commit_links(&data)
                                .map_err(|source| ReadError::decode(parent, source))?;
                            Trail::follow(&database, tree, path, Some(&here))?
                        }
                    };
                    let is_changed = here.entry != before.entry;
                    self.here = Some(before);
                    is_changed
                }
            };
            self.next = parent;
            if self.before.is_some_and(|before| seconds > before) {
                continue;
            }
            // From here on older commits count, whatever their clocks said.
            self.before = None;
            if !is_changed {
                continue;
            }
            let snapshot = match id == self.start.commit() {
                true => self.start.clone(),
                false => self.start.found_alike(id)?,
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
            self.next = None;
        }
        item
    }
}
