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

use std::collections::HashSet;
use std::fs;

use super::folder::manifest_path;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::name::EntryName;
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
    let entries = [(record, &unused)];
    let is_empty = checkouts_of(inner, &entries)?.is_empty();
    if is_empty {
        remove(inner, &entries)?;
    }
    Ok(is_empty)
}

/// Removes entries with their trees and their checkouts. Its caller has their locks and, alone, their leases, and sees to the
/// mirrors that only they needed and to their replaced trees.
///
/// The catalog forgets all of them at once: each time takes longer than the rest. Where one cannot be removed, those before
/// it are.
pub(super) fn remove(
    inner: &Inner,
    entries: &[(&EntryRecord, &FileLock)],
) -> Result<(), CacheError> {
    for id in &checkouts_of(inner, entries)? {
        remove_checkout(inner, id)?;
    }
    let (mut taken, mut gone, mut done) = (Vec::new(), Vec::new(), Ok(()));
    for (record, _) in entries {
        let staging = match tree_to_move(&inner.root, record) {
            Ok(Some(_)) => Staging::take(&inner.root, &inner.root.tree(&record.name)),
            // Whoever put something else there may still want it.
            Ok(None) | Err(_) => Ok(None),
        };
        match staging {
            Ok(staging) => taken.extend(staging),
            Err(error) => {
                done = Err(error);
                break;
            }
        }
        gone.push(*record);
    }
    let names: Vec<&EntryName> = gone.iter().map(|record| &record.name).collect();
    let taken = forget(taken, || inner.index.remove_all(&names))?.1;
    for record in gone {
        note::forget(&inner.root, &record.kept.id);
        for tree in record.kept.tree.iter().chain(&record.kept.next) {
            forget_manifest(inner, tree);
        }
        spare::remove_unused(inner, &record.kept.id);
    }
    drop(taken);
    done
}

/// The checkouts of entries. Who makes one has its entry's lease, so that there are no more of them while somebody has that
/// alone.
fn checkouts_of(
    inner: &Inner,
    entries: &[(&EntryRecord, &FileLock)],
) -> Result<Vec<String>, CacheError> {
    let entries = entries.iter().map(|(record, _)| record.kept.id.as_str());
    let ids: HashSet<&str> = entries.collect();
    let all = inner.index.checkouts()?.into_iter();
    let of_them = all.filter(|(_, checkout)| ids.contains(checkout.entry_id.as_str()));
    Ok(of_them.map(|(id, _)| id).collect())
}

/// Removes a checkout with its files.
pub(super) fn remove_checkout(inner: &Inner, id: &str) -> Result<bool, CacheError> {
    let place = inner.root.own("checkouts").join(id);
    let taken: Vec<Staging> = Staging::take(&inner.root, &place)?.into_iter().collect();
    let was_there = !taken.is_empty();
    let (removed, taken) = forget(taken, || inner.index.remove_checkout(id))?;
    note::forget(&inner.root, id);
    drop(taken);
    Ok(removed || was_there)
}

/// Takes out of the catalog what was taken away. Where the disk is too full even for that, the files go first.
fn forget<T>(
    taken: Vec<Staging>,
    remove: impl Fn() -> Result<T, CacheError>,
) -> Result<(T, Vec<Staging>), CacheError> {
    match remove() {
        Err(CacheError::NoSpace { .. }) if !taken.is_empty() => {
            drop(taken);
            Ok((remove()?, Vec::new()))
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
