//! History: commits newest first, of a branch or of one path in it.

use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use packhouse_object::{Commit, CommitWalk, EntryMode, ObjectId, ReadError, RepoPath, find_path};

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
pub fn log(view: &View, query: &LogQuery) -> Result<Vec<LogEntry>, ReadError> {
    match &query.path {
        Some(path) => path_log(view, query, path),
        None => CommitWalk::new(view.database(), [query.tip])
            .skip(query.skip)
            .take(query.limit)
            .map(|found| found.map(|(id, commit)| LogEntry { id, commit }))
            .collect(),
    }
}

type Entry = Option<(EntryMode, ObjectId)>;

/// A commit waiting to be looked at, ordered by commit date and then by id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    seconds: i64,
    id: ObjectId,
}

fn path_log(view: &View, query: &LogQuery, path: &RepoPath) -> Result<Vec<LogEntry>, ReadError> {
    let database = view.database();
    let entry_in = |commit: &Commit| -> Result<Entry, ReadError> {
        Ok(find_path(database, commit.tree, path)?.map(|entry| (entry.mode, entry.id)))
    };
    let mut seen = HashSet::from([query.tip]);
    let first = database.commit(query.tip)?;
    let mut pending = BinaryHeap::from([Pending {
        seconds: first.committer.seconds,
        id: query.tip,
    }]);
    let (mut skip, mut listed) = (query.skip, Vec::new());
    while let Some(Pending { id, .. }) = pending.pop() {
        if listed.len() >= query.limit {
            break;
        }
        let commit = Arc::new(database.commit(id)?);
        let here = entry_in(&commit)?;
        let mut parents = Vec::with_capacity(commit.parents.len());
        let mut same_as = None;
        for parent_id in &commit.parents {
            let parent = database.commit(parent_id)?;
            let next = Pending {
                seconds: parent.committer.seconds,
                id: *parent_id,
            };
            if entry_in(&parent)? == here {
                same_as = Some(next);
                break;
            }
            parents.push(next);
        }
        let changed = same_as.is_none() && (!commit.parents.is_empty() || here.is_some());
        if changed {
            if skip > 0 {
                skip -= 1;
            } else {
                listed.push(LogEntry { id, commit });
            }
        }
        let follow = match same_as {
            Some(one) => vec![one],
            None => parents,
        };
        pending.extend(follow.into_iter().filter(|next| seen.insert(next.id)));
    }
    Ok(listed)
}
