//! What an entry's records and its folder say together.

use std::fs;
use std::path::Path;

use super::folder::came_along;
use super::git_dir::TOKEN;
use super::inner::Inner;
use super::moment::Moment;
use super::record::{EntryRecord, Identity, TreeRecord};
use super::root::Root;
use super::{CacheError, CacheStatus, Entry, Stats};

/// What is at the place of an entry's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing.
    Nothing,
    /// This tree, or a copy of it that came with a copy of the cache.
    Tree(&'a TreeRecord),
    /// Something that is none of the recorded ones: somebody put it there, and nobody gets it from this cache.
    Unknown,
}

/// What is at an entry's place, looked at once: there may be thousands of entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    folder: Option<Identity>,
    pub(super) found: Found<'a>,
}

/// Looks at the place of an entry.
pub(super) fn look<'a>(root: &Root, record: &'a EntryRecord) -> Look<'a> {
    let place = root.tree(&record.name);
    let folder = Identity::of(&place);
    let found = match folder {
        Some(folder) => tree_of(root, folder, &place, record),
        None => nothing_at(&place),
    };
    Look { folder, found }
}

/// Which tree is at its place. After a kill it may be the one that was about to be put there.
pub(super) fn tree_at<'a>(root: &Root, record: &'a EntryRecord) -> Found<'a> {
    look(root, record).found
}

/// Which tree of the entry is at its place, if it may be moved away from there; `None`: nothing is there.
///
/// An error if somebody may want what is there.
pub(super) fn tree_to_move(
    root: &Root,
    record: &EntryRecord,
) -> Result<Option<Identity>, CacheError> {
    let place = root.tree(&record.name);
    let Look { folder, found } = look(root, record);
    match (folder, found) {
        (_, Found::Nothing) => Ok(None),
        (Some(folder), Found::Tree(_)) => Ok(Some(folder)),
        _ => Err(CacheError::Occupied { path: place }),
    }
}

/// Which of an entry's trees a folder is.
pub(super) fn tree_in<'a>(root: &Root, record: &'a EntryRecord, folder: &Path) -> Found<'a> {
    match Identity::of(folder) {
        Some(identity) => tree_of(root, identity, folder, record),
        None => nothing_at(folder),
    }
}

/// What is there, if it is no folder.
fn nothing_at<'a>(path: &Path) -> Found<'a> {
    match fs::symlink_metadata(path) {
        Ok(_) => Found::Unknown,
        Err(_) => Found::Nothing,
    }
}

fn tree_of<'a>(
    root: &Root,
    identity: Identity,
    place: &Path,
    record: &'a EntryRecord,
) -> Found<'a> {
    let recorded = || record.kept.next.iter().chain(&record.kept.tree);
    if let Some(tree) = recorded().find(|tree| tree.identity == identity) {
        return Found::Tree(tree);
    }
    let token = fs::read(place.join(".git").join(TOKEN)).unwrap_or_default();
    let manifests = root.own("manifests");
    let is_copy =
        |tree: &&TreeRecord| tree.id.as_bytes() == token || came_along(&manifests, &tree.id, place);
    recorded().find(is_copy).map_or(Found::Unknown, Found::Tree)
}

/// Whether a tree's files are known to be whole: they were written in this run of the machine, in which nothing but a
/// kill can have come between.
pub(super) fn is_whole(tree: &TreeRecord, place: &Path, now: &Moment) -> bool {
    is_whole_in(tree, Identity::of(place), now)
}

fn is_whole_in(tree: &TreeRecord, folder: Option<Identity>, now: &Moment) -> bool {
    tree.made.is_same_boot(now) && folder == Some(tree.identity)
}

/// An entry as it is now.
pub(super) fn entry_of(inner: &Inner, record: &EntryRecord, now: &Moment) -> Entry {
    entry_seen(inner, record, look(&inner.root, record), now)
}

/// As [`entry_of`], with what was seen at its place.
pub(super) fn entry_seen(
    inner: &Inner,
    record: &EntryRecord,
    look: Look<'_>,
    now: &Moment,
) -> Entry {
    let kept = &record.kept;
    let Look { folder, found } = look;
    let tree = match found {
        Found::Tree(tree) => Some(tree),
        _ => kept.tree.as_ref(),
    };
    let is_stale = match (&kept.updated, found) {
        (Some(updated), Found::Tree(tree)) => {
            updated.is_older_than(inner.config.timeout, now) || !is_whole_in(tree, folder, now)
        }
        _ => true,
    };
    let status = match found {
        _ if kept.error.is_some() => CacheStatus::Error,
        Found::Nothing | Found::Unknown => CacheStatus::Missing,
        _ if is_stale => CacheStatus::Stale,
        _ => CacheStatus::Fresh,
    };
    let remote = kept.remote.as_ref();
    let local_commit = tree.and_then(|tree| tree.commit.clone());
    let remote_commit = remote.and_then(|remote| remote.commit.clone());
    let has_changes = match (&local_commit, &remote_commit) {
        (None, None) => None,
        (local, remote) => Some(local != remote),
    };
    let summary = remote.and_then(|remote| remote.summary.clone());
    Entry {
        name: record.name.to_string(),
        source_url: kept.source_url.clone(),
        cache_type: record.cache_type(),
        created_at: kept.created.timestamp(),
        last_updated: kept.updated.as_ref().unwrap_or(&kept.created).timestamp(),
        last_accessed: jiff::Timestamp::from_millisecond(record.accessed_ms)
            .unwrap_or_else(|_| kept.created.timestamp()),
        size_bytes: tree.map(|tree| tree.bytes + tree.history_bytes),
        status,
        error_message: kept.error.clone(),
        notes: tree.map_or_else(Vec::new, |tree| tree.notes.clone()),
        local_branch: tree.and_then(|tree| tree.branch.clone()),
        remote_branch: remote.and_then(|remote| remote.branch.clone()),
        upstream_changes_summary: summary.filter(|_| has_changes == Some(true)),
        has_upstream_changes: has_changes,
        last_diff_check: remote.map(|remote| remote.asked.timestamp()),
        local_commit_hash: local_commit,
        remote_commit_hash: remote_commit,
        cache_path: inner.root.tree(&record.name),
    }
}

/// Counts entries by what they are.
pub(super) fn count(stats: &mut Stats, entry: &Entry) {
    stats.total_entries += 1;
    match entry.cache_type {
        super::CacheType::Git => stats.git_entries += 1,
        super::CacheType::Local => stats.local_entries += 1,
    }
    match entry.status {
        CacheStatus::Fresh => stats.fresh_entries += 1,
        CacheStatus::Stale => stats.stale_entries += 1,
        CacheStatus::Missing => stats.missing_entries += 1,
        CacheStatus::Error => stats.error_entries += 1,
    }
}
