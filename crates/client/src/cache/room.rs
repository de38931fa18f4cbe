//! Keeping a cache within its limit.
//!
//! Sizes are those noted when a tree or mirror was made; nothing is measured again.

use std::collections::BTreeSet;
use std::fs;

use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::name::EntryName;
use super::publish;
use super::record::{Contents, EntryRecord};
use super::served_mark;
use super::staging::Staging;
use super::{CacheError, CallOptions};

/// What everything takes.
pub(super) fn total_bytes(contents: &Contents) -> u64 {
    let entries = contents.entries.iter().map(|entry| entry.tree_bytes);
    let mirrors = contents.mirrors.iter().map(|(_, mirror)| mirror.bytes);
    let checkouts = contents
        .checkouts
        .iter()
        .map(|(_, checkout)| checkout.bytes);
    entries.chain(mirrors).chain(checkouts).sum()
}

/// Sees to it that `more` bytes fit, by removing entries that were not used for longest. Those in use stay, and `keep`.
pub(super) fn make_room(
    inner: &Inner,
    keep: &EntryName,
    more: u64,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let max_bytes = inner.config.max_bytes;
    match shrink(inner, Some(keep), more, call)? {
        needed_bytes if needed_bytes <= max_bytes => Ok(()),
        needed_bytes => Err(CacheError::Full {
            name: keep.to_string(),
            needed_bytes,
            max_bytes,
        }),
    }
}

/// Sees to it that mirrors that have grown fit, as far as what is not in use makes room.
pub(super) fn make_room_for_mirrors(
    inner: &Inner,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    shrink(inner, None, 0, call).map(drop)
}

/// Removes what was not used for longest, entries and mirrors that are served, until `more` bytes fit; returns what
/// everything would take then.
fn shrink(
    inner: &Inner,
    keep: Option<&EntryName>,
    more: u64,
    call: &CallOptions<'_>,
) -> Result<u64, CacheError> {
    let max_bytes = inner.config.max_bytes;
    let mut contents = inner.index.contents()?;
    let needed_bytes = total_bytes(&contents).saturating_add(more);
    if needed_bytes <= max_bytes {
        return Ok(needed_bytes);
    }
    drop_mirrors(inner)?;
    let needed = || Ok::<_, CacheError>(total_bytes(&inner.index.contents()?).saturating_add(more));
    let mut candidates: Vec<EntryRecord> = std::mem::take(&mut contents.entries);
    candidates.sort_by_key(|entry| entry.accessed_ms);
    for candidate in candidates {
        call.check()?;
        evict_served(inner, candidate.accessed_ms, &needed)?;
        let needed_bytes = needed()?;
        if needed_bytes <= max_bytes {
            return Ok(needed_bytes);
        }
        if Some(&candidate.name) == keep {
            continue;
        }
        evict(inner, &candidate.name)?;
    }
    evict_served(inner, i64::MAX, &needed)?;
    needed()
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

/// Removes an entry that nobody is at work on.
fn evict(inner: &Inner, name: &EntryName) -> Result<(), CacheError> {
    let lock = inner.root.lock("entry", &name.lock_key());
    let Some(_lock) = FileLock::try_take(&lock, Sharing::Exclusive)? else {
        return Ok(());
    };
    if let Some(record) = inner.index.entry(name)? {
        publish::remove(inner, &record)?;
    }
    Ok(())
}

/// Removes mirrors that no entry and no checkout needs, and that nobody is using.
pub(super) fn drop_mirrors(inner: &Inner) -> Result<(), CacheError> {
    let contents = inner.index.contents()?;
    let served = served_mark::oldest_first(inner);
    let mut needed: BTreeSet<&str> = served.iter().map(|(_, key)| key.as_str()).collect();
    for entry in &contents.entries {
        let trees = entry.kept.tree.iter().chain(&entry.kept.next);
        needed.extend(trees.flat_map(|tree| tree.mirrors.iter().map(String::as_str)));
        needed.extend(entry.kept.mirror.as_deref());
    }
    for (_, checkout) in &contents.checkouts {
        needed.extend(checkout.mirrors.iter().map(String::as_str));
    }
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
        let place = inner.root.mirror(key);
        if fs::symlink_metadata(&place).is_ok() {
            let staging = Staging::new(&inner.root)?;
            fs::rename(&place, staging.tree()).map_err(CacheError::file(&place))?;
        }
        inner.index.remove_mirror(key)?;
    }
    Ok(())
}
