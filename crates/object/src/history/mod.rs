//! An index of history: every commit with its parents, and the paths it changes.
//!
//! The index is a stack of immutable layers, each of which adds commits to those below it. It is a cache: it holds
//! nothing that the objects do not say, and whoever has lost it makes it again. What always holds:
//! - with a commit all its ancestors are in the index, and parents stand before their children;
//! - a layer says which paths a commit changes against its first parent, exactly, or that it does not say;
//! - extending it costs what is added: layers are merged only when a new one has grown to half their size.

mod build;
mod changed_trees;
mod last_change;
mod layer;
mod watch;
mod write;

use std::sync::Arc;

use crate::{ObjectId, oid};

pub use self::build::{BuildHistoryError, FinishedHistoryLayer, extend_history};
pub use self::last_change::{LastChange, LastChanges, last_changes};
pub use self::layer::{HistoryKey, HistoryLayer, HistoryLayerError};
pub use self::watch::PathWatch;

/// The place of a commit in an index. Parents have lower ones than their children.
pub type CommitPosition = u32;

/// Layers of one history, the oldest first. Cheap to clone; never changes.
#[derive(Clone, Debug, Default)]
pub struct HistoryIndex {
    layers: Arc<[Arc<HistoryLayer>]>,
}

impl HistoryIndex {
    /// The index of these layers, each of which must stand on the one before it.
    pub fn new(layers: Vec<Arc<HistoryLayer>>) -> Result<HistoryIndex, HistoryLayerError> {
        let mut below = None;
        let mut commits = 0;
        for layer in &layers {
            if layer.below() != below || layer.first() != commits {
                return Err(HistoryLayerError::Detached);
            }
            below = Some(layer.key());
            commits = layer.end();
        }
        Ok(HistoryIndex {
            layers: layers.into(),
        })
    }

    /// The layers, the oldest first.
    pub fn layers(&self) -> &[Arc<HistoryLayer>] {
        &self.layers
    }

    /// How many commits it has.
    pub fn len(&self) -> u32 {
        self.layers.last().map_or(0, |layer| layer.end())
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a commit is.
    pub fn position(&self, id: &oid) -> Option<CommitPosition> {
        self.layers
            .iter()
            .rev()
            .find_map(|layer| layer.position(id))
    }

    /// The commit at a position, which must be one.
    pub fn id(&self, commit: CommitPosition) -> ObjectId {
        self.layer(commit).1.id(commit)
    }

    /// The tree of a commit.
    pub fn tree(&self, commit: CommitPosition) -> ObjectId {
        self.layer(commit).1.tree(commit)
    }

    /// When a commit was made, by its committer, in seconds since the epoch.
    pub fn seconds(&self, commit: CommitPosition) -> i64 {
        self.layer(commit).1.seconds(commit)
    }

    /// The parents of a commit, in their order.
    pub fn parents(&self, commit: CommitPosition) -> Vec<CommitPosition> {
        self.layer(commit).1.parents(commit).collect()
    }

    /// The layer that has a commit, and its number.
    fn layer(&self, commit: CommitPosition) -> (usize, &HistoryLayer) {
        let at = self.layers.partition_point(|layer| layer.end() <= commit);
        (at, &self.layers[at])
    }
}
