//! What happened to the refs.

use packhouse_object::ObjectId;

/// A place in the reflog, to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReflogPage {
    /// The generation that made the edit.
    pub generation: i64,
    /// Which edit of that generation.
    pub ordinal: i64,
}

/// One ref edit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReflogEntry {
    /// Where it stands in the log.
    pub page: ReflogPage,
    /// The ref, as bytes.
    pub name: Vec<u8>,
    /// Where it was; `None`: it did not exist.
    pub old: Option<ObjectId>,
    /// Where it went; `None`: it was deleted.
    pub new: Option<ObjectId>,
    /// Who did it.
    pub who: String,
    /// Why.
    pub message: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
}
