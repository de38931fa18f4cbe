//! Where a branch was: its reflog, and moving along it.

use bstr::BString;
use packhouse_object::{HashKind, ObjectId};

use super::moved_to::Brought;
use super::open::full_name;
use super::{RefKind, RefMap, Snapshot, StoreError};
use crate::change::RefEdit;
use crate::directory::{Bring, Step, Symbolic};

/// One move of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflogLine {
    /// Where it was; the zero id if it was not there.
    pub old: ObjectId,
    /// Where it went.
    pub new: ObjectId,
    /// Who moved it, as `Name <email>`.
    pub committer: String,
    /// When, in seconds since the epoch.
    pub timestamp: i64,
    /// Why.
    pub message: BString,
}

impl RefMap {
    /// The moves of a branch, oldest first. A branch that was never moved may have no log: [`StoreError::NotFound`].
    pub fn reflog(&self, name: &str) -> Result<Vec<ReflogLine>, StoreError> {
        self.only_branches("reflog")?;
        if !self.contains(name)? {
            return Err(self.no_such(name));
        }
        let full = full_name(self.kind(), name)?;
        let directory = &self.store().inner.directory;
        if !directory.has_reflog(&full) {
            let path = format!("logs/{full}").into();
            return Err(StoreError::NotFound { path });
        }
        let zero = ObjectId::null(HashKind::Sha1);
        let entries = directory.reflog_of(&full)?.into_iter();
        Ok(entries
            .map(|entry| ReflogLine {
                old: entry.old.unwrap_or(zero),
                new: entry.new.unwrap_or(zero),
                committer: entry.who,
                timestamp: entry.at_ms.div_euclid(1000),
                message: entry.message.into(),
            })
            .collect())
    }
}

impl Snapshot {
    /// Moves the branch `steps` commits back along first parents.
    pub fn undo(&self, steps: u64) -> Result<Snapshot, StoreError> {
        let branch = self.check_writable("undo on")?;
        check_steps(steps)?;
        let mut at = self.clone();
        for done in 0..steps {
            at = at.parent()?.ok_or_else(|| {
                StoreError::invalid(format!(
                    "Cannot undo {steps} steps - only {done} in the history"
                ))
            })?;
        }
        self.move_branch(
            branch,
            &[Step::new(at.commit(), "undo: move back")],
            Bring::default(),
        )?;
        Ok(at)
    }

    /// Moves the branch back by `steps` lines of its reflog: after an undo, to where it was before.
    ///
    /// After a plain write this goes to the position before it, as an undo would. A commit that a collection removed
    /// meanwhile is [`StoreError::NoSuchObject`].
    pub fn redo(&self, steps: u64) -> Result<Snapshot, StoreError> {
        let branch = self.check_writable("redo on")?;
        check_steps(steps)?;
        let too_many =
            |what: &str| StoreError::invalid(format!("Cannot redo {steps} steps - {what}"));
        let log = match self.store().branches().reflog(branch) {
            Err(StoreError::NotFound { .. }) => Vec::new(),
            log => log?,
        };
        let now = log.iter().rposition(|line| line.new == self.commit());
        let mut lines = log[..now.map_or(0, |at| at + 1)].iter().rev();
        let mut target = self.commit();
        for done in 0..steps {
            let line = lines
                .next()
                .ok_or_else(|| too_many(&format!("only {done} in the reflog")))?;
            if line.old.is_null() {
                return Err(too_many("that is before the branch creation"));
            }
            target = line.old;
        }
        let store = self.store();
        store.check_commit(target)?;
        let snapshot = Snapshot::load(store, store.database()?, target)?;
        let message = "redo: move forward";
        let _turn = store.exclusive()?;
        let before = store.view()?;
        self.move_branch(branch, &[Step::new(target, message)], Bring::default())?;
        let edit = RefEdit {
            name: full_name(RefKind::Branch, branch)?,
            old: Some(self.commit()),
            new: Some(target),
            message: message.to_owned(),
        };
        store.keep_moved(&before, &[edit], Symbolic::Follow, &Brought::default())?;
        Ok(snapshot.bound(self.ref_name.clone(), true))
    }
}

fn check_steps(steps: u64) -> Result<(), StoreError> {
    match steps {
        0 => Err(StoreError::invalid("steps must be >= 1")),
        _ => Ok(()),
    }
}
