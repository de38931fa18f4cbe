//! What refs are moved to without bringing it: a commit that perhaps no other ref leads to, as one that a squash made, or
//! that a mirror stored in a step before.
//!
//! A collection that removes what is young may take it at any moment, before the move and, if it looked at the refs before
//! that, after it. A ref is never left on what is gone without an error.

use std::collections::BTreeSet;
use std::sync::Arc;

use packhouse_object::{
    Counted, FinishedPack, IdSet, ObjectId, ObjectKind, Pack, Wanted, count_objects, is_ancestor,
    repack,
};

use super::pack::{Told, of_read, of_write};
use super::taken_over::check_object;
use super::{NoProgress, Store, StoreError};
use crate::change::{Change, RefEdit};
use crate::directory::{DirectoryError, Symbolic};
use crate::error::RepoError;
use crate::given_up::unasked;
use crate::view::View;

/// What comes with a move of refs. It is seen to where it is stored: `directory/beside_gc.rs`.
#[derive(Default)]
pub(super) struct Brought {
    objects: IdSet,
    packs: Vec<Pack>,
}

impl Brought {
    fn of(packs: &[FinishedPack]) -> Result<Brought, StoreError> {
        let open = |finished: &FinishedPack| Pack::open(&finished.pack, &finished.idx);
        let packs: Result<_, _> = packs.iter().map(open).collect();
        Ok(Brought {
            objects: IdSet::default(),
            packs: packs.map_err(RepoError::from)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.packs.is_empty()
    }

    fn has(&self, id: &ObjectId) -> bool {
        self.objects.contains(id) || self.packs.iter().any(|pack| pack.lookup(id).is_some())
    }
}

impl Store {
    /// Moves a ref to a commit that has to be here, with all it reaches, and sees to it that it stays. Otherwise the ref is
    /// where it was.
    pub(super) fn move_to_commit(
        &self,
        target: ObjectId,
        mut prepare: impl FnMut(&View) -> Result<Option<RefEdit>, StoreError>,
    ) -> Result<(), StoreError> {
        // First while nothing names it, so that what is gone already is found before the ref and its log have it.
        if self.inner.directory.may_lose_young() {
            self.store_beside_collection(vec![target], self.tips()?, &Brought::default())?;
        }
        self.publish_kept(Vec::new(), Symbolic::Follow, |view| {
            let edit = prepare(view)?;
            if !view.database().contains(&target)? {
                return Err(view.database().not_found(target).into());
            }
            let edits = edit.into_iter().collect();
            let objects = Vec::new();
            Ok((Change { objects, edits }, ()))
        })
        .map(drop)
    }

    /// Publishes, and sees to it that all that refs were moved to stays, whether it came along or was here. Otherwise they
    /// are where they were.
    pub(super) fn publish_kept<T>(
        &self,
        packs: Vec<FinishedPack>,
        symbolic: Symbolic,
        mut prepare: impl FnMut(&View) -> Result<(Change, T), StoreError>,
    ) -> Result<(T, Arc<View>), StoreError> {
        // Others that move refs to the same would rely on these before they are safe.
        let _turn = self.exclusive()?;
        let mut brought = Brought::of(&packs)?;
        let mut moved = None;
        let published = self.publish_with(packs, symbolic, |view| {
            let (change, value) = prepare(view)?;
            moved = Some((view.clone(), change.clone()));
            Ok((change, value))
        });
        if let (Err(error), Some((_, change))) = (&published, &moved)
            && is_at_risk(error)
        {
            // They were moved, to what a collection removes and could not be stored again.
            let _ = unasked(|| self.move_back(&change.edits, symbolic));
        }
        let published = published?;
        if let Some((before, change)) = moved {
            brought.objects = change.objects.iter().map(|object| object.id).collect();
            self.keep_moved(&before, &change.edits, symbolic, &brought)?;
        }
        Ok(published)
    }

    /// Sees to it that what refs were moved to stays, in the turn in which they were moved from where they were `before`;
    /// or moves them back.
    pub(super) fn keep_moved(
        &self,
        before: &View,
        edits: &[RefEdit],
        symbolic: Symbolic,
        brought: &Brought,
    ) -> Result<(), StoreError> {
        let targets: BTreeSet<ObjectId> = edits.iter().filter_map(|edit| edit.new).collect();
        let kept = match targets.is_empty() {
            true => Ok(()),
            false => self.keep_from_collection(before, targets.into_iter().collect(), brought),
        };
        if kept.is_err() {
            // Whatever fails here leaves it as it would be without this: the error tells of it.
            let _ = unasked(|| self.move_back(edits, symbolic));
        }
        kept
    }

    fn keep_from_collection(
        &self,
        before: &View,
        targets: Vec<ObjectId>,
        brought: &Brought,
    ) -> Result<(), StoreError> {
        // In this order: what ended before the first look has removed what it removes before the second.
        if self.inner.directory.may_lose_young() {
            return self.store_beside_collection(targets, self.held_since(before)?, brought);
        }
        let database = self.database()?;
        targets.iter().try_for_each(|target| {
            check_object(&database, target)?;
            let (id, kind) = database.peel(target)?;
            check_object(&database, &id)?;
            match kind {
                ObjectKind::Commit => self.check_named(&database, id),
                _ => Ok(()),
            }
        })
    }

    /// What a collection knows of, whenever it looked at the refs: what those lead to that are where they were, and what
    /// those led to that have gone on from there.
    fn held_since(&self, before: &View) -> Result<Vec<ObjectId>, StoreError> {
        let now = self.view()?;
        let before = before.refs();
        let held = now.refs().iter().filter_map(|(name, at)| {
            let old = before.get(name)?.target;
            let leads_there = is_ancestor(now.database(), old, at.target);
            leads_there.unwrap_or(false).then_some(old)
        });
        Ok(held.collect())
    }

    /// Stores once more what nothing leads to that is held, where the collection at work does not know of it.
    fn store_beside_collection(
        &self,
        targets: Vec<ObjectId>,
        held: Vec<ObjectId>,
        brought: &Brought,
    ) -> Result<(), StoreError> {
        let database = self.database()?;
        let wanted = Wanted {
            wants: targets,
            haves: held,
            ..Wanted::default()
        };
        let progress = Told(&NoProgress);
        let mut counted = count_objects(&database, &wanted, &progress).map_err(of_read)?;
        if !brought.is_empty() {
            counted.ids.retain(|id| !brought.has(id));
            counted = Counted::exactly(counted.ids);
        }
        if counted.ids.is_empty() {
            return Ok(());
        }
        let pack = repack(&database, &counted, self.quarantine_dir(), &progress);
        let pack = pack.map_err(of_write)?;
        Ok(self.inner.directory.place_beside_collection(pack)?)
    }

    /// Undoes moves, except of refs that somebody has moved on.
    fn move_back(&self, edits: &[RefEdit], symbolic: Symbolic) -> Result<(), StoreError> {
        self.publish_with(Vec::new(), symbolic, |view| {
            let mut back = Vec::new();
            for edit in edits.iter().filter(|edit| edit.old != edit.new) {
                let now = view.refs().get(&edit.name).map(|present| present.target);
                let is_there = match edit.old {
                    Some(old) => view.database().contains(&old)?,
                    None => true,
                };
                if now == edit.new && is_there {
                    back.push(RefEdit {
                        old: edit.new,
                        new: edit.old,
                        message: "branch: set back, as the commit was removed meanwhile".to_owned(),
                        ..edit.clone()
                    });
                }
            }
            let change = Change {
                objects: Vec::new(),
                edits: back,
            };
            Ok((change, ()))
        })
        .map(drop)
    }
}

fn is_at_risk(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Repo(RepoError::Directory(DirectoryError::AtRisk(_)))
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use packhouse_object::RefName;
    use packhouse_testkit::locks::let_go_when_waited_for;

    use super::*;
    use crate::given_up::for_caller;
    use crate::store::{Create, StoreOptions, WriteOptions};

    #[test]
    fn refs_are_moved_back_though_the_caller_has_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            create: Create::New {
                branch: Some("main".to_owned()),
            },
            ..StoreOptions::default()
        };
        let store = Store::open(folder.path().join("s.git"), options).unwrap();
        let branches = store.branches();
        let start = branches.get("main").unwrap();
        let options = WriteOptions::default();
        let lost = start.write("lost", b"lost", &options).unwrap();
        branches.set("main", &start).unwrap();
        let edits = [("a", None), ("main", Some(start.commit()))].map(|(name, old)| RefEdit {
            name: RefName::branch(name).unwrap(),
            old,
            new: Some(lost.commit()),
            message: "moved".to_owned(),
        });
        let (before, _) = store
            .publish(Vec::new(), |view| {
                let (objects, edits) = (Vec::new(), edits.to_vec());
                Ok((Change { objects, edits }, view.clone()))
            })
            .unwrap();
        // A collection that looked before that removes it now.
        let hex = lost.tree().to_string();
        let objects = store.path().join("objects");
        fs::remove_file(objects.join(&hex[..2]).join(&hex[2..])).unwrap();
        fs::write(store.path().join("refs/heads/main.lock"), "").unwrap();
        let kept = let_go_when_waited_for(store.path(), "refs/heads/main.lock", || {
            let _turn = store.exclusive().unwrap();
            for_caller(Arc::new(|| true), || {
                store.keep_moved(&before, &edits, Symbolic::Follow, &Brought::default())
            })
        });
        assert!(matches!(kept, Err(StoreError::NoSuchObject { id }) if id == hex));
        assert_eq!(branches.names().unwrap(), ["main"]);
        assert_eq!(branches.get("main").unwrap().commit(), start.commit());
    }
}
