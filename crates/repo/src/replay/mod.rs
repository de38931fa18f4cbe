//! What commits changed, made again on another branch (cherry-pick), or undone on it (revert).
//!
//! What always holds:
//! - each commit becomes one commit or, where nothing is left to change, none;
//! - all of them are made in one write, or nothing is stored;
//! - conflicts are those of a three-way merge: from the commit's parent for a pick, from the commit for a revert.

mod error;
mod message;
mod pick;
mod request;
mod select;

pub use error::ReplayError;
pub use request::{Replay, ReplayCommits, ReplayKind, Replayed, ReplayedCommit};

use packhouse_object::ObjectId;

use self::pick::{Picked, pick_all};
use self::select::select;
use crate::ahead::WorkedOut;
use crate::branch_merge::target_tip;
use crate::change::{Change, RefEdit};
use crate::receive::RefChange;
use crate::repository::Repository;
use crate::view::View;

impl Repository {
    /// Makes on a branch again, or undoes there, what commits changed.
    pub async fn replay(&self, request: Replay) -> Result<Replayed, ReplayError> {
        request
            .policy
            .allows(&request.target, RefChange::FastForward)
            .map_err(|reason| ReplayError::Denied { reason })?;
        let who = request.who.clone();
        self.publish_worked_out(&who, request).await
    }
}

impl WorkedOut for Replay {
    type Plan = Picked;
    type Outcome = Replayed;
    type Error = ReplayError;

    /// The commits are those that were found when they were looked up first.
    fn plan(&self, view: &View, earlier: Option<&Picked>) -> Result<Picked, ReplayError> {
        let target = target_tip(view, &self.target).map_err(|_| ReplayError::TargetMissing {
            name: crate::view::display_name(&self.target),
        })?;
        if let Some(expected) = self.expected_target
            && expected != target
        {
            return Err(ReplayError::HeadMoved {
                name: self.target.clone(),
                expected,
                found: target,
            });
        }
        let sources: Vec<ObjectId> = match earlier {
            Some(earlier) => earlier.commits.iter().map(|one| one.source).collect(),
            None => select(view, self)?,
        };
        pick_all(view.database(), target, &sources, self)
    }

    fn holds(&self, view: &View, plan: &Picked) -> Result<bool, ReplayError> {
        let found = view.refs().get(&self.target).map(|entry| entry.target);
        Ok(found == Some(plan.target))
    }

    fn change(&self, _: &View, plan: &Picked) -> Result<(Change, Replayed), ReplayError> {
        let outcome = Replayed {
            old: plan.target,
            new: plan.tip,
            tree: plan.tree,
            commits: plan.commits.clone(),
        };
        if plan.tip == plan.target {
            return Ok((Change::default(), outcome));
        }
        let edit = RefEdit {
            name: self.target.clone(),
            old: Some(plan.target),
            new: Some(plan.tip),
            message: plan.reflog.clone(),
        };
        let change = Change {
            objects: plan.objects.clone(),
            edits: vec![edit],
        };
        Ok((change, outcome))
    }
}
