//! Counting for a side that has, or wants, less than everything.

use super::ObjectFilter;
use crate::graph::Graph;
use crate::{IdSet, ObjectId, ObjectKind, ReadError};

/// What a side that is sent objects has cut off, and which objects it wants.
#[derive(Clone, Debug, Default)]
pub struct CountLimits {
    /// Commits that count as having no parents, on both sides: where the other side's history ends, or will; and where
    /// that of the repository itself does.
    pub cut: IdSet,
    /// Which objects are wanted of those that are reached.
    pub filter: ObjectFilter,
}

impl CountLimits {
    /// Whether there are none: everything is counted.
    pub fn is_none(&self) -> bool {
        self.cut.is_empty() && self.filter.is_everything()
    }

    /// Of the wanted commits, those that pass only because they are wanted by their ids.
    pub(super) fn named(&self, tips: &[ObjectId]) -> IdSet {
        match self.filter.keeps(ObjectKind::Commit) {
            true => IdSet::default(),
            false => tips.iter().copied().collect(),
        }
    }
}

/// More trees than this are not compared with; `introduced` takes no more either.
const MOST_TREES: usize = 8;

/// Trees of the other side that a commit without parents is compared with: where a history is cut, the parents that
/// would show what is new are not there, and yet it mostly holds what the other side's commits hold.
#[derive(Default)]
pub(super) struct Edge(Vec<(ObjectId, bool)>);

impl Edge {
    /// Trees of the first of the `hidden` commits, if history is cut.
    pub(super) fn of(
        graph: &mut Graph<'_>,
        limits: &CountLimits,
        hidden: &[ObjectId],
    ) -> Result<Edge, ReadError> {
        let mut trees: Vec<(ObjectId, bool)> = Vec::new();
        if !limits.cut.is_empty() {
            for id in hidden {
                let commit = graph.number(*id)?;
                let tree = (graph.tree(commit), true);
                if !trees.contains(&tree) {
                    trees.push(tree);
                }
                if trees.len() == MOST_TREES {
                    break;
                }
            }
        }
        Ok(Edge(trees))
    }

    /// The trees, which the other side has.
    pub(super) fn trees(&self) -> impl Iterator<Item = ObjectId> {
        self.0.iter().map(|(tree, _)| *tree)
    }

    /// The trees to compare with.
    pub(super) fn bases(&self) -> Vec<(ObjectId, bool)> {
        self.0.clone()
    }
}
