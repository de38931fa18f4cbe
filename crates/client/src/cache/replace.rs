//! Putting a tree in the place of another so that a kill at any moment, or a failure, loses neither.
//!
//! Before anything is moved, the file of the work says which tree of which entry is about to come ([`Intent`]). What always
//! holds:
//! - the old tree or the new one is at the place, or is put there by the next process ([`recover`]);
//! - a tree that was replaced stays for its readers as all of them do, whoever was killed and whatever failed;
//! - what somebody else put at the place just before is there again.
//!
//! Two folders change places in one step (`renameat2` with `RENAME_EXCHANGE`). Where a file system cannot do that, the old tree
//! goes aside, beside the new one, and there is a moment in which nothing is at the place.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::CacheError;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::name::EntryName;
use super::record::{EntryRecord, Identity, id, is_id};
use super::root::Root;
use super::staging::{Staging, ids, intent_of};
use super::state::{Found, tree_in};
use super::trash::{Retired, Weight};

/// The old tree, where it cannot be exchanged in one step with the new one.
const OLD: &str = "old";

/// So long a process that was killed takes at most to give up its locks, which it does one after the other.
const DYING: Duration = Duration::from_secs(2);

/// What is about to be done.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    name: EntryName,
    #[serde(deserialize_with = "id")]
    entry_id: String,
    /// The tree at the place.
    old: Identity,
    /// The one that comes there.
    new: Identity,
}

/// How far it has come: where tests stop the process, or have somebody come in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is noted.
    Intended,
    /// The trees are exchanged.
    Exchanged,
    /// The old tree is aside, and nothing at the place.
    Aside,
    /// The new tree is at the place.
    Placed,
}

/// Lets the tree in `staging` take the place of the entry's, which is `old`, and returns it with that. Its caller has the
/// entry's lock, and has noted in the record which tree comes.
///
/// On failure what was at the place is there, or is put there as soon as it can be.
pub(super) fn replace(
    inner: &Inner,
    record: &EntryRecord,
    staging: Staging,
    old: Identity,
    weight: Weight,
) -> Result<Staging, CacheError> {
    let new = staging.tree();
    let new = Identity::of(&new).ok_or(CacheError::Missing { path: new })?;
    let retired = Retired {
        since: Moment::now(),
        entry_id: record.kept.id.clone(),
        weight,
    };
    let intent = Intent {
        name: record.name.clone(),
        entry_id: record.kept.id.clone(),
        old,
        new,
    };
    staging.intend(&retired, &intent)?;
    reached(Step::Intended);
    match exchange(&inner.root, record, &staging) {
        Ok(()) => Ok(staging),
        Err(error) => {
            finish(inner, staging, &intent);
            Err(error)
        }
    }
}

fn exchange(root: &Root, record: &EntryRecord, staging: &Staging) -> Result<(), CacheError> {
    let (place, tree) = (root.tree(&record.name), staging.tree());
    let failed = CacheError::file(&place);
    let is_ours = |folder: &Path| matches!(tree_in(root, record, folder), Found::Tree(_));
    let occupied = || CacheError::Occupied {
        path: place.clone(),
    };
    match exchange_at_once(&tree, &place) {
        Ok(()) => {
            reached(Step::Exchanged);
            return match is_ours(&tree) {
                true => Ok(()),
                false => Err(occupied()),
            };
        }
        Err(error) if is_unsupported(error) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let aside = staging.path().join(OLD);
    fs::rename(&place, &aside).map_err(failed)?;
    reached(Step::Aside);
    if !is_ours(&aside) {
        return Err(occupied());
    }
    put(&tree, &place)?;
    reached(Step::Placed);
    // The new tree is at its place; the old one stays for its readers by either name.
    let _ = fs::rename(&aside, &tree);
    Ok(())
}

/// Puts a folder where nothing is.
pub(super) fn put(new: &Path, place: &Path) -> Result<(), CacheError> {
    let occupied = || CacheError::Occupied {
        path: place.to_owned(),
    };
    match renameat_with(CWD, new, CWD, place, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Err(occupied()),
        // It would take the place of an empty folder.
        Err(error) if is_unsupported(error) && is_there(place) => Err(occupied()),
        Err(error) if is_unsupported(error) => {
            fs::rename(new, place).map_err(CacheError::file(place))
        }
        Err(error) => Err(CacheError::file(place)(error.into())),
    }
}

fn exchange_at_once(new: &Path, place: &Path) -> rustix::io::Result<()> {
    #[cfg(test)]
    if probe::cannot_exchange() {
        return Err(Errno::INVAL);
    }
    renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE)
}

fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Finishes or undoes what processes were about to do that were killed. `held` is the entry whose lock the caller has; what is
/// about entries that somebody else is at work on is left to him.
pub(super) fn recover(inner: &Inner, held: Option<&EntryName>) {
    for id in ids(&inner.root) {
        let Some(intent) = Intent::read(&inner.root, &id) else {
            continue;
        };
        let key = intent.name.lock_key();
        let is_held = held.is_some_and(|name| name.lock_key() == key);
        let lock = || FileLock::try_take(&inner.root.lock("entry", &key), Sharing::Exclusive);
        let _lock = match is_held {
            true => None,
            false => match lock() {
                Ok(Some(lock)) => Some(lock),
                _ => continue,
            },
        };
        // Whoever does such a thing has the entry's lock: this one is dead, or about to be.
        let Some(staging) = Staging::of_dead(&inner.root, &id, Instant::now() + DYING) else {
            continue;
        };
        match Intent::read(&inner.root, &id) {
            Some(intent) => finish(inner, staging, &intent),
            None => staging.leave(),
        }
    }
}

/// Whether there is something to be finished before the folder of a piece of work may be removed.
pub(super) fn is_intended(root: &Root, id: &str) -> bool {
    is_id(id) && Intent::read(root, id).is_some()
}

impl Intent {
    fn read(root: &Root, id: &str) -> Option<Intent> {
        serde_json::from_slice(&intent_of(root, id).ok()?).ok()
    }
}

/// Finishes or undoes what was begun. Its caller has the entry's lock.
fn finish(inner: &Inner, staging: Staging, intent: &Intent) {
    let Ok(record) = inner.index.entry(&intent.name) else {
        return staging.leave();
    };
    let record = record.filter(|record| record.kept.id == intent.entry_id);
    let (place, tree) = (inner.root.tree(&intent.name), staging.tree());
    let aside = staging.path().join(OLD);
    let is_free = !is_there(&place);
    if is_there(&aside) {
        // An entry that is gone has no place; readers may have its tree open.
        if record.is_none() || !is_free {
            return staging.retire();
        }
        return match put(&aside, &place) {
            Ok(()) => drop(staging),
            Err(_) => staging.leave(),
        };
    }
    let found = Identity::of(&tree);
    let is_known = |record: &EntryRecord| {
        let found = tree_in(&inner.root, record, &tree);
        matches!(found, Found::Tree(_))
    };
    if !is_there(&tree) || found == Some(intent.new) {
        drop(staging);
    } else if found == Some(intent.old) || record.as_ref().is_some_and(is_known) {
        staging.retire();
    } else {
        // Somebody put it at the place just before.
        let has_new = Identity::of(&place) == Some(intent.new);
        let is_back = match is_free {
            true => put(&tree, &place).is_ok(),
            false => has_new && exchange_at_once(&tree, &place).is_ok(),
        };
        match is_back {
            true => drop(staging),
            false => staging.leave(),
        }
    }
}

#[cfg(not(test))]
fn reached(_: Step) {}

#[cfg(test)]
fn reached(step: Step) {
    probe::reached(step);
}

/// What tests do to a replacement in their thread.
#[cfg(test)]
pub(super) mod probe {
    use std::cell::{Cell, RefCell};

    use super::Step;

    type Hook = Box<dyn FnMut(Step)>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
        static CANNOT_EXCHANGE: Cell<bool> = const { Cell::new(false) };
    }

    pub(in super::super) fn set(cannot_exchange: bool, hook: impl FnMut(Step) + 'static) {
        CANNOT_EXCHANGE.set(cannot_exchange);
        HOOK.set(Some(Box::new(hook)));
    }

    pub(super) fn cannot_exchange() -> bool {
        CANNOT_EXCHANGE.get()
    }

    pub(super) fn reached(step: Step) {
        HOOK.with_borrow_mut(|hook| {
            if let Some(hook) = hook {
                hook(step);
            }
        });
    }
}

#[cfg(test)]
mod tests;
