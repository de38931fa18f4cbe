//! How trees are merged, and why they could not be.

use std::fmt;
use std::sync::Arc;

use bstr::BString;
use packhouse_object::{CollisionError, EditTreeError, MAX_IN_MEMORY, PathError, ReadError};

use super::text::{ConflictStyle, MergeFavor};

/// How trees are merged.
#[derive(Clone, Debug)]
pub struct TreeMergeOptions {
    /// What our side is called, in conflict marks and in the names of files that make room.
    pub our_label: BString,
    /// What their side is called.
    pub their_label: BString,
    /// What the base is called in conflict marks of the style `Diff3`.
    pub base_label: BString,
    /// How conflicts are written into texts.
    pub style: ConflictStyle,
    /// Whether a side wins where both changed the same.
    pub favor: MergeFavor,
    /// Whether renames of files are followed, and what a side put into a folder that the other moved is in conflict, as
    /// in Git without settings.
    pub renames: bool,
    /// How many files may be compared with as many others to find renames. Where it would be more, only renames of
    /// files that stayed the same or kept their names are found.
    pub rename_limit: usize,
    /// Files with more bytes are merged as if they were binary.
    pub text_bytes: u64,
    /// The most bytes that all merged texts have together; a merge with more is refused.
    pub merged_bytes: u64,
    /// Asked before each text is merged: whether nobody wants the merge any more.
    pub stop: Option<StopMerge>,
}

/// What says that a merge is not wanted any more.
#[derive(Clone)]
pub struct StopMerge(Arc<dyn Fn() -> bool + Send + Sync>);

impl StopMerge {
    /// Stops a merge as soon as `is_unwanted` returns true.
    pub fn when(is_unwanted: impl Fn() -> bool + Send + Sync + 'static) -> StopMerge {
        StopMerge(Arc::new(is_unwanted))
    }

    fn is_stopped(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for StopMerge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopMerge")
    }
}

impl TreeMergeOptions {
    /// Fails if nobody wants the merge any more.
    pub(super) fn check_wanted(&self) -> Result<(), MergeError> {
        match &self.stop {
            Some(stop) if stop.is_stopped() => Err(MergeError::Stopped),
            _ => Ok(()),
        }
    }
}

impl Default for TreeMergeOptions {
    /// Sides called `ours` and `theirs`, Git's marks, no renames (Git's limit if they are switched on), texts up to 64 MiB each and 1 GiB in all.
    fn default() -> Self {
        TreeMergeOptions {
            our_label: "ours".into(),
            their_label: "theirs".into(),
            base_label: "base".into(),
            style: ConflictStyle::default(),
            favor: MergeFavor::default(),
            renames: false,
            rename_limit: 7000,
            text_bytes: MAX_IN_MEMORY,
            merged_bytes: 1 << 30,
            stop: None,
        }
    }
}

/// A merge was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The two commits have no ancestor in common.
    #[error(
        "the histories have nothing in common; allow unrelated histories to merge them all the same"
    )]
    Unrelated,
    /// Nobody wanted it any more: [`TreeMergeOptions::stop`] said so.
    #[error("the merge was stopped")]
    Stopped,
    /// The merged texts are too many or too large.
    #[error("the merged files have more than {limit} bytes together")]
    TooLarge {
        /// The most bytes that they may have.
        limit: u64,
    },
    /// Too many paths are not the same in the three trees.
    #[error("more than {limit} paths differ between the sides and their base")]
    TooManyPaths {
        /// How many there may be.
        limit: usize,
    },
    /// A changed path has a name that cannot be written.
    #[error("`{path}` cannot be part of a merge")]
    Path {
        /// The path.
        path: BString,
        /// Why.
        #[source]
        source: PathError,
    },
    /// The merged tree could not be made.
    #[error("the merged tree could not be made")]
    Edit(#[from] EditTreeError),
    /// A merged object is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
    /// An object could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
