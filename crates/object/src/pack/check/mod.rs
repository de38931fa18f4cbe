//! The syntax of objects that strangers send.
//!
//! The rules are those `git index-pack --strict` makes an error of (`receive.fsckObjects`), with
//! Git's own names for them. Two go further: names in trees must be ones that can be checked out
//! everywhere ([`crate::check_entry`]), and a mode must be of a type that Git writes.

mod error;
mod headers;
mod tree;

pub use error::SyntaxError;

use crate::{ObjectId, ObjectKind};

/// Checks an object's syntax and tells `link` every object it names, with the kind that one must
/// be of. Commits of other repositories are not told; blobs name nothing and are never wrong.
pub fn check_object(
    kind: ObjectKind,
    data: &[u8],
    link: impl FnMut(ObjectId, ObjectKind),
) -> Result<(), SyntaxError> {
    match kind {
        ObjectKind::Commit => headers::check_commit(data, link),
        ObjectKind::Tree => tree::check_tree(data, link),
        ObjectKind::Tag => headers::check_tag(data, link),
        ObjectKind::Blob => Ok(()),
    }
}
