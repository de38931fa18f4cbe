//! Removing entries.

use std::path::Path;
use std::time::{Duration, Instant};

use super::inner::Inner;
use super::lock::{FileLock, Sharing, holder};
use super::name::EntryName;
use super::naming::find;
use super::record::EntryRecord;
use super::trash::{self, Of};
use super::{CacheError, CallOptions, Cleared, publish, room};

/// So long a removal waits for who is at work on the entry or has a lease of it; others may be for as long as they like.
const PATIENCE: Duration = Duration::from_secs(2);

/// So many entries are removed at once, each with the files of three locks open.
const AT_ONCE: usize = 64;

/// Removes an entry, and all that nothing else needs.
pub(super) fn remove(inner: &Inner, name: &str, call: &CallOptions<'_>) -> Result<(), CacheError> {
    let end = Instant::now() + PATIENCE;
    remove_until(inner, name, end, call, |entry_id| {
        // Whoever has it removed wants the room.
        trash::empty(inner, Of::Entry(entry_id), &|| Ok(u64::MAX)).map(drop)
    })?;
    room::drop_mirrors(inner)
}

/// Removes all entries that are not in use, and all that nothing else needs.
pub(super) fn clear(inner: &Inner, call: &CallOptions<'_>) -> Result<Cleared, CacheError> {
    let mut done = Cleared::default();
    let mut in_use = None;
    let mut busy = Vec::new();
    // Of a catalog with anything that cannot be read nothing is removed.
    for entries in inner.index.contents()?.entries.chunks(AT_ONCE) {
        done.removed += remove_free(inner, entries, &mut busy)?;
    }
    // Who waits for one entry lets all others go first.
    let end = Instant::now() + PATIENCE;
    for name in busy {
        // What else is theirs goes with that of all.
        match remove_until(inner, name.as_str(), end, call, |_| Ok(())) {
            Ok(()) => done.removed += 1,
            Err(CacheError::NotFound { .. }) => {}
            Err(error @ CacheError::InUse { .. }) => in_use = Some(error),
            Err(error) => return Err(error),
        }
    }
    for key in room::release_served(inner)? {
        let url = inner.index.mirror(&key)?.map(|mirror| mirror.url);
        let url = url.filter(|url| !url.is_empty()).unwrap_or(key);
        done.in_use
            .push(format!("the history of {url}: it is being served"));
    }
    done.in_use
        .extend(trash::empty(inner, Of::All, &|| Ok(u64::MAX))?);
    in_use.map_or(Ok(done), Err)
}

/// Removes those of these entries that nobody is at work on or has a lease of, and says how many; others are `busy`.
fn remove_free(
    inner: &Inner,
    entries: &[EntryRecord],
    busy: &mut Vec<EntryName>,
) -> Result<u64, CacheError> {
    let (mut locks, mut names) = (Vec::new(), Vec::new());
    for EntryRecord { name, .. } in entries {
        let lock = inner.root.lock("entry", &name.lock_key());
        match FileLock::try_take(&lock, Sharing::Exclusive)? {
            Some(lock) => {
                locks.push(lock);
                names.push(name);
            }
            None => busy.push(name.clone()),
        }
    }
    let mut free = Vec::new();
    // As they are now that nobody is at work on them.
    for record in inner.index.entries(&names)? {
        let lease = inner.root.lock("lease", &record.kept.id);
        match FileLock::try_take(&lease, Sharing::Exclusive)? {
            Some(unused) => free.push((record, unused)),
            None => busy.push(record.name),
        }
    }
    let free: Vec<_> = free
        .iter()
        .map(|(record, unused)| (record, unused))
        .collect();
    publish::remove(inner, &free)?;
    inner.index.reserve.put_by();
    Ok(free.len() as u64)
}

/// Removes an entry, and what `rest` removes of the one of this id while nobody else has its lease.
fn remove_until(
    inner: &Inner,
    name: &str,
    end: Instant,
    call: &CallOptions<'_>,
    rest: impl FnOnce(&str) -> Result<(), CacheError>,
) -> Result<(), CacheError> {
    let not_found = || CacheError::NotFound {
        name: name.to_owned(),
    };
    let name = EntryName::parse(name).map_err(|_| not_found())?;
    let root = &inner.root;
    let in_use = |lock: &Path, how: &str| CacheError::InUse {
        name: name.to_string(),
        by: match holder(lock) {
            Some(pid) => format!("process {pid} {how}"),
            None => format!("another process {how}"),
        },
    };
    let lock = root.lock("entry", &name.lock_key());
    let _lock = match FileLock::take_until(&lock, Sharing::Exclusive, end, call) {
        Ok(Some(lock)) => lock,
        // What is not there is nobody's to wait for, and need not have a lock.
        refused => {
            find(inner, name.as_str())?;
            refused?;
            return Err(in_use(&lock, "is bringing it up to date"));
        }
    };
    let record = find(inner, name.as_str())?;
    let lease = root.lock("lease", &record.kept.id);
    let Some(unused) = FileLock::take_until(&lease, Sharing::Exclusive, end, call)? else {
        return Err(in_use(&lease, "has a lease of it"));
    };
    publish::remove(inner, &[(&record, &unused)])?;
    let rest = rest(&record.kept.id);
    inner.index.reserve.put_by();
    rest
}
