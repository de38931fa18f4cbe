//! History along first parents: what was before, and one commit instead of many.

use bstr::BString;
use packhouse_object::{NewObject, ObjectId, ObjectKind};

use super::message::new_commit;
use super::taken_over::check_object;
use super::{Snapshot, StoreError};
use crate::directory::Bring;

impl Snapshot {
    /// The commit before this one: its first parent, found the same way; `None` at the beginning.
    ///
    /// It can be written if this one can, but such a write is [`StoreError::Stale`] as long as the branch is further.
    pub fn parent(&self) -> Result<Option<Snapshot>, StoreError> {
        let parents = self.store().parents_of(&self.commit(), self.parents())?;
        let Some(parent) = parents.first() else {
            return Ok(None);
        };
        self.found_alike(*parent).map(Some)
    }

    /// Another commit, found the way this one was.
    pub(super) fn found_alike(&self, commit: ObjectId) -> Result<Snapshot, StoreError> {
        let snapshot = Snapshot::load(self.store(), self.database().clone(), commit)?;
        Ok(snapshot.bound(self.ref_name.clone(), self.writable))
    }

    /// The commit `steps` before this one.
    pub fn back(&self, steps: u64) -> Result<Snapshot, StoreError> {
        let mut at = self.clone();
        for done in 0..steps {
            at = at.parent()?.ok_or_else(|| {
                StoreError::invalid(format!(
                    "Cannot go back {steps} commits: history too short ({done} before this one)"
                ))
            })?;
        }
        Ok(at)
    }

    /// The same files as a commit of its own: on `parent`, or as the first of a new history. No ref names it yet.
    ///
    /// Files, or a parent, that a collection removed meanwhile are [`StoreError::NoSuchObject`].
    pub fn squash(
        &self,
        parent: Option<&Snapshot>,
        message: Option<&str>,
    ) -> Result<Snapshot, StoreError> {
        let store = self.store();
        if parent.is_some_and(|parent| !store.same_repository(parent.store())) {
            return Err(StoreError::invalid(
                "the parent belongs to another repository",
            ));
        }
        check_object(&store.database()?, &self.tree())?;
        if let Some(parent) = parent {
            store.check_commit(parent.commit())?;
        }
        let parents = parent.map(Snapshot::commit).into_iter().collect();
        let message = message.map_or_else(|| self.message().to_owned(), BString::from);
        let commit = new_commit(self.tree(), parents, store.identity(), message);
        let object = NewObject::new(ObjectKind::Commit, commit.encode())?;
        let id = object.id;
        let bring = Bring {
            objects: vec![object],
            ..Bring::default()
        };
        store.inner.directory.bring(bring, store.storing())?;
        Ok(Snapshot::of(store, self.database().clone(), id, commit))
    }
}
