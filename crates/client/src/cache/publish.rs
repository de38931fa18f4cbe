//! Putting a tree at its place, and taking it away.
//!
//! Only what the cache put at a place is ever moved from there. A folder that somebody else put in the place of a tree is
//! left alone: nothing takes its place, and it stays when the entry is removed.
//!
//! A tree that is there already is exchanged in one step with the new one (`renameat2` with `RENAME_EXCHANGE`), so that
//! whoever opens a path sees the old tree or the new. Where a file system cannot do that, there is a moment between two
//! renames in which nothing is at the place; what is there is never a part of a tree.
//!
//! Before that the catalog notes which tree is about to come, and afterwards that it came. Whoever finds only the note
//! looks which of the two trees is there.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::folder::manifest_path;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::record::{EntryRecord, TreeRecord};
use super::seal::seal_path;
use super::staging::Staging;
use super::state::{Found, tree_at};
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
    let is_there = matches!(tree_at(&inner.root, record), Found::Tree(_));
    if !is_there && fs::symlink_metadata(&place).is_ok() {
        return Err(CacheError::Occupied { path: place });
    }
    record.kept.next = Some(next.clone());
    inner.index.update(record)?;
    note::of_entry(&inner.root, record, &staging);
    let new = staging.tree();
    match is_there {
        true => {
            let aside = staging.path().join("old");
            if let Err(error) = exchange(&new, &place, &aside) {
                keep_aside(staging, &aside, record);
                return Err(error);
            }
        }
        false => put(&new, &place)?,
    }
    // The new tree is at its place; that the old one cannot be kept is no failure.
    match old {
        Old::Spare if is_there => spare::keep(inner, record, staging, next.bytes),
        // Somebody may have the entry's lease, however short the time is that others get.
        Old::Read if is_there => {
            let _ = staging.retire(&Moment::now(), &record.kept.id, record.tree_bytes);
        }
        _ => {}
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
    let staging = match tree_at(&inner.root, record) {
        Found::Tree(_) => Staging::take(&inner.root, &place)?,
        // Whoever put something else there may still want it.
        Found::Nothing | Found::Unknown => None,
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

/// Puts a folder where nothing is.
fn put(new: &Path, place: &Path) -> Result<(), CacheError> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Err(CacheError::Occupied {
            path: place.to_owned(),
        }),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::rename(new, place).map_err(CacheError::file(place))
        }
        Err(error) => Err(CacheError::file(place)(error.into())),
    }
}

/// Lets two folders change places; `aside` is a name that may be used meanwhile.
fn exchange(new: &Path, place: &Path, aside: &Path) -> Result<(), CacheError> {
    match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            exchange_by_steps(new, place, aside).map_err(CacheError::file(place))
        }
        Err(error) => Err(CacheError::file(place)(error.into())),
    }
}

/// Keeps what could not be put back to its place: with the staging folder the last good copy would be removed.
fn keep_aside(staging: Staging, aside: &Path, record: &EntryRecord) {
    if fs::symlink_metadata(aside).is_ok() {
        let _ = staging.retire(&Moment::now(), &record.kept.id, record.tree_bytes);
    }
}

/// As [`exchange`]. What was at the place is there again if the new folder cannot be, or else it stays aside.
fn exchange_by_steps(new: &Path, place: &Path, aside: &Path) -> io::Result<()> {
    fs::rename(place, aside)?;
    if let Err(error) = fs::rename(new, place) {
        fs::rename(aside, place)?;
        return Err(error);
    }
    fs::rename(aside, new)
}

#[cfg(test)]
mod tests {
    use super::super::CallOptions;
    use super::super::test_world::TestWorld;
    use super::*;

    #[test]
    fn where_folders_cannot_be_exchanged_the_old_one_stays_if_the_new_one_cannot_come() {
        let folder = tempfile::tempdir().unwrap();
        let [new, place, aside] = ["new", "place", "aside"].map(|name| folder.path().join(name));
        fs::create_dir(&place).unwrap();
        fs::write(place.join("old"), "").unwrap();
        exchange_by_steps(&new, &place, &aside).unwrap_err();
        assert!(place.join("old").exists() && !aside.exists());
        fs::create_dir(&new).unwrap();
        exchange_by_steps(&new, &place, &aside).unwrap();
        assert!(!place.join("old").exists() && new.join("old").exists() && !aside.exists());
    }

    #[test]
    fn an_old_folder_that_cannot_be_put_back_either_is_not_removed() {
        let world = TestWorld::new();
        let record = world.record();
        let [there, gone] = ["there", "gone"].map(|name| {
            let staging = Staging::new(&world.inner.root).unwrap();
            let aside = staging.path().join("old");
            if name == "there" {
                fs::create_dir(&aside).unwrap();
                fs::write(aside.join("file"), "").unwrap();
            }
            let trash = world.inner.root.own("trash");
            let kept = trash.join(staging.path().file_name().unwrap());
            keep_aside(staging, &aside, &record);
            kept.join("old/file").exists()
        });
        assert!(there && !gone);
    }

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
