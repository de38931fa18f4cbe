//! Ref transactions: compare under the locks, then move.
//!
//! What always holds:
//! - a ref moves only while its lock file is ours, after its value was compared under that lock;
//! - one ref moves by renaming its lock over its file; several move together by replacing `packed-refs`,
//!   so that no crash and no reader finds half of a transaction;
//! - a file of a ref that `packed-refs` is to speak for is gone for good before `packed-refs` changes.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_object::{Database, ObjectId, RefName};

use super::advance;
use super::durable::{
    remove_empty_parents, remove_empty_tree, remove_file, sync_file_system, sync_folder,
};
use super::error::DirectoryError;
use super::lock::{NotLocked, lock_path};
use super::loose_refs::RawRef;
use super::packed_refs::{PackedRefs, packed_refs_path};
use super::packed_text::{PackedRef, Peeled, write_entries};
use super::patience::Patience;
use super::ref_locks::{LockedRefs, conflict, first_matching, names_above};
use super::ref_log::{Moment, Move};
use super::ref_store::RefStore;
use super::side_by_side::{Job, sync_side_by_side};
use crate::change::RefEdit;
use crate::error::RepoError;
use crate::view::peeled;

/// Who moves refs, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mover<'a> {
    pub(super) who: &'a str,
    pub(super) at: Moment,
    /// The steps of the one edit that is made, each a line of the reflog; none if an edit is a step.
    pub(super) way: &'a [advance::Step],
}

impl<'a> Mover<'a> {
    /// The lines of the reflog for a ref that goes this way from `old` on.
    pub(super) fn lines(&self, old: Option<ObjectId>) -> Vec<Move<'a>> {
        let mut old = old;
        let line = |step: &'a advance::Step| Move {
            old: old.replace(step.new),
            new: Some(step.new),
            who: self.who,
            message: &step.message,
            at: self.at,
        };
        self.way.iter().map(line).collect()
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every edit is made, durably.
    Moved,
    /// A ref was not where its edit expected it. Nothing is changed.
    Stale,
}

/// The most reflogs that are made durable one by one. More cost less when all that the file system has not written yet
/// is written at once.
const SYNCED_LOGS_MAX: usize = 32;

/// An edit whose place is known and that changes something.
struct Step<'a> {
    name: &'a RefName,
    through: &'a [BString],
    edit: &'a RefEdit,
}

impl LockedRefs<'_> {
    /// Makes all edits or none. The objects they name are in `database` and are durable.
    pub(super) fn commit(
        self,
        edits: &[RefEdit],
        mover: Mover<'_>,
        database: &Database,
    ) -> Result<Outcome, RepoError> {
        let outcome = self.commit_if(edits, mover, database, &mut || true)?;
        Ok(outcome.expect("nobody objects"))
    }

    /// As [`LockedRefs::commit`], if `agreed` says so when nothing else is in the way; `None`: it does not, and nothing
    /// is changed.
    pub(super) fn commit_if(
        mut self,
        edits: &[RefEdit],
        mover: Mover<'_>,
        database: &Database,
        agreed: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Outcome>, RepoError> {
        let routes = std::mem::take(&mut self.routes);
        let packed = self.store.packed()?;
        let mut steps = Vec::new();
        let mut places = BTreeSet::new();
        for edit in edits {
            let route = &routes[&edit.name];
            if !places.insert(&route.name) {
                return Err(DirectoryError::EditedTwice {
                    name: route.name.to_string(),
                }
                .into());
            }
            if self.current(&route.name, &packed)? != edit.old {
                return Ok(Some(Outcome::Stale));
            }
            if edit.old != edit.new || self.is_symbolic(&route.name)? {
                steps.push(Step {
                    name: &route.name,
                    through: &route.through,
                    edit,
                });
            }
        }
        steps.sort_unstable_by_key(|step| step.name);
        self.check_conflicts(&steps, &packed)?;
        if !agreed() {
            return Ok(None);
        }
        match &steps[..] {
            [] => {}
            [
                Step {
                    edit:
                        RefEdit {
                            new: Some(target), ..
                        },
                    ..
                },
            ] => self.move_one(&steps[0], *target, mover)?,
            steps => self.move_all(steps, &packed, mover, database)?,
        }
        Ok(Some(Outcome::Moved))
    }

    /// Where a ref is that is locked.
    pub(super) fn current(
        &self,
        name: &RefName,
        packed: &PackedRefs,
    ) -> Result<Option<ObjectId>, DirectoryError> {
        match self.store.raw(name.as_bstr())? {
            Some(RawRef::Id(id)) => Ok(Some(id)),
            None => Ok(packed.get(name.as_bstr()).map(|entry| entry.target)),
            // One that is to be followed was, before it was locked.
            Some(RawRef::Symbolic(_)) => self.store.target(name),
            Some(RawRef::Broken) => {
                let reason = "it does not name an object".to_owned();
                Err(DirectoryError::Damaged {
                    path: self.store.path(name.as_bstr()),
                    reason,
                })
            }
        }
    }

    fn is_symbolic(&self, name: &RefName) -> Result<bool, DirectoryError> {
        let raw = self.store.raw(name.as_bstr())?;
        Ok(matches!(raw, Some(RawRef::Symbolic(_))))
    }

    /// No ref may be called `a` while another, old or new, is called `a/b`. As in Git, this holds even
    /// if the transaction deletes one of them.
    fn check_conflicts(
        &self,
        steps: &[Step<'_>],
        packed: &PackedRefs,
    ) -> Result<(), DirectoryError> {
        let names: BTreeSet<&[u8]> = steps.iter().map(|step| step.name.as_bytes()).collect();
        for step in steps.iter().filter(|step| step.edit.old.is_none()) {
            let name = step.name.as_bstr();
            for above in names_above(name) {
                if names.contains(above.as_bytes())
                    || packed.get(above).is_some()
                    || self.store.raw(above)?.is_some()
                {
                    return Err(conflict(name, above));
                }
            }
            let below = [name.as_bytes(), b"/"].concat();
            if let Some(existing) = names
                .range(&below[..]..)
                .next()
                .filter(|existing| existing.starts_with(&below))
            {
                return Err(conflict(name, existing.as_bstr()));
            }
            if let Some(existing) = packed.first_below(&below) {
                return Err(conflict(name, existing.name.as_bstr()));
            }
            let path = self.store.path(name);
            if self.store.is_top_folder(&path) {
                return Err(conflict(name, below.as_bstr()));
            }
            if let Some(existing) = path.is_dir().then(|| first_ref(&path)).flatten() {
                let existing = existing
                    .strip_prefix(self.store.folder_with(&existing))
                    .unwrap_or(&existing);
                return Err(conflict(
                    name,
                    existing.to_string_lossy().as_bytes().as_bstr(),
                ));
            }
        }
        Ok(())
    }

    fn move_one(
        &mut self,
        step: &Step<'_>,
        target: ObjectId,
        mover: Mover<'_>,
    ) -> Result<(), DirectoryError> {
        let mut lock = self
            .locks
            .remove(step.name.as_bstr())
            .expect("every route's ref is locked");
        let content = format!("{target}\n");
        match self.store.durable {
            true => lock.write(content.as_bytes())?,
            false => lock.write_unsynced(content.as_bytes())?,
        }
        self.log(std::slice::from_ref(step), mover)?;
        let path = lock.path().to_owned();
        if path.is_dir() {
            // Empty folders of refs that are gone; if one was just made there, the renaming fails.
            let _ = remove_empty_tree(&path);
        }
        let moving = self.store.moving.write();
        let replaced = lock.rename();
        drop(moving);
        let replaced = replaced.and_then(|()| match (self.store.durable, path.parent()) {
            (true, Some(folder)) => sync_folder(folder),
            _ => Ok(()),
        });
        replaced.map_err(DirectoryError::io("replace", &path))
    }

    fn move_all(
        &mut self,
        steps: &[Step<'_>],
        packed: &PackedRefs,
        mover: Mover<'_>,
        database: &Database,
    ) -> Result<(), RepoError> {
        let store = self.store;
        let loose: Vec<&Step<'_>> = steps
            .iter()
            .filter(|step| is_ref_file(&store.path(step.name.as_bstr())))
            .collect();
        let in_packed_refs =
            |step: &Step<'_>| step.edit.new.is_some() || packed.get(step.name.as_bstr()).is_some();
        if steps.len() == 1 && !in_packed_refs(&steps[0]) {
            let _moving = store.moving.write();
            self.log(steps, mover)?;
            remove_loose(store, &loose, store.durable)?;
            return Ok(self.forget_deleted(steps)?);
        }

        let path = packed_refs_path(&store.git_dir);
        let mut patience = Patience::new(store.packed_lock_timeout);
        let lock = match store.take_lock(&path, &mut patience) {
            Ok(lock) => lock,
            Err(NotLocked::Error(error)) => return Err(error.into()),
            Err(NotLocked::FileInTheWay) => {
                return Err(
                    DirectoryError::io("lock", &path)(ErrorKind::NotADirectory.into()).into(),
                );
            }
        };
        // Nobody else replaces the file from here on; it may have been replaced since it was read.
        let packed = store.packed()?;
        let after = |step: &Step<'_>,
                     value: Option<ObjectId>|
         -> Result<(BString, Option<PackedRef>), RepoError> {
            let name = step.name.as_bstr().to_owned();
            let entry = value.map(|target| {
                Ok::<_, RepoError>(PackedRef {
                    name: name.clone(),
                    target,
                    peeled: peel(database, target)?,
                })
            });
            Ok((name, entry.transpose()?))
        };
        // One ref that is deleted has its value until its file is gone, whatever `packed-refs` says.
        let alone = steps.len() == 1;
        let kept = loose.iter().filter(|_| !alone).filter(|step| {
            packed.get(step.name.as_bstr()).map(|entry| entry.target) != step.edit.old
        });
        let kept: Vec<_> = kept
            .map(|step| after(step, step.edit.old))
            .collect::<Result<_, _>>()?;
        let changes: Vec<_> = steps
            .iter()
            .map(|step| after(step, step.edit.new))
            .collect::<Result<_, _>>()?;
        let with_peeled = |mut entries: Vec<PackedRef>| -> Result<Vec<PackedRef>, RepoError> {
            for entry in entries
                .iter_mut()
                .filter(|entry| entry.peeled == Peeled::Unknown)
            {
                entry.peeled = peel(database, entry.target)?;
            }
            Ok(entries)
        };
        let merged = with_peeled(packed.merged(&changes))?;
        let written =
            write_entries(&mut lock.file(), &merged).and_then(|()| lock.file().sync_all());
        written.map_err(DirectoryError::io("write", &lock_path(&path)))?;

        // Up to here no ref moves: each has its value in one place before it has it no more in the other.
        if !kept.is_empty() {
            replace_keeping_lock(store, &path, &with_peeled(packed.merged(&kept))?)?;
        }
        if !alone {
            remove_loose(store, &loose, true)?;
        }
        self.log(steps, mover)?;
        let moving = store.moving.write();
        let replaced = lock.rename();
        drop(moving);
        replaced
            .and_then(|()| sync_folder(&store.git_dir))
            .map_err(DirectoryError::io("replace", &path))?;
        if alone {
            let _moving = store.moving.write();
            remove_loose(store, &loose, store.durable)?;
        }
        Ok(self.forget_deleted(steps)?)
    }

    /// Writes the reflogs of these moves.
    fn log(&self, steps: &[Step<'_>], mover: Mover<'_>) -> Result<(), DirectoryError> {
        let is_many = steps.len() > SYNCED_LOGS_MAX;
        let mut written = Vec::new();
        for step in steps {
            let RefEdit {
                old, new, message, ..
            } = step.edit;
            let entries = match mover.way {
                [] => vec![Move {
                    old: *old,
                    new: *new,
                    who: mover.who,
                    message,
                    at: mover.at,
                }],
                _ => mover.lines(*old),
            };
            let own = new.is_some().then(|| step.name.as_bstr());
            let through = step.through.iter().map(|name| name.as_bstr());
            for name in own.into_iter().chain(through) {
                let appended = self.store.logs.append(name, &entries)?;
                // Of many, none stays open.
                written.extend(appended.filter(|_| !is_many));
            }
        }
        match (self.store.durable, is_many) {
            (false, _) => Ok(()),
            (true, false) => sync_side_by_side(written.into_iter().map(Job::Log).collect()),
            (true, true) => {
                let folder = &self.store.git_dir;
                sync_file_system(folder).map_err(DirectoryError::io("sync", folder))
            }
        }
    }

    /// Removes the logs of refs that are deleted, and then, while nobody can make them anew, their locks and folders.
    fn forget_deleted(&mut self, steps: &[Step<'_>]) -> Result<(), DirectoryError> {
        for step in steps.iter().filter(|step| step.edit.new.is_none()) {
            self.store.logs.remove(step.name.as_bstr())?;
        }
        let paths: Vec<_> = steps
            .iter()
            .map(|step| self.store.path(step.name.as_bstr()))
            .collect();
        self.locks.clear();
        for path in paths {
            remove_empty_parents(&path, &self.store.folder_that_stays(&path));
        }
        Ok(())
    }
}

/// Whether a ref has a file, which may be a symbolic link to nothing.
fn is_ref_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| !file.is_dir())
}

/// Removes ref files. One that came back after a power cut, if this is not `durable`, would hide what `packed-refs` says.
fn remove_loose(
    store: &RefStore,
    steps: &[&Step<'_>],
    durable: bool,
) -> Result<(), DirectoryError> {
    let mut folders = BTreeSet::new();
    for step in steps {
        let path = store.path(step.name.as_bstr());
        remove_file(&path).map_err(DirectoryError::io("remove", &path))?;
        folders.extend(path.parent().map(Path::to_owned));
    }
    if !durable {
        return Ok(());
    }
    folders
        .iter()
        .try_for_each(|folder| sync_folder(folder).map_err(DirectoryError::io("sync", folder)))
}

/// Replaces `packed-refs` by a file of another name than its lock, which stays.
fn replace_keeping_lock(
    store: &RefStore,
    path: &Path,
    entries: &[PackedRef],
) -> Result<(), DirectoryError> {
    let folder = path.parent().unwrap_or(path);
    let failed = || DirectoryError::io("replace", path);
    let beside = path.with_extension("tmp");
    // Who holds the lock is the only one, so that what is there is left of one that was killed.
    remove_file(&beside).map_err(failed())?;
    let mut file = store.sharing.create_new(&beside).map_err(failed())?;
    let replaced = write_entries(&mut file, entries)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // The error says more than what is left.
        let _ = remove_file(&beside);
    }
    replaced.map_err(failed())?;
    sync_folder(folder).map_err(failed())
}

fn peel(database: &Database, target: ObjectId) -> Result<Peeled, RepoError> {
    Ok(peeled(database, target)?.map_or(Peeled::NoTag, Peeled::To))
}

/// A file anywhere below a folder that is no lock.
fn first_ref(folder: &Path) -> Option<PathBuf> {
    first_matching(folder, &|path| {
        path.extension().is_none_or(|suffix| suffix != "lock")
    })
}
