//! Which commit changed a file last.

use packhouse_object::{Commit, Database, EntryMode, ObjectId, ReadError, RepoPath, find_path};

/// The commit that gave `path` its content as of `tip`, and when it was committed (seconds since the epoch).
///
/// Like `git log -1 -- PATH`: a commit that took the path as it is from a parent is passed over to that parent. `None`
/// if `max_commits` were not enough to find it.
pub(super) fn find(
    database: &Database,
    tip: ObjectId,
    path: &RepoPath,
    max_commits: usize,
) -> Result<Option<(ObjectId, i64)>, ReadError> {
    let mut id = tip;
    let mut commit = database.commit(id)?;
    let here = entry(database, &commit, path)?;
    for _ in 0..max_commits {
        let mut same = None;
        for parent_id in &commit.parents {
            let parent = database.commit(parent_id)?;
            if entry(database, &parent, path)? == here {
                same = Some((*parent_id, parent));
                break;
            }
        }
        match same {
            Some(parent) => (id, commit) = parent,
            None => return Ok(Some((id, commit.committer.seconds))),
        }
    }
    Ok(None)
}

fn entry(
    database: &Database,
    commit: &Commit,
    path: &RepoPath,
) -> Result<Option<(EntryMode, ObjectId)>, ReadError> {
    Ok(find_path(database, commit.tree, path)?.map(|entry| (entry.mode, entry.id)))
}
