//! Which commit changed a file last.

use packhouse_object::{
    Commit, Database, EntryMode, HistoryIndex, LastChange, ObjectId, ReadError, RepoPath,
    find_path, last_changes,
};

/// What was found, and how far the index of the history did not reach.
pub(super) struct Found {
    /// `None` if `max_commits` were not enough to find it.
    pub(super) change: Option<LastChange>,
    /// Commits that were looked at because the index lacks them.
    pub(super) walked: usize,
}

/// The commit that gave `path` its content as of `tip`, like `git log -1 -- PATH`.
///
/// From the first commit that the index has, the index answers. Commits that it lacks are looked at one by one,
/// `max_commits` of them at most: a commit that took the path as it is from a parent is passed over to that parent.
pub(super) fn find(
    database: &Database,
    index: &HistoryIndex,
    tip: ObjectId,
    path: &RepoPath,
    max_commits: usize,
) -> Result<Found, ReadError> {
    let mut id = tip;
    let mut commit = None;
    for walked in 0..max_commits {
        if index.position(&id).is_some() {
            let paths = [path.as_bstr().to_owned()];
            let found = last_changes(database, index, id, &paths, 1)?;
            let change = found.and_then(|found| found.changes[0]);
            return Ok(Found { change, walked });
        }
        let (here, parents, seconds) = match commit.take() {
            Some(known) => known,
            None => at(database, id, path)?,
        };
        let mut same = None;
        for parent in parents {
            let there = at(database, parent, path)?;
            if there.0 == here {
                same = Some((parent, there));
                break;
            }
        }
        match same {
            Some((parent, there)) => (id, commit) = (parent, Some(there)),
            None => {
                let change = Some(LastChange {
                    commit: id,
                    seconds,
                });
                return Ok(Found { change, walked });
            }
        }
    }
    Ok(Found {
        change: None,
        walked: max_commits,
    })
}

type Entry = Option<(EntryMode, ObjectId)>;

/// What is at `path` in a commit, its parents, and when it was committed.
fn at(
    database: &Database,
    commit: ObjectId,
    path: &RepoPath,
) -> Result<(Entry, Vec<ObjectId>, i64), ReadError> {
    let Commit {
        tree,
        parents,
        committer,
        ..
    } = database.commit(commit)?;
    let entry = find_path(database, tree, path)?.map(|entry| (entry.mode, entry.id));
    Ok((entry, parents, committer.seconds))
}
