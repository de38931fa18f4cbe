//! One branch merged into another, in one write.
//!
//! What always holds:
//! - the branch moves from where the merge found it, and what it had stays: nothing is forced;
//! - a merge in conflict stores nothing;
//! - how the branches relate and what their trees come to is worked out ahead.

mod error;
mod join;
mod preview;
mod request;

pub use error::MergeBranchError;
pub use preview::{MergePreview, preview_merge};
pub use request::{MergeBounds, MergeBranch, MergeKind, MergeSource, MergeStrategy, MergedBranch};

pub(crate) use error::some_of;
pub(crate) use join::{conflict_paths, target_tip};

use packhouse_object::{Commit, ObjectId};

use self::join::{Joined, Tips, join, source_tip};
use crate::ahead::WorkedOut;
use crate::change::{Change, RefEdit};
use crate::new_commit::add_commit;
use crate::new_commits::NewCommits;
use crate::receive::RefChange;
use crate::repository::Repository;
use crate::view::View;

impl Repository {
    /// Merges a branch (or any commit) into a branch.
    pub async fn merge_branch(
        &self,
        request: MergeBranch,
    ) -> Result<MergedBranch, MergeBranchError> {
        let who = request.who.clone();
        self.publish_worked_out(&who, request).await
    }
}

impl WorkedOut for MergeBranch {
    type Plan = Joined;
    type Outcome = MergedBranch;
    type Error = MergeBranchError;

    /// The source is merged as it was when it was looked up first.
    fn plan(&self, view: &View, earlier: Option<&Joined>) -> Result<Joined, MergeBranchError> {
        let target = target_tip(view, &self.target)?;
        // Before the work is done: whatever comes of it, the branch itself may be closed.
        self.allowed(view, target, target)?;
        let source = match earlier {
            Some(earlier) => earlier.source,
            None => source_tip(view, &self.source)?,
        };
        if let Some(expected) = self.expected_target
            && expected != target
        {
            return Err(MergeBranchError::HeadMoved {
                name: self.target.clone(),
                expected,
                found: target,
            });
        }
        join(view.database(), Tips { source, target }, self)
    }

    fn holds(&self, view: &View, plan: &Joined) -> Result<bool, MergeBranchError> {
        Ok(target_tip(view, &self.target)? == plan.target)
    }

    fn change(
        &self,
        view: &View,
        plan: &Joined,
    ) -> Result<(Change, MergedBranch), MergeBranchError> {
        let source = self.source.display();
        let mut objects = Vec::new();
        let (new, message) = match plan.kind {
            MergeKind::NoOp => return Ok((Change::default(), plan.outcome(plan.target))),
            MergeKind::FastForward => {
                self.allowed(view, plan.target, plan.source)?;
                (plan.source, format!("merge {source}: Fast-forward"))
            }
            MergeKind::MergeCommit | MergeKind::Squash => {
                self.policy
                    .allows(&self.target, RefChange::FastForward)
                    .map_err(|reason| MergeBranchError::Denied { reason })?;
                objects.clone_from(&plan.objects);
                let commit = merge_commit(self, plan)?;
                let id = add_commit(view.database(), commit, &mut objects)?;
                (
                    id,
                    format!("merge {source}: Merge made by the 'ort' strategy."),
                )
            }
        };
        let edit = RefEdit {
            name: self.target.clone(),
            old: Some(plan.target),
            new: Some(new),
            message,
        };
        let edits = vec![edit];
        Ok((Change { objects, edits }, plan.outcome(new)))
    }
}

impl MergeBranch {
    /// Whether the target may go to a commit that is there.
    fn allowed(
        &self,
        view: &View,
        target: ObjectId,
        new: ObjectId,
    ) -> Result<(), MergeBranchError> {
        let commits = NewCommits::new(view, view.database(), Some(target), new);
        self.policy
            .allows_commits(&self.target, RefChange::FastForward, &commits)?
            .map_err(|reason| MergeBranchError::Denied { reason })
    }
}

fn merge_commit(request: &MergeBranch, joined: &Joined) -> Result<Commit, MergeBranchError> {
    let message = request.message.clone();
    let message = message.ok_or(MergeBranchError::MessageMissing)?;
    let author = request.author.clone();
    let author = author.ok_or(MergeBranchError::AuthorMissing)?;
    let parents: Vec<ObjectId> = match joined.kind {
        MergeKind::Squash => vec![joined.target],
        _ => vec![joined.target, joined.source],
    };
    Ok(Commit {
        tree: joined.tree,
        parents,
        committer: request.committer.clone().unwrap_or_else(|| author.clone()),
        author,
        extra_headers: Vec::new(),
        message,
    })
}
