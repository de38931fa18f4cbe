//! What a ref is moved to without bringing it: a commit that perhaps no other ref leads to, as one that a squash made.
//!
//! A collection that removes what is young may take it at any moment, before the move and, if it looked at the refs before
//! that, after it. A ref is never left on what is gone without an error.

use packhouse_object::{ObjectId, Wanted, count_objects, repack};

use super::pack::{Told, of_read, of_write};
use super::{NoProgress, Store, StoreError};
use crate::change::{Change, RefEdit};
use crate::view::View;

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
            self.store_beside_collection(target)?;
        }
        let (moved, _) = self.publish(Vec::new(), |view| {
            let edit = prepare(view)?;
            if !view.database().contains(&target)? {
                return Err(view.database().not_found(target).into());
            }
            let edits = edit.iter().cloned().collect();
            let objects = Vec::new();
            Ok((Change { objects, edits }, edit))
        })?;
        let Some(edit) = moved else {
            return Ok(());
        };
        self.keep_moved(&edit)
    }

    /// Sees to it that the commit a ref was moved to stays, or moves the ref back.
    pub(super) fn keep_moved(&self, edit: &RefEdit) -> Result<(), StoreError> {
        let kept = edit
            .new
            .map_or(Ok(()), |target| self.keep_from_collection(target));
        if kept.is_err() {
            // Whatever fails here leaves it as it would be without this: the error tells of it.
            let _ = self.move_back(edit);
        }
        kept
    }

    fn keep_from_collection(&self, target: ObjectId) -> Result<(), StoreError> {
        // In this order: what ended before the first look has removed what it removes before the second.
        match self.inner.directory.may_lose_young() {
            true => self.store_beside_collection(target),
            false => self.check_commit(target),
        }
    }

    /// Stores once more what no other ref leads to, where the collection at work does not know of it.
    fn store_beside_collection(&self, target: ObjectId) -> Result<(), StoreError> {
        let database = self.database()?;
        let mut haves = self.tips()?;
        haves.retain(|id| *id != target);
        let wanted = Wanted {
            wants: vec![target],
            haves,
            ..Wanted::default()
        };
        let progress = Told(&NoProgress);
        let counted = count_objects(&database, &wanted, &progress).map_err(of_read)?;
        if counted.ids.is_empty() {
            return Ok(());
        }
        let pack = repack(&database, &counted, self.quarantine_dir(), &progress);
        let pack = pack.map_err(of_write)?;
        Ok(self.inner.directory.place_beside_collection(pack)?)
    }

    /// Undoes a move, unless somebody has moved the ref on.
    fn move_back(&self, edit: &RefEdit) -> Result<(), StoreError> {
        self.publish(Vec::new(), |view| {
            let now = view.refs().get(&edit.name).map(|present| present.target);
            let back = RefEdit {
                old: edit.new,
                new: edit.old,
                message: "branch: set back, as the commit was removed meanwhile".to_owned(),
                ..edit.clone()
            };
            let edits = match now == edit.new {
                true => vec![back],
                false => Vec::new(),
            };
            let objects = Vec::new();
            Ok((Change { objects, edits }, ()))
        })
        .map(drop)
    }
}
