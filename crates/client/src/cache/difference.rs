//! How a copy and its remote differ, in words.

use packhouse_object::{CommitWalk, Database, ObjectId, ReadError};

use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::mirror;
use super::record::RemoteHead;
use super::source::Upstream;
use super::{CacheError, CallOptions, Entry};

/// More commits than this are not counted.
const COUNTED_MAX: usize = 10_000;

/// The longest subject that is told, in characters.
const SUBJECT_MAX: usize = 100;

/// How many commits each side has that the other lacks; where the mirror does not have both, where each side is. `None` if
/// both are at the same commit.
pub(super) fn summary(
    inner: &Inner,
    upstream: &Upstream,
    entry: &Entry,
    head: &RemoteHead,
    call: &CallOptions<'_>,
) -> Result<Option<String>, CacheError> {
    if entry.local_commit_hash == head.commit {
        return Ok(None);
    }
    let commit = |hex: &Option<String>| ObjectId::from_hex(hex.as_deref()?.as_bytes()).ok();
    let counted = match (commit(&head.commit), commit(&entry.local_commit_hash)) {
        (Some(remote), Some(local)) => count(inner, upstream, remote, local, call)?,
        _ => None,
    };
    Ok(Some(counted.unwrap_or_else(|| places(entry, head))))
}

fn count(
    inner: &Inner,
    upstream: &Upstream,
    remote: ObjectId,
    local: ObjectId,
    call: &CallOptions<'_>,
) -> Result<Option<String>, CacheError> {
    let lock = inner.root.lock("mirror", &upstream.key);
    let _shared = FileLock::take(&lock, Sharing::Shared, call)?;
    let Ok(database) = mirror::open(&inner.root.mirror(&upstream.key))
        .map_err(CacheError::mirror(inner.root.path()))
        .and_then(|store| {
            store
                .database()
                .map_err(CacheError::store(inner.root.path()))
        })
    else {
        return Ok(None);
    };
    // The remote may have taken back what the copy is at, and the mirror with it.
    let counts = ahead(&database, remote, local, call).and_then(|of_remote| {
        let of_local = ahead(&database, local, remote, call)?;
        Ok((of_remote, of_local, database.commit(remote)?))
    });
    call.check()?;
    Ok(counts.ok().map(|(of_remote, of_local, commit)| {
        let subject = commit.message.split(|&byte| byte == b'\n').next();
        let subject = String::from_utf8_lossy(subject.unwrap_or_default());
        let subject: String = subject.trim().chars().take(SUBJECT_MAX).collect();
        let short = short(&remote.to_string()).to_owned();
        format!(
            "Remote is {of_remote} commits ahead, local is {of_local} commits ahead. \
             Latest remote commit: {short} {subject}"
        )
        .trim_end()
        .to_owned()
    }))
}

/// How many commits `tip` reaches that `other` does not.
fn ahead(
    database: &Database,
    tip: ObjectId,
    other: ObjectId,
    call: &CallOptions<'_>,
) -> Result<String, ReadError> {
    let mut count = 0;
    for commit in CommitWalk::new(database, [tip]).hide([other]) {
        commit?;
        count += 1;
        if count > COUNTED_MAX {
            return Ok(format!("more than {COUNTED_MAX}"));
        }
        if call.check().is_err() {
            return Err(ReadError::Cancelled);
        }
    }
    Ok(count.to_string())
}

fn places(entry: &Entry, head: &RemoteHead) -> String {
    let place = |commit: &Option<String>, branch: &Option<String>| {
        let commit = commit.as_deref().map_or("no commit", short);
        match branch {
            Some(branch) => format!("{commit} ({branch})"),
            None => commit.to_owned(),
        }
    };
    format!(
        "Remote is at {}, local is at {}",
        place(&head.commit, &head.branch),
        place(&entry.local_commit_hash, &entry.local_branch)
    )
}

fn short(commit: &str) -> &str {
    &commit[..commit.len().min(10)]
}
