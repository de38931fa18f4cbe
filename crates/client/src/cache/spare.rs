//! The tree that an entry had last, kept for what the next one has in common with it.
//!
//! What always holds:
//! - as long as somebody may read it, nothing is taken out of it;
//! - it counts in what the cache takes, and goes before any entry;
//! - only a tree whose files are known to be whole is kept, and only until the machine is started again.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::inner::Inner;
use super::moment::Moment;
use super::readers::Readers;
use super::record::{EntryRecord, Identity};
use super::staging::Staging;
use super::trash::{Of, Retired};
use super::{CacheError, note};

/// A spare tree that nobody reads and nobody else has. Dropped, it is removed.
pub(super) struct Spare {
    tree: PathBuf,
    _staging: Staging,
}

impl Spare {
    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }
}

/// Takes an entry's spare tree, if there is one that nobody reads. Its caller has the entry's lock.
pub(super) fn take(inner: &Inner, record: &mut EntryRecord) -> Result<Option<Spare>, CacheError> {
    let place = place(inner, &record.kept.id);
    let now = Moment::now();
    let is_usable = match Retired::read(&place) {
        Ok(Some(retired)) if retired.may_be_read(&inner.root, inner.config.grace, &now) => {
            return Ok(None);
        }
        Ok(Some(retired)) => retired.is_of_this_boot(&now),
        Ok(None) => false,
        Err(_) => return Ok(None),
    };
    let Some(spare) = unread(inner, &place) else {
        return Ok(None);
    };
    // From here on it is work under way, and in nobody's way.
    record.kept.spare_bytes = 0;
    inner.index.update_times(record)?;
    Ok(is_usable.then_some(spare))
}

/// Keeps the tree in `staging`, which was just replaced by one of `new_bytes`, as the spare one if it is whole and there is
/// room; else as long as it may be read. Its caller has the entry's lock.
pub(super) fn keep(inner: &Inner, record: &mut EntryRecord, staging: Staging, new_bytes: u64) {
    let now = Moment::now();
    let counted = record.kept.spare_bytes;
    let_go(inner, record);
    let old = record.kept.tree.as_ref().filter(|old| {
        old.made.is_same_boot(&now) && Identity::of(&staging.tree()) == Some(old.identity)
    });
    let has_room = || {
        let bytes = inner.bytes().map(|bytes| bytes.saturating_sub(counted));
        bytes.is_ok_and(|bytes| bytes.saturating_add(new_bytes) <= inner.config.max_bytes)
    };
    let id = &record.kept.id;
    if let Some(bytes) = old.map(|old| old.bytes).filter(|_| has_room())
        && staging.retire_to(&place(inner, id)).is_ok()
    {
        record.kept.spare_bytes = bytes;
    } else {
        staging.retire();
    }
}

/// As [`remove`], of an entry that stays. Its caller has the entry's lock.
pub(super) fn let_go(inner: &Inner, record: &mut EntryRecord) {
    remove(inner, &record.kept.id);
    record.kept.spare_bytes = 0;
}

/// Removes an entry's spare tree to make room, unless somebody uses it: then it stays, and `false` says so. Its caller has
/// the entry's lock.
pub(super) fn free(inner: &Inner, record: &mut EntryRecord) -> bool {
    let place = place(inner, &record.kept.id);
    if is_used(inner, &place, Of::All, &Readers::new(&inner.root)) {
        return false;
    }
    drop(unread(inner, &place));
    record.kept.spare_bytes = 0;
    true
}

/// Lets go of spare trees whose entries are gone. An entry that has a note is there, unless its remover was killed, and is
/// looked for only if this is to be `thorough`.
pub(super) fn sweep(inner: &Inner, thorough: bool) {
    let spares = fs::read_dir(inner.root.own("spares"));
    let ids = spares.into_iter().flatten().flatten();
    let ids = ids.filter_map(|spare| spare.file_name().into_string().ok());
    let ids: Vec<String> = ids
        .filter(|id| thorough || !note::is_there(&inner.root, id))
        .collect();
    if ids.is_empty() {
        return;
    }
    let Ok((entries, _)) = inner.entries() else {
        return;
    };
    let known: HashSet<&str> = entries.iter().map(|entry| entry.kept.id.as_str()).collect();
    for id in ids.iter().filter(|id| !known.contains(id.as_str())) {
        remove(inner, id);
    }
}

/// Removes the spare tree of an entry; those who may still read it keep it for that time.
pub(super) fn remove(inner: &Inner, entry_id: &str) {
    let place = place(inner, entry_id);
    let Ok(retired) = Retired::read(&place) else {
        return;
    };
    let now = Moment::now();
    if retired.is_some_and(|retired| retired.may_be_read(&inner.root, inner.config.grace, &now)) {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let _ = fs::rename(&place, inner.root.own("trash").join(id));
    } else {
        drop(unread(inner, &place));
    }
}

/// As [`remove`], before the time of its readers is over, if nobody uses it. Its caller has the entry's lease.
pub(super) fn remove_unused(inner: &Inner, entry_id: &str) {
    let place = place(inner, entry_id);
    match is_used(
        inner,
        &place,
        Of::Entry(entry_id),
        &Readers::new(&inner.root),
    ) {
        true => remove(inner, entry_id),
        false => drop(unread(inner, &place)),
    }
}

/// What the spare trees of these entries take that somebody uses, and that stay where room is needed.
pub(super) fn used_bytes(inner: &Inner, entries: &[EntryRecord], readers: &Readers) -> u64 {
    let is_there = |entry: &&EntryRecord| entry.kept.spare_bytes > 0;
    let used = entries.iter().filter(is_there).filter(|entry| {
        let place = place(inner, &entry.kept.id);
        is_used(inner, &place, Of::All, readers)
    });
    used.map(|entry| entry.kept.spare_bytes)
        .fold(0, u64::saturating_add)
}

fn is_used(inner: &Inner, place: &Path, of: Of<'_>, readers: &Readers) -> bool {
    let used = |retired: Retired| retired.user(place, of, inner, readers);
    Retired::read(place).map_or(true, |retired| retired.and_then(used).is_some())
}

/// Moves a spare tree to where it is removed in the end.
fn unread(inner: &Inner, place: &Path) -> Option<Spare> {
    // Most entries have none.
    fs::symlink_metadata(place).ok()?;
    let staging = Staging::take(&inner.root, place).ok()??;
    Some(Spare {
        tree: staging.tree(),
        _staging: staging,
    })
}

fn place(inner: &Inner, entry_id: &str) -> PathBuf {
    inner.root.own("spares").join(entry_id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::CallOptions;
    use super::super::staging::sweep;
    use super::super::test_world::TestWorld;
    use super::*;

    #[test]
    fn a_tree_for_which_there_is_no_room_stays_as_long_as_its_entry_is_leased() {
        let mut world = TestWorld::new();
        world.inner.config.grace = Duration::ZERO;
        world.inner.config.max_bytes = 0;
        let lease = world.cache.lease("remote", &CallOptions::default());
        let staging = Staging::new(&world.inner.root).unwrap();
        fs::create_dir(staging.tree()).unwrap();
        let retired = Retired {
            since: Moment::now(),
            entry_id: world.record().kept.id,
            weight: 1.into(),
        };
        staging.intend(&retired, &()).unwrap();
        keep(&world.inner, &mut world.record(), staging, 1);
        let trash = world.inner.root.own("trash");
        let clean_up = || {
            // Older than no time at all.
            std::thread::sleep(Duration::from_millis(2));
            sweep(&world.inner.root, Duration::ZERO);
            fs::read_dir(&trash).unwrap().count()
        };
        assert_eq!(clean_up(), 1);
        drop(lease.unwrap());
        assert_eq!(clean_up(), 0);
    }
}
