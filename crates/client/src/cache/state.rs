//! What an entry's records and its folder say together.

use std::fs;
use std::path::Path;

use super::folder::{came_along, read_manifest};
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
        (Some(folder), Found::Tree(tree)) if has_one_of(root, folder, tree, &place) => {
            Ok(Some(folder))
        }
        _ => Err(CacheError::Occupied { path: place }),
    }
}

/// Whether a folder with the number of a copy of a directory has at least one file of that, where the number may be another
/// folder's by now. What says so is too long to be read for each look.
fn has_one_of(root: &Root, folder: Identity, tree: &TreeRecord, place: &Path) -> bool {
    folder.is_unique()
        || !tree.mirrors.is_empty()
        || read_manifest(&root.own("manifests"), &tree.id)
            .is_none_or(|manifest| manifest.has_one_in(place))
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
    let token = || fs::read(place.join(".git").join(TOKEN)).unwrap_or_default();
    if let Some(tree) = recorded().find(|tree| tree.identity == identity) {
        // Where folders do not say when they were made, another one may have got the number of one that was removed.
        let is_it =
            identity.is_unique() || tree.mirrors.is_empty() || tree.id.as_bytes() == token();
        return match is_it {
            true => Found::Tree(tree),
            false => Found::Unknown,
        };
    }
    let token = token();
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::CallOptions;
    use super::super::test_world::TestWorld;
    use super::*;

    /// The number of a folder where folders do not say when they were made.
    fn bare_number(path: &Path) -> Identity {
        use std::os::unix::fs::MetadataExt;
        let inode = fs::symlink_metadata(path).unwrap().ino();
        serde_json::from_value(json!({"inode": inode, "made_ns": 0})).unwrap()
    }

    #[test]
    fn a_folder_that_only_has_the_number_of_a_tree_is_somebodys_own() {
        let world = TestWorld::new();
        let root = &world.inner.root;
        let mut record = world.record();
        let place = root.tree(&record.name);
        let number = bare_number(&place);
        record.kept.tree.as_mut().unwrap().identity = number;
        let found = |record: &EntryRecord| tree_of(root, number, &place, record) != Found::Unknown;
        assert!(found(&record));
        // As after `rm -r` and `mkdir`.
        fs::remove_dir_all(place.join(".git")).unwrap();
        assert!(!found(&record));
    }

    #[test]
    fn a_folder_that_only_has_the_number_of_a_copy_is_not_moved_away() {
        let world = TestWorld::new();
        let plain = world.cache.root().join("../plain");
        fs::create_dir(&plain).unwrap();
        for name in ["one", "other"] {
            fs::write(plain.join(name), name).unwrap();
        }
        let call = CallOptions::default();
        let source = plain.to_str().unwrap();
        let entry = world.cache.add(source, None, &call).unwrap();
        let place = entry.cache_path;
        let root = &world.inner.root;
        let records = world.inner.index.contents().unwrap().entries;
        let mut records = records.into_iter();
        let record = records.find(|record| record.name.as_str() == entry.name);
        let tree = record.unwrap().kept.tree.unwrap();
        let is_it = || has_one_of(root, bare_number(&place), &tree, &place);
        assert!(is_it());
        // Whoever works in it leaves something of it.
        fs::remove_file(place.join("one")).unwrap();
        assert!(is_it());
        fs::remove_file(place.join("other")).unwrap();
        fs::write(place.join("other"), "theirs").unwrap();
        fs::write(place.join("precious"), "").unwrap();
        assert!(!is_it());
    }
}
