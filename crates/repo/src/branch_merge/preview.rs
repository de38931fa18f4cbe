//! What a merge would come to, without making it.

use packhouse_object::{Database, ObjectId, RefName, merge_bases};

use super::join::{Tips, merge, relation, source_tip, target_tip};
use super::{MergeBounds, MergeBranchError, MergeKind, MergeSource};
use crate::merge::Conflict;
use crate::view::{View, display_name};

/// What a merge would come to.
#[derive(Debug)]
pub struct MergePreview {
    /// How it would end; never [`MergeKind::Squash`].
    pub kind: MergeKind,
    /// The commit that would be merged.
    pub source: ObjectId,
    /// Where the target is.
    pub target: ObjectId,
    /// The best common ancestor, the newest if there are several; `None`: the histories have nothing in common.
    pub base: Option<ObjectId>,
    /// What a person would have to decide, in the order of the paths.
    pub conflicts: Vec<Conflict>,
    /// The objects of the view, and what was made: the texts with conflict marks that stand in [`Conflict::merged`], and
    /// the base sides that came of merging several common ancestors.
    pub database: Database,
}

/// Finds out what merging `source` into `target` would come to. Histories that have nothing in common are merged as if
/// that were allowed.
pub fn preview_merge(
    view: &View,
    source: &MergeSource,
    target: &RefName,
    bounds: MergeBounds,
) -> Result<MergePreview, MergeBranchError> {
    let tips = Tips {
        source: source_tip(view, source)?,
        target: target_tip(view, target)?,
    };
    let bases = merge_bases(view.database(), tips.target, tips.source)?;
    let kind = relation(&bases, tips);
    let mut preview = MergePreview {
        kind,
        source: tips.source,
        target: tips.target,
        base: bases.first().copied(),
        conflicts: Vec::new(),
        database: view.database().clone(),
    };
    if kind == MergeKind::MergeCommit {
        let labels = [display_name(target), source.display()];
        let merged = merge(view.database(), tips, bases, labels, true, bounds)?;
        preview.conflicts = merged.merged.conflicts;
        preview.database = merged.database;
    }
    Ok(preview)
}
