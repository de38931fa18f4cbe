//! History: commits newest first, of a branch or of one path in it.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use packhouse_object::{
    Commit, CommitLinks, CommitWalk, Database, EntryMode, HistoryIndex, ObjectId, PathFilter,
    PathWatch, ReadError, RepoPath,
};

use crate::path_lookup::PathLookup;
use crate::same_files::SameFiles;
use crate::view::View;

/// Which commits to list.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Where to start.
    pub tip: ObjectId,
    /// Only commits that change this file or folder. As `git log -- PATH` does, a merge that took the path as it
    /// is from one side is followed to that side only.
    pub path: Option<RepoPath>,
    /// How many to pass over first.
    pub skip: usize,
    /// How many to list at most.
    pub limit: usize,
    /// How many bytes their messages and names may have together; the first commit is listed whatever it has.
    pub bytes: usize,
}

/// A part of a listing.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// Its commits.
    pub entries: Vec<LogEntry>,
    /// Whether there are more.
    pub has_more: bool,
    bytes: usize,
}

/// One commit of a listing.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its id.
    pub id: ObjectId,
    /// Its content.
    pub commit: Arc<Commit>,
}

/// The commits a query asks for, newest commit date first.
pub fn log(view: &View, query: &LogQuery) -> Result<LogPage, ReadError> {
    log_by_index(view, query, &HistoryIndex::default())
}

/// The same, with what an index of the history knows: of a path, neither commits nor trees are read where it says enough.
pub fn log_by_index(
    view: &View,
    query: &LogQuery,
    index: &HistoryIndex,
) -> Result<LogPage, ReadError> {
    let mut page = LogPage::default();
    if let Some(path) = &query.path {
        path_log(view, query, path, index, &mut page)?;
        return Ok(page);
    }
    for found in CommitWalk::new(view.database(), [query.tip]).skip(query.skip) {
        let (id, commit) = found?;
        if !page.take(query, id, commit) {
            break;
        }
    }
    Ok(page)
}

impl LogPage {
    /// Takes one more commit, if there is room for it.
    fn take(&mut self, query: &LogQuery, id: ObjectId, commit: Arc<Commit>) -> bool {
        self.bytes = self.bytes.saturating_add(text_bytes(&commit));
        let is_first = self.entries.is_empty();
        self.has_more =
            self.entries.len() >= query.limit || (self.bytes > query.bytes && !is_first);
        if !self.has_more {
            self.entries.push(LogEntry { id, commit });
        }
        !self.has_more
    }
}

/// What a commit has of texts, in bytes.
fn text_bytes(commit: &Commit) -> usize {
    let people = [&commit.author, &commit.committer];
    let names = people.map(|person| person.name.len() + person.email.len());
    commit.message.len() + names.iter().sum::<usize>()
}

type Entry = Option<(EntryMode, ObjectId)>;

/// Whether two commits have the same files there.
fn is_same(files: &SameFiles, one: Entry, other: Entry) -> Result<bool, ReadError> {
    let folder = |entry: Entry| match entry {
        None => Some(None),
        Some((EntryMode::Tree, id)) => Some(Some(id)),
        Some(_) => None,
    };
    match (folder(one), folder(other)) {
        _ if one == other => Ok(true),
        (Some(one), Some(other)) => files.in_folders(one, other),
        _ => Ok(false),
    }
}

/// A commit waiting to be looked at.
struct Pending {
    seconds: i64,
    id: ObjectId,
    parents: Vec<ObjectId>,
    /// What it has at the path.
    entry: Entry,
}

impl Pending {
    /// Newest commit date first, then by id.
    fn order(&self) -> (i64, ObjectId) {
        (self.seconds, self.id)
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// What is known of commits beside them.
struct Known<'a> {
    database: &'a Database,
    filter: PathFilter,
    index: &'a HistoryIndex,
    watch: PathWatch,
}

impl Known<'_> {
    fn links(&self, id: &ObjectId) -> Result<CommitLinks, ReadError> {
        let index = self.index;
        let Some(at) = index.position(id) else {
            return self.database.commit_links(id);
        };
        let parents = index.parents(at).into_iter().map(|parent| index.id(parent));
        Ok((index.tree(at), parents.collect(), index.seconds(at)))
    }

    /// Whether it is known that a commit has the same at the path as its first parent.
    fn is_unchanged(&self, id: &ObjectId) -> bool {
        let at = self.index.position(id);
        match at.and_then(|at| self.watch.is_changed(at)) {
            Some(is_changed) => !is_changed,
            None => self.database.is_known_unchanged(id, &self.filter),
        }
    }
}

fn path_log(
    view: &View,
    query: &LogQuery,
    path: &RepoPath,
    index: &HistoryIndex,
    page: &mut LogPage,
) -> Result<(), ReadError> {
    let database = view.database();
    let known = Known {
        database,
        filter: PathFilter::new(path.as_bytes()),
        index,
        watch: PathWatch::new(index, path.as_bytes()),
    };
    let files = SameFiles::of(database)?;
    let mut lookup = PathLookup::default();
    // A commit, and what it has at the path if that is known.
    let mut look_at = |id: ObjectId, entry: Option<Entry>| -> Result<Pending, ReadError> {
        let (tree, parents, seconds) = known.links(&id)?;
        Ok(Pending {
            seconds,
            id,
            parents,
            entry: match entry {
                Some(entry) => entry,
                None => lookup.find(database, tree, path.as_bstr())?,
            },
        })
    };
    let mut seen = HashSet::from([query.tip]);
    let mut pending = BinaryHeap::from([look_at(query.tip, None)?]);
    let mut skip = query.skip;
    while let Some(commit) = pending.pop() {
        let mut parents = Vec::with_capacity(commit.parents.len());
        let mut same_as = None;
        // Reads no trees where it is known that there is nothing to see.
        let mut entry = known.is_unchanged(&commit.id).then_some(commit.entry);
        for id in &commit.parents {
            let parent = look_at(*id, entry.take())?;
            if is_same(&files, parent.entry, commit.entry)? {
                same_as = Some(parent);
                break;
            }
            parents.push(parent);
        }
        let changed = match same_as {
            Some(_) => false,
            None => !commit.parents.is_empty() || !is_same(&files, commit.entry, None)?,
        };
        if changed && skip > 0 {
            skip -= 1;
        } else if changed {
            let found = Arc::new(database.commit(commit.id)?);
            if !page.take(query, commit.id, found) {
                break;
            }
        }
        let follow = match same_as {
            Some(one) => vec![one],
            None => parents,
        };
        pending.extend(follow.into_iter().filter(|next| seen.insert(next.id)));
    }
    Ok(())
}
