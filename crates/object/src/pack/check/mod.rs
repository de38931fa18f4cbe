//! The syntax of objects that strangers send.
//!
//! The rules are those `git index-pack --strict` makes an error of (`receive.fsckObjects`), with
//! Git's own names for them. Two go further: names in trees must be ones that can be checked out
//! everywhere ([`crate::check_entry`]), and a mode must be of a type that Git writes.

mod error;
mod headers;
mod rules;
mod tree;

pub use error::SyntaxError;
pub use rules::{ObjectRules, Severity};
pub(crate) use tree::check_changed_tree;

use crate::{ObjectId, ObjectKind, SpecialFile};

/// An object that another one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The object.
    pub id: ObjectId,
    /// What it must be.
    pub kind: ObjectKind,
    /// The file that Git will take it for; then [`SpecialFile::check`] judges its content.
    pub special: Option<SpecialFile>,
}

impl Link {
    pub(crate) fn new(id: ObjectId, kind: ObjectKind) -> Link {
        let special = None;
        Link { id, kind, special }
    }
}

/// Checks an object's syntax and tells `link` every object it names. Commits of other repositories are not told; blobs
/// name nothing and are never wrong by themselves.
pub fn check_object(
    kind: ObjectKind,
    data: &[u8],
    link: impl FnMut(Link),
) -> Result<(), SyntaxError> {
    judge_object(kind, data, &mut Err, link)
}

/// Decides what a fault means: with `Ok` it is as if it were none.
pub(crate) type Judge<'j> = dyn FnMut(SyntaxError) -> Result<(), SyntaxError> + 'j;

/// As [`check_object`], where `judge` has a say in all faults but those that leave nothing to be read.
pub(crate) fn judge_object(
    kind: ObjectKind,
    data: &[u8],
    judge: &mut Judge<'_>,
    link: impl FnMut(Link),
) -> Result<(), SyntaxError> {
    match kind {
        ObjectKind::Commit => headers::check_commit(data, judge, link),
        ObjectKind::Tree => tree::check_tree(data, judge, link),
        ObjectKind::Tag => headers::check_tag(data, judge, link),
        ObjectKind::Blob => Ok(()),
    }
}
