//! Keeping a cache within its limit.
//!
//! What always holds:
//! - sizes are those noted when a tree or mirror was made; nothing is measured again;
//! - no entry is removed for something that would not fit even then;
//! - an entry that is leased, has checkouts, or has a process in its tree stays, and so do mirrors that are being read, and
//!   replaced trees that somebody uses;
//! - what nobody needs goes first: mirrors without an entry, replaced trees, spare ones;
//! - mirrors that are served make room for each other, and never cause an entry to go.

use std::collections::BTreeSet;
use std::fs;

use packhouse_object::ReceiveError;

use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::name::EntryName;
use super::publish;
use super::readers::Readers;
use super::record::{CheckoutRecord, Contents, EntryRecord};
use super::served_mark;
use super::spare;
use super::staging::Staging;
use super::trash::Of;
use super::{CacheError, CallOptions, note, trash};
use crate::remote::{RemoteError, RemoteUrl};

/// What everything in the catalog takes.
fn total_bytes(contents: &Contents) -> u64 {
    let of_entry = |entry: &EntryRecord| entry.tree_bytes.saturating_add(entry.kept.spare_bytes);
    let entries = contents.entries.iter().map(of_entry);
    let mirrors = contents.mirrors.iter().map(|(_, mirror)| mirror.bytes);
    let checkouts = contents
        .checkouts
        .iter()
        .map(|(_, checkout)| checkout.bytes);
    entries.chain(mirrors).chain(checkouts).sum()
}

/// What the history of a mirror may come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// What it takes.
    pub(super) own_bytes: u64,
    /// What else stays where all goes that can.
    others_bytes: u64,
    max_bytes: u64,
}

/// What becomes of entries that are in nobody's use, where a history needs room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    MayGo,
    Stay,
}

impl Room {
    /// That of a mirror. Nothing is removed yet.
    pub(super) fn of_mirror(inner: &Inner, key: &str, others: Others) -> Result<Room, CacheError> {
        let mut contents = inner.index.contents()?;
        let mirrors = contents.mirrors.iter();
        let own = mirrors.filter(|(other, _)| other == key);
        let own_bytes = own.map(|(_, mirror)| mirror.bytes).sum();
        contents.mirrors.retain(|(other, _)| other != key);
        let readers = Readers::new(&inner.root);
        let mut staying = Vec::new();
        for entry in &contents.entries {
            if others == Others::Stay || stays(inner, &contents, entry, &readers)? {
                staying.push(entry);
            }
        }
        let spares = spare::used_bytes(inner, &contents.entries, &readers);
        let replaced_bytes = trash::used_bytes(inner, &readers).saturating_add(spares);
        Ok(Room {
            own_bytes,
            others_bytes: bytes_that_stay(inner, &contents, &staying, replaced_bytes)?,
            max_bytes: inner.config.max_bytes,
        })
    }

    /// For what comes to it.
    pub(super) fn more_bytes(&self) -> u64 {
        self.anew_bytes().saturating_sub(self.own_bytes)
    }

    /// For one that takes its place.
    pub(super) fn anew_bytes(&self) -> u64 {
        self.max_bytes.saturating_sub(self.others_bytes)
    }

    /// What comes of an error of a fetch that was limited to one of these.
    pub(super) fn explain(&self, url: &RemoteUrl, error: CacheError) -> CacheError {
        let limit = match &error {
            CacheError::Remote(error) => match **error {
                RemoteError::Receive(ReceiveError::PackTooLarge { limit }) => Some(limit),
                _ => None,
            },
            _ => None,
        };
        match limit {
            Some(limit) if limit == self.more_bytes() || limit == self.anew_bytes() => {
                CacheError::Full {
                    name: url.to_string(),
                    needed_bytes: self.others_bytes.max(self.max_bytes).saturating_add(1),
                    max_bytes: self.max_bytes,
                }
            }
            _ => error,
        }
    }
}

/// Sees to it that `more` bytes fit, by removing what was not used for longest. What is in use stays, and `keep`; where
/// that alone leaves no room, nothing is removed. A history that `has_grown` is here already: others make room for it if they
/// can.
pub(super) fn make_room(
    inner: &Inner,
    keep: &EntryName,
    more: u64,
    has_grown: bool,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let max_bytes = inner.config.max_bytes;
    let needed = || Ok::<_, CacheError>(inner.bytes()?.saturating_add(more));
    let full = |needed_bytes| match more {
        0 => Ok(()),
        _ => Err(CacheError::Full {
            name: keep.to_string(),
            needed_bytes,
            max_bytes,
        }),
    };
    if needed()? <= max_bytes {
        return Ok(());
    }
    drop_unneeded(inner, Some(keep), &needed)?;
    // What takes no more than it did is not in the way of anything; the tree that it replaces goes in its time.
    if (more == 0 && !has_grown) || needed()? <= max_bytes {
        return Ok(());
    }
    let contents = inner.index.contents()?;
    let mut candidates = Vec::new();
    let mut staying = Vec::new();
    let readers = Readers::new(&inner.root);
    for entry in &contents.entries {
        match entry.name == *keep || stays(inner, &contents, entry, &readers)? {
            true => staying.push(entry),
            false => candidates.push(entry),
        }
    }
    let spares = contents.entries.iter().map(|entry| entry.kept.spare_bytes);
    let is_staying = |id: &str| staying.iter().any(|entry| entry.kept.id == id);
    let trash_bytes = inner.trash_bytes_beside(&is_staying);
    let replaced_bytes = spares.fold(trash_bytes, u64::saturating_add);
    let least_bytes =
        bytes_that_stay(inner, &contents, &staying, replaced_bytes)?.saturating_add(more);
    if least_bytes > max_bytes {
        return full(least_bytes);
    }
    let now_ms = Moment::now().wall_ms;
    candidates.sort_by_key(|entry| age_rank(entry.accessed_ms, now_ms));
    for candidate in candidates {
        call.check()?;
        evict_served(inner, candidate.accessed_ms.min(now_ms), &needed)?;
        if needed()? <= max_bytes {
            return Ok(());
        }
        evict(inner, &candidate.name)?;
    }
    evict_served(inner, i64::MAX, &needed)?;
    match needed()? {
        needed_bytes if needed_bytes <= max_bytes => Ok(()),
        needed_bytes => full(needed_bytes),
    }
}

/// Sees to it that a served mirror that has grown fits, by removing other mirrors that are served, and never an entry.
/// One for which the entries leave no room is let go of itself: it goes once it is not read any more.
pub(super) fn make_room_for_mirror(inner: &Inner, key: &str) -> Result<(), CacheError> {
    let max_bytes = inner.config.max_bytes;
    let needed = || inner.bytes();
    if needed()? <= max_bytes {
        return Ok(());
    }
    drop_unneeded(inner, None, &needed)?;
    if needed()? <= max_bytes {
        return Ok(());
    }
    let mut contents = inner.index.contents()?;
    let mirrors = std::mem::take(&mut contents.mirrors);
    let of_entries = mirrors_of(&contents.entries, &contents.checkouts);
    let is_needed = of_entries.contains(key);
    let with_it = mirrors
        .iter()
        .filter(|(other, _)| other == key || of_entries.contains(other.as_str()));
    let mirror_bytes: u64 = with_it.map(|(_, mirror)| mirror.bytes).sum();
    let others = total_bytes(&contents).saturating_add(inner.trash_bytes());
    if others.saturating_add(mirror_bytes) > max_bytes {
        if !is_needed {
            served_mark::unmark(inner, key)?;
        }
        return Ok(());
    }
    evict_served(inner, i64::MAX, &needed)
}

/// Orders times of use, those first that are longest ago. One that is still to come is from before the clock was put back, and
/// so from before all that was noted since.
fn age_rank(used_ms: i64, now_ms: i64) -> (bool, i64) {
    // Somebody may have come since this moment was taken.
    const SOON_MS: i64 = 60_000;
    (used_ms <= now_ms.saturating_add(SOON_MS), used_ms)
}

/// Whether an entry is not to be evicted: it has checkouts, is leased, somebody is at work on it, or a process is seen in its
/// tree.
fn stays(
    inner: &Inner,
    contents: &Contents,
    entry: &EntryRecord,
    readers: &Readers,
) -> Result<bool, CacheError> {
    let mut checkouts = contents.checkouts.iter();
    if checkouts.any(|(_, checkout)| checkout.entry_id == entry.kept.id) {
        return Ok(true);
    }
    let name = entry.name.lock_key();
    for (what, key) in [("lease", entry.kept.id.as_str()), ("entry", name.as_str())] {
        let lock = inner.root.lock(what, key);
        if FileLock::try_take(&lock, Sharing::Exclusive)?.is_none() {
            return Ok(true);
        }
    }
    Ok(readers.is_in_tree(&inner.root.tree(&entry.name)))
}

/// What cannot be made room with: these entries, all checkouts, and the mirrors that they need or that are in use; and of
/// the trees that were replaced, and spare ones, so many bytes.
fn bytes_that_stay(
    inner: &Inner,
    contents: &Contents,
    staying: &[&EntryRecord],
    replaced_bytes: u64,
) -> Result<u64, CacheError> {
    let needed = mirrors_of(staying.iter().copied(), &contents.checkouts);
    let trees = staying.iter().map(|entry| entry.tree_bytes);
    let checkouts = contents.checkouts.iter();
    let mut bytes: u64 = trees
        .chain(checkouts.map(|(_, checkout)| checkout.bytes))
        .chain([replaced_bytes])
        .sum();
    for (key, mirror) in &contents.mirrors {
        let using = inner.root.lock("use", key);
        if needed.contains(key.as_str())
            || FileLock::try_take(&using, Sharing::Exclusive)?.is_none()
        {
            bytes = bytes.saturating_add(mirror.bytes);
        }
    }
    Ok(bytes)
}

/// The mirrors that these entries need, and all checkouts.
fn mirrors_of<'a>(
    entries: impl IntoIterator<Item = &'a EntryRecord>,
    checkouts: &'a [(String, CheckoutRecord)],
) -> BTreeSet<&'a str> {
    let mut needed = BTreeSet::new();
    for entry in entries {
        let trees = entry.kept.tree.iter().chain(&entry.kept.next);
        needed.extend(trees.flat_map(|tree| tree.mirrors.iter().map(String::as_str)));
        needed.extend(entry.kept.mirror.as_deref());
    }
    for (_, checkout) in checkouts {
        needed.extend(checkout.mirrors.iter().map(String::as_str));
    }
    needed
}

/// Removes mirrors that are served, were last used before this time, and are not being read, until there is room.
fn evict_served(
    inner: &Inner,
    before_ms: i64,
    needed: &dyn Fn() -> Result<u64, CacheError>,
) -> Result<(), CacheError> {
    for (used_ms, key) in served_mark::oldest_first(inner) {
        if used_ms >= before_ms || needed()? <= inner.config.max_bytes {
            return Ok(());
        }
        if served_mark::release(inner, &key)? {
            drop_mirrors(inner)?;
        }
    }
    Ok(())
}

/// Removes trees that were replaced and that nobody uses, as far as the cache takes more than it may.
pub(super) fn trim(inner: &Inner) -> Result<(), CacheError> {
    let excess = || Ok(inner.bytes()?.saturating_sub(inner.config.max_bytes));
    if excess()? > 0 {
        trash::empty(inner, Of::All, &excess)?;
    }
    Ok(())
}

/// Removes what no entry needs and nobody uses, until there is room.
fn drop_unneeded(
    inner: &Inner,
    keep: Option<&EntryName>,
    needed: &dyn Fn() -> Result<u64, CacheError>,
) -> Result<(), CacheError> {
    drop_mirrors(inner)?;
    let excess = || Ok(needed()?.saturating_sub(inner.config.max_bytes));
    trash::empty(inner, Of::All, &excess)?;
    drop_spares(inner, keep, needed)
}

/// Removes trees that are kept for what the next ones have in common with them, until there is room. That of `keep` is
/// left to whoever has its lock.
fn drop_spares(
    inner: &Inner,
    keep: Option<&EntryName>,
    needed: &dyn Fn() -> Result<u64, CacheError>,
) -> Result<(), CacheError> {
    let (entries, _) = inner.entries()?;
    let goes = |entry: &&EntryRecord| entry.kept.spare_bytes > 0 && Some(&entry.name) != keep;
    let mut entries: Vec<&EntryRecord> = entries.iter().filter(goes).collect();
    let now_ms = Moment::now().wall_ms;
    entries.sort_by_key(|entry| age_rank(entry.accessed_ms, now_ms));
    for entry in entries {
        if needed()? <= inner.config.max_bytes {
            return Ok(());
        }
        let lock = inner.root.lock("entry", &entry.name.lock_key());
        let Some(_lock) = FileLock::try_take(&lock, Sharing::Exclusive)? else {
            continue;
        };
        if let Some(mut record) = inner.index.entry(&entry.name)?
            && spare::free(inner, &mut record)
        {
            inner.index.update_times(&record)?;
        }
    }
    Ok(())
}

/// Removes an entry that nobody uses or is at work on.
fn evict(inner: &Inner, name: &EntryName) -> Result<(), CacheError> {
    let lock = inner.root.lock("entry", &name.lock_key());
    let Some(_lock) = FileLock::try_take(&lock, Sharing::Exclusive)? else {
        return Ok(());
    };
    // Somebody may have come to use it just now: then it stays.
    if let Some(record) = inner.index.entry(name)?
        && !Readers::new(&inner.root).is_in_tree(&inner.root.tree(name))
        && publish::evict(inner, &record)?
    {
        drop_mirrors(inner)?;
    }
    Ok(())
}

/// Lets go of all mirrors that are served and not being read. Returns the keys of those that are.
pub(super) fn release_served(inner: &Inner) -> Result<Vec<String>, CacheError> {
    let mut read = Vec::new();
    for (_, key) in served_mark::oldest_first(inner) {
        if !served_mark::release(inner, &key)? && served_mark::is_there(inner, &key) {
            read.push(key);
        }
    }
    drop_mirrors(inner)?;
    Ok(read)
}

/// Removes mirrors that no entry and no checkout needs, and that nobody is using.
pub(super) fn drop_mirrors(inner: &Inner) -> Result<(), CacheError> {
    let contents = inner.index.contents()?;
    let served = served_mark::oldest_first(inner);
    let mut needed = mirrors_of(&contents.entries, &contents.checkouts);
    needed.extend(served.iter().map(|(_, key)| key.as_str()));
    let mut there: BTreeSet<String> = contents
        .mirrors
        .iter()
        .map(|(key, _)| key.clone())
        .collect();
    // One that was put at its place just before its maker was killed is in no record.
    let folders = fs::read_dir(inner.root.own("mirrors"));
    for entry in folders.into_iter().flatten().flatten() {
        if let Some(key) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_suffix(".git"))
        {
            there.insert(key.to_owned());
        }
    }
    for key in there.iter().filter(|key| !needed.contains(key.as_str())) {
        let [using, changing] = ["use", "mirror"].map(|what| inner.root.lock(what, key));
        let Some(_using) = FileLock::try_take(&using, Sharing::Exclusive)? else {
            continue;
        };
        let Some(_changing) = FileLock::try_take(&changing, Sharing::Exclusive)? else {
            continue;
        };
        drop_mirror(inner, key)?;
    }
    Ok(())
}

/// Removes a mirror, unless somebody has come to need it after it was chosen. Its caller has both of its locks.
fn drop_mirror(inner: &Inner, key: &str) -> Result<(), CacheError> {
    let ((entries, _), checkouts) = (inner.entries()?, inner.index.checkouts()?);
    let is_needed = mirrors_of(entries.iter(), &checkouts).contains(key);
    if is_needed || served_mark::is_there(inner, key) {
        return Ok(());
    }
    drop(Staging::take(&inner.root, &inner.root.mirror(key))?);
    inner.index.remove_mirror(key)?;
    note::forget(&inner.root, key);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_world::TestWorld;
    use super::*;

    #[test]
    fn what_was_used_before_a_clock_was_put_back_was_used_before_all_that_came_since() {
        let now = 10_000_000;
        let mut used = [now - 1, now + 5, now + 3_600_000, now - 50, now + 7_200_000];
        used.sort_by_key(|used| age_rank(*used, now));
        let expected = [now + 3_600_000, now + 7_200_000, now - 50, now - 1, now + 5];
        assert_eq!(used, expected);
    }

    #[test]
    fn a_mirror_that_an_entry_came_to_need_after_it_was_chosen_to_go_stays() {
        let world = TestWorld::new();
        let key = world.record().kept.mirror.unwrap();
        let place = world.inner.root.mirror(&key);
        drop_mirror(&world.inner, &key).unwrap();
        assert!(place.is_dir() && world.inner.index.mirror(&key).unwrap().is_some());
        served_mark::make(&world.inner, &key).unwrap();
        let call = CallOptions::default();
        world.cache.remove("remote", &call).unwrap();
        drop_mirror(&world.inner, &key).unwrap();
        assert!(place.is_dir());
        assert!(served_mark::release(&world.inner, &key).unwrap());
        drop_mirror(&world.inner, &key).unwrap();
        assert!(!place.exists());
    }
}
