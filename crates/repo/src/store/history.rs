//! History along first parents.

use super::{Snapshot, StoreError};

impl Snapshot {
    /// The commit before this one: its first parent, found the same way; `None` at the beginning.
    ///
    /// It can be written if this one can, but such a write is [`StoreError::Stale`] as long as the branch is further.
    pub fn parent(&self) -> Result<Option<Snapshot>, StoreError> {
        let parents = self.store().parents_of(&self.commit(), self.parents())?;
        let Some(parent) = parents.first() else {
            return Ok(None);
        };
        let snapshot = Snapshot::load(self.store(), self.database().clone(), *parent)?;
        Ok(Some(snapshot.bound(self.ref_name.clone(), self.writable)))
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
}
