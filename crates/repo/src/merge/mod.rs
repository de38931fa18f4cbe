//! Three-way merges of trees, as `git merge-ort` makes them, over a database and tree ids alone.
//!
//! What always holds:
//! - nothing is stored: a merge is a value with the objects that it would add;
//! - a conflict is a value too, and the merged tree has something to look at in its place, as in Git:
//!   a text with marks, the changed file where the other side deleted it, a file beside a folder;
//! - the cost follows what the two sides changed, not the size of the trees.
//!
//! Renames are followed if [`TreeMergeOptions::renames`] says so; else (`merge.renames=false`) a file
//! that one side renamed and the other changed is a `modify/delete` conflict. Attributes and `merge`
//! drivers are not looked at.

mod blob;
mod collect;
mod commits;
mod entry;
mod git_map;
mod histogram;
mod lines;
mod loose;
mod options;
mod path;
mod regions;
mod renames;
mod stages;
mod text;
mod tree;

pub use commits::{MergeBase, MergedCommits, merge_base, merge_commits, merge_from_bases};
pub use options::{MergeError, StopMerge, TreeMergeOptions};
pub use stages::{Stage, Stages};
pub use text::{ConflictStyle, MergeFavor, MergedText, TextMerge, is_binary, merge_text};
pub use tree::{MergedChanges, MergedTree, merge_changes, merge_trees};

use bstr::BString;

/// Something in a merge that a person has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where it is in the merged tree.
    pub path: BString,
    /// Where it was, if the file had to make room for a folder or for what the other side made of it, or if its folder
    /// was moved.
    pub original_path: Option<BString>,
    /// What it is.
    pub kind: ConflictKind,
    /// What the three trees have of it.
    pub stages: Stages,
    /// What stands at `path` in the merged tree; `None`: nothing.
    pub merged: Option<Stage>,
}

/// What a conflict is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Both sides changed the same lines of a file, or the target of a link.
    Content,
    /// Both sides changed a file that is not text, or is too large to be merged as text.
    Binary,
    /// Both sides changed the mode of a file, each in its own way.
    Mode,
    /// Both sides added a file, and not the same.
    AddAdd,
    /// One side changed a file that the other deleted.
    ModifyDelete,
    /// A file of one side is where the other has a folder.
    FileDirectory,
    /// One side has a file where the other has a link or a submodule.
    DistinctTypes,
    /// Both sides moved a submodule to different commits.
    Submodule,
    /// Each side gave a file a new name of its own.
    RenameRename,
    /// One side gave a file a new name, the other deleted it.
    RenameDelete,
    /// A side put a file into a folder that the other moved: it may belong where the folder went.
    FileLocation,
    /// The files of a folder went to several others, and none got most of them. It has no stages.
    DirectorySplit,
}

impl ConflictKind {
    /// The word for it, Git's where Git has one.
    pub fn as_str(self) -> &'static str {
        match self {
            ConflictKind::Content => "content",
            ConflictKind::Binary => "binary",
            ConflictKind::Mode => "mode",
            ConflictKind::AddAdd => "add/add",
            ConflictKind::ModifyDelete => "modify/delete",
            ConflictKind::FileDirectory => "file/directory",
            ConflictKind::DistinctTypes => "distinct types",
            ConflictKind::Submodule => "submodule",
            ConflictKind::RenameRename => "rename/rename",
            ConflictKind::RenameDelete => "rename/delete",
            ConflictKind::FileLocation => "file location",
            ConflictKind::DirectorySplit => "directory rename split",
        }
    }
}

impl std::fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
