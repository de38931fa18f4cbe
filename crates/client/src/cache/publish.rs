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
use super::trash::Weight;
use super::{CacheError, note, spare};

/// What becomes of a tree that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// It stays for what the next one has in common with it.
    Spare,
    /// It stays as long as it may be read. It has so many bytes of files in common with the new one, by hard links.
    Read { shared_bytes: u64 },
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
            // For a spare one too: it may become one that is read, or cannot be kept as such.
            let shared_bytes = match old {
                Old::Spare => 0,
                Old::Read { shared_bytes } => shared_bytes,
            };
            let weight = Weight::sharing(record.tree_bytes, shared_bytes);
            let staging = replace(inner, record, staging, at_place, weight)?;
            match old {
                Old::Spare => spare::keep(inner, record, staging, next.bytes),
                // Somebody may have the entry's lease, however short the time is that others get.
                Old::Read { .. } => staging.retire(),
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

/// Removes an entry that nobody uses and that has no checkouts; `false`: it stays as it is. Its caller has the entry's lock, and
/// sees to the mirrors that only it needed.
pub(super) fn evict(inner: &Inner, record: &EntryRecord) -> Result<bool, CacheError> {
    let lease = inner.root.lock("lease", &record.kept.id);
    let Some(unused) = FileLock::try_take(&lease, Sharing::Exclusive)? else {
        return Ok(false);
    };
    let is_empty = checkouts_of(inner, record, &unused)?.is_empty();
    if is_empty {
        remove(inner, record, &unused)?;
    }
    Ok(is_empty)
}

/// Removes an entry with its tree and its checkouts. Its caller has the entry's lock and, alone, its lease, and sees to the mirrors
/// that only it needed and to its replaced trees.
pub(super) fn remove(
    inner: &Inner,
    record: &EntryRecord,
    unused: &FileLock,
) -> Result<(), CacheError> {
    for id in &checkouts_of(inner, record, unused)? {
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
    drop(staging);
    Ok(())
}

/// The checkouts of an entry. Who makes one has its lease, so that there are no more of them while somebody has that alone.
fn checkouts_of(
    inner: &Inner,
    record: &EntryRecord,
    _unused: &FileLock,
) -> Result<Vec<String>, CacheError> {
    let all = inner.index.checkouts()?.into_iter();
    let of_entry = all.filter(|(_, checkout)| checkout.entry_id == record.kept.id);
    Ok(of_entry.map(|(id, _)| id).collect())
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
        world.cache.remove("remote", &call).unwrap();
        assert!(!checkout.path.exists() && world.cache.get("remote").is_err());
    }
}
