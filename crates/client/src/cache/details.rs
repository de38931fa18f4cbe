//! What there is to know of an entry.

use std::time::Duration;

use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::mirror;
use super::moment::Moment;
use super::record::{EntryRecord, RemoteHead};
use super::source::Source;
use super::state::{Found, entry_of, tree_at};
use super::{CacheError, CacheStatus, CallOptions, Details, Entry, Upstream};

/// The remote is not asked again within this time.
const ASKED_WITHIN: Duration = Duration::from_secs(300);

/// An entry, and what its remote says now.
pub(super) fn details(
    inner: &Inner,
    record: EntryRecord,
    call: &CallOptions<'_>,
) -> Result<Details, CacheError> {
    let now = Moment::now();
    let entry = entry_of(inner, &record, &now);
    let exists = tree_at(&inner.root.tree(&record.name), &record) != Found::Nothing;
    let is_stale = match (entry.status, &record.kept.updated) {
        (CacheStatus::Fresh, _) => false,
        (CacheStatus::Error, Some(updated)) => updated.is_older_than(inner.config.timeout, &now),
        _ => true,
    };
    let asked = record.kept.remote.as_ref().map(|remote| &remote.asked);
    let is_due = asked.is_none_or(|asked| asked.is_older_than(ASKED_WITHIN, &now));
    let current = match is_due {
        true => ask(inner, &record, &entry, call)?,
        false => None,
    };
    Ok(Details {
        entry,
        exists,
        is_stale,
        current,
    })
}

fn ask(
    inner: &Inner,
    record: &EntryRecord,
    entry: &Entry,
    call: &CallOptions<'_>,
) -> Result<Option<Result<Upstream, String>>, CacheError> {
    let head = match Source::parse(&record.kept.source_url, &inner.root) {
        Ok(source) => match source.upstream() {
            None => return Ok(None),
            Some(upstream) => mirror::ask_head(inner, upstream, call),
        },
        Err(error) => Err(error),
    };
    let mut head = match head {
        Ok(head) => head,
        Err(CacheError::Cancelled) => return Err(CacheError::Cancelled),
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    head.summary = summary(entry, &head);
    let upstream = Upstream {
        local_commit_hash: entry.local_commit_hash.clone(),
        local_branch: entry.local_branch.clone(),
        remote_commit_hash: head.commit.clone(),
        remote_branch: head.branch.clone(),
        has_changes: entry.local_commit_hash != head.commit,
        summary: head.summary.clone(),
        checked_at: head.asked.timestamp(),
    };
    keep(inner, record, head)?;
    Ok(Some(Ok(upstream)))
}

/// Notes what the remote said, unless somebody is bringing the entry up to date, who knows better.
fn keep(inner: &Inner, record: &EntryRecord, head: RemoteHead) -> Result<(), CacheError> {
    let lock = inner.root.lock("entry", &record.name.lock_key());
    let Some(_lock) = FileLock::try_take(&lock, Sharing::Exclusive)? else {
        return Ok(());
    };
    if let Some(mut newest) = inner.index.entry(&record.name)?
        && newest.kept.id == record.kept.id
    {
        newest.kept.remote = Some(head);
        inner.index.update(&newest)?;
    }
    Ok(())
}

/// How a copy stands to its remote, whose newer commits nobody has fetched.
fn summary(entry: &Entry, head: &RemoteHead) -> Option<String> {
    if entry.local_commit_hash == head.commit {
        return None;
    }
    let place = |commit: &Option<String>, branch: &Option<String>| {
        let commit = commit
            .as_deref()
            .map_or("no commit", |commit| &commit[..commit.len().min(10)]);
        match branch {
            Some(branch) => format!("{commit} ({branch})"),
            None => commit.to_owned(),
        }
    };
    Some(format!(
        "Remote is at {}, local is at {}",
        place(&head.commit, &head.branch),
        place(&entry.local_commit_hash, &entry.local_branch)
    ))
}
