//! The four kinds of Git objects.

use std::fmt;

/// What an object is.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Ord, PartialOrd)]
pub enum ObjectKind {
    /// A snapshot with its history.
    Commit,
    /// A folder.
    Tree,
    /// The content of a file.
    Blob,
    /// An annotated tag.
    Tag,
}

impl ObjectKind {
    /// Every kind, in the order Git numbers them.
    pub const ALL: [ObjectKind; 4] = [
        ObjectKind::Commit,
        ObjectKind::Tree,
        ObjectKind::Blob,
        ObjectKind::Tag,
    ];

    /// The word Git uses for the kind in object headers: `commit`, `tree`, `blob` or `tag`.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }

    /// The kind an object header's word stands for.
    pub fn from_bytes(word: &[u8]) -> Option<ObjectKind> {
        ObjectKind::ALL
            .into_iter()
            .find(|kind| kind.as_str().as_bytes() == word)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ObjectKind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        ObjectKind::from_bytes(word.as_bytes()).ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

/// A word that names no kind of object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of object")]
pub struct UnknownKind(pub String);
