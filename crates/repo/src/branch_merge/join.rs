//! How two commits relate, and what merging them comes to.

use bstr::BString;
use packhouse_object::{
    CommitWalk, Database, NewObject, ObjectId, ReadError, RefName, merge_bases,
};

use super::{
    MergeBounds, MergeBranch, MergeBranchError, MergeKind, MergeSource, MergeStrategy, MergedBranch,
};
use crate::merge::{Conflict, MergeError, MergedCommits, TreeMergeOptions, merge_from_bases};
use crate::view::{View, display_name};

/// The commits to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tips {
    pub(super) source: ObjectId,
    pub(super) target: ObjectId,
}

/// Where the target is in a view.
pub(crate) fn target_tip(view: &View, target: &RefName) -> Result<ObjectId, MergeBranchError> {
    let entry = view.refs().get(target);
    entry.map(|entry| entry.target).ok_or_else(|| {
        let name = display_name(target);
        MergeBranchError::TargetMissing { name }
    })
}

/// Where the source is in a view.
pub(super) fn source_tip(view: &View, source: &MergeSource) -> Result<ObjectId, MergeBranchError> {
    let found = match source {
        MergeSource::Branch(name) => view.refs().get(name).map(|entry| entry.target),
        MergeSource::Revision { rev, namespace } => {
            view.resolve(rev, *namespace)?.map(|found| found.id)
        }
    };
    found.ok_or_else(|| MergeBranchError::SourceMissing {
        name: source.display(),
    })
}

/// A merge, worked out and not stored.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(super) kind: MergeKind,
    pub(super) source: ObjectId,
    pub(super) target: ObjectId,
    pub(super) base: Option<ObjectId>,
    /// The tree that the target gets.
    pub(super) tree: ObjectId,
    /// What the tree has that neither side has.
    pub(super) objects: Vec<NewObject>,
    promoted: u64,
}

impl Joined {
    pub(super) fn outcome(&self, new: ObjectId) -> MergedBranch {
        MergedBranch {
            kind: self.kind,
            source: self.source,
            old: self.target,
            new,
            tree: self.tree,
            base: self.base,
            promoted: self.promoted,
        }
    }
}

/// How a merge has to end, going by the histories alone; `squash` and the trees are not looked at.
pub(super) fn relation(bases: &[ObjectId], tips: Tips) -> MergeKind {
    match bases {
        [base] if *base == tips.source => MergeKind::NoOp,
        [base] if *base == tips.target => MergeKind::FastForward,
        _ => MergeKind::MergeCommit,
    }
}

/// Works out a merge.
pub(super) fn join(
    database: &Database,
    tips: Tips,
    request: &MergeBranch,
) -> Result<Joined, MergeBranchError> {
    let bases = merge_bases(database, tips.target, tips.source)?;
    let base = bases.first().copied();
    let relation = relation(&bases, tips);
    let mut joined = Joined {
        kind: relation,
        source: tips.source,
        target: tips.target,
        base,
        tree: tips.target,
        objects: Vec::new(),
        promoted: 0,
    };
    if relation == MergeKind::NoOp {
        joined.tree = database.commit(tips.target)?.tree;
        return Ok(joined);
    }
    joined.kind = chosen(relation, base, request)?;
    joined.promoted = count_new(database, tips)?;
    if relation == MergeKind::FastForward {
        joined.tree = database.commit(tips.source)?.tree;
    }
    if joined.kind == MergeKind::FastForward {
        return Ok(joined);
    }
    // What is missing is said before the work is done.
    request
        .message
        .as_ref()
        .ok_or(MergeBranchError::MessageMissing)?;
    request
        .author
        .as_ref()
        .ok_or(MergeBranchError::AuthorMissing)?;
    if relation != MergeKind::FastForward {
        let labels = [display_name(&request.target), request.source.display()];
        let bounds = MergeBounds {
            merged_bytes: request.merged_bytes,
            stop: None,
        };
        let merged = merge(
            database,
            tips,
            bases,
            labels,
            request.allow_unrelated,
            bounds,
        )?
        .merged;
        if !merged.is_clean() {
            let paths = conflict_paths(&merged.conflicts);
            return Err(MergeBranchError::Conflict { paths, base });
        }
        joined.tree = merged.tree;
        joined.objects = merged.objects;
    }
    if joined.kind == MergeKind::Squash && joined.tree == database.commit(tips.target)?.tree {
        // Everything is there, under other commits.
        joined.kind = MergeKind::NoOp;
        joined.promoted = 0;
    }
    Ok(joined)
}

/// What the request makes of histories that relate in some way.
fn chosen(
    relation: MergeKind,
    base: Option<ObjectId>,
    request: &MergeBranch,
) -> Result<MergeKind, MergeBranchError> {
    Ok(match (request.strategy, relation) {
        (MergeStrategy::FastForwardOnly, MergeKind::FastForward) => MergeKind::FastForward,
        (MergeStrategy::FastForwardOnly, _) => {
            return Err(MergeBranchError::NotFastForward {
                target: display_name(&request.target),
                source_name: request.source.display(),
                base,
            });
        }
        _ if request.squash => MergeKind::Squash,
        (MergeStrategy::FastForwardPreferred, MergeKind::FastForward) => MergeKind::FastForward,
        _ => MergeKind::MergeCommit,
    })
}

/// Merges the trees of two commits with these best common ancestors.
pub(super) fn merge(
    database: &Database,
    tips: Tips,
    bases: Vec<ObjectId>,
    [our_label, their_label]: [BString; 2],
    allow_unrelated: bool,
    bounds: MergeBounds,
) -> Result<MergedCommits, MergeError> {
    let options = TreeMergeOptions {
        our_label,
        their_label,
        renames: true,
        merged_bytes: bounds.merged_bytes,
        stop: bounds.stop,
        ..TreeMergeOptions::default()
    };
    merge_from_bases(
        database,
        [tips.target, tips.source],
        bases,
        allow_unrelated,
        &options,
    )
}

/// The paths in conflict, each once.
pub(crate) fn conflict_paths(conflicts: &[Conflict]) -> Vec<BString> {
    let mut paths: Vec<BString> = conflicts
        .iter()
        .map(|conflict| conflict.path.clone())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn count_new(database: &Database, tips: Tips) -> Result<u64, ReadError> {
    let mut count = 0;
    for commit in CommitWalk::new(database, [tips.source]).hide([tips.target]) {
        commit?;
        count += 1;
    }
    Ok(count)
}
