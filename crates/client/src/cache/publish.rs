//! Putting a tree at its place, and taking it away.
//!
//! Only what the cache put at a place is ever moved from there. A folder that somebody else put in the place of a tree is
//! left alone: nothing takes its place, and it stays when the entry is removed.
//!
//! A tree that is there already changes places with the new one ([`replace`](super::replace)), so that whoever opens a path sees
//! the old tree or the new.
//!
//! Before that the catalog notes which tree is about to come, and afterwards that it came. Whoever finds only the note
//! looks which of the two trees is there.

use std::fs;

use super::folder::manifest_path;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::record::{EntryRecord, TreeRecord};
use super::replace::{put, replace};
use super::seal::seal_path;
use super::staging::Staging;
use super::state::{Found, tree_at, tree_to_move};
use super::trash::Of;
use super::{CacheError, note, room, spare, trash};

/// What becomes of a tree that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// It stays for what the next one has in common with it.
    Spare,
    /// It stays as long as it may be read.
    Read,
}

/// Puts the tree in `staging` at the entry's place. Its caller has the entry's lock.
pub(super) fn publish(
    inner: &Inner,
    record: &mut EntryRecord,
    staging: Staging,
    next: TreeRecord,
    old: Old,
) -> Result<(), CacheError> {
    settle(inner, record);
    let place = inner.root.tree(&record.name);
    let at_place = tree_to_move(&inner.root, record)?;
    record.kept.next = Some(next.clone());
    inner.index.update(record)?;
    note::of_entry(&inner.root, record, &staging);
    match at_place {
        Some(at_place) => {
            let staging = replace(inner, record, staging, at_place)?;
            match old {
                Old::Spare => spare::keep(inner, record, staging, next.bytes),
                // Somebody may have the entry's lease, however short the time is that others get.
                Old::Read => staging.retire(),
            }
        }
        None => put(&staging.tree(), &place)?,
    }
    record.tree_bytes = next.bytes;
    record.kept.next = None;
    if let Some(old) = record.kept.tree.replace(next)
        && Some(&old.id) != record.kept.tree.as_ref().map(|new| &new.id)
    {
        forget_manifest(inner, &old);
    }
    Ok(())
}

/// Makes what a killed process left undone a part of the record: the tree that it put there, if it did.
pub(super) fn settle(inner: &Inner, record: &mut EntryRecord) {
    let Some(next) = record.kept.next.clone() else {
        return;
    };
    let is_there = matches!(
        tree_at(&inner.root, record),
        Found::Tree(found) if *found == next
    );
    record.kept.next = None;
    let lost = match is_there {
        true => {
            record.tree_bytes = next.bytes;
            record.kept.tree.replace(next)
        }
        false => Some(next),
    };
    if let Some(lost) = lost {
        forget_manifest(inner, &lost);
    }
}

/// Removes an entry with its tree and its checkouts, and the mirrors that only it needs. Its caller has the entry's lock.
///
/// An entry in use stays as it is, and `false` says so.
pub(super) fn remove(inner: &Inner, record: &EntryRecord) -> Result<bool, CacheError> {
    remove_with(inner, record, Checkouts::Go)
}

/// As [`remove`], but an entry that has checkouts stays too.
pub(super) fn evict(inner: &Inner, record: &EntryRecord) -> Result<bool, CacheError> {
    remove_with(inner, record, Checkouts::Stay)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkouts {
    Go,
    Stay,
}

fn remove_with(
    inner: &Inner,
    record: &EntryRecord,
    checkouts: Checkouts,
) -> Result<bool, CacheError> {
    let lease = inner.root.lock("lease", &record.kept.id);
    let Some(_unused) = FileLock::try_take(&lease, Sharing::Exclusive)? else {
        return Ok(false);
    };
    // Who makes one has the lease, so that there are no more of them from here on.
    let mut of_entry = inner.index.contents()?.checkouts;
    of_entry.retain(|(_, checkout)| checkout.entry_id == record.kept.id);
    if checkouts == Checkouts::Stay && !of_entry.is_empty() {
        return Ok(false);
    }
    for (id, _) in &of_entry {
        remove_checkout(inner, id)?;
    }
    let place = inner.root.tree(&record.name);
    let staging = match tree_to_move(&inner.root, record) {
        Ok(Some(_)) => Staging::take(&inner.root, &place)?,
        // Whoever put something else there may still want it.
        Ok(None) | Err(_) => None,
    };
    let staging = forget(staging, || inner.index.remove(&record.name))?.1;
    note::forget(&inner.root, &record.kept.id);
    for tree in record.kept.tree.iter().chain(&record.kept.next) {
        forget_manifest(inner, tree);
    }
    spare::remove_unused(inner, &record.kept.id);
    // Whoever has it removed wants the room.
    let of_entry = Of::Entry(&record.kept.id);
    trash::empty(inner, of_entry, &|| Ok(false))?;
    drop(staging);
    room::drop_mirrors(inner)?;
    Ok(true)
}

/// Removes a checkout with its files.
pub(super) fn remove_checkout(inner: &Inner, id: &str) -> Result<bool, CacheError> {
    let place = inner.root.own("checkouts").join(id);
    let staging = Staging::take(&inner.root, &place)?;
    let was_there = staging.is_some();
    let (removed, staging) = forget(staging, || inner.index.remove_checkout(id))?;
    note::forget(&inner.root, id);
    drop(staging);
    Ok(removed || was_there)
}

/// Takes out of the catalog what was taken away. Where the disk is too full even for that, the files go first.
fn forget(
    taken: Option<Staging>,
    remove: impl Fn() -> Result<bool, CacheError>,
) -> Result<(bool, Option<Staging>), CacheError> {
    match remove() {
        Err(CacheError::NoSpace { .. }) if taken.is_some() => {
            drop(taken);
            Ok((remove()?, None))
        }
        removed => Ok((removed?, taken)),
    }
}

fn forget_manifest(inner: &Inner, tree: &TreeRecord) {
    // Not all trees have both, and one too many does no harm.
    let manifests = inner.root.own("manifests");
    let _ = fs::remove_file(manifest_path(&manifests, &tree.id));
    let _ = fs::remove_file(seal_path(&manifests, &tree.id));
}

#[cfg(test)]
mod tests {
    use super::super::CallOptions;
    use super::super::test_world::TestWorld;
    use super::*;

    #[test]
    fn an_entry_that_got_a_checkout_after_it_was_chosen_to_go_stays() {
        let world = TestWorld::new();
        let chosen = world.record();
        let call = CallOptions::default();
        let checkout = world.cache.checkout("remote", "main", &call).unwrap();
        assert!(!evict(&world.inner, &chosen).unwrap());
        assert!(checkout.path.exists() && world.cache.get("remote").is_ok());
        // Whoever removes it himself knows what he does.
        assert!(remove(&world.inner, &chosen).unwrap());
        assert!(!checkout.path.exists() && world.cache.get("remote").is_err());
    }
}
