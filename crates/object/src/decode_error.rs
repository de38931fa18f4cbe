//! Why an object's bytes are not an object.

use crate::ObjectKind;

/// An object whose bytes do not follow Git's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {kind}: {reason}")]
pub struct DecodeError {
    /// What it should have been.
    pub kind: ObjectKind,
    /// What is wrong with it, for people.
    pub reason: &'static str,
}
