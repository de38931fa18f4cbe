//! Why an object could not be read.

use std::path::PathBuf;

use crate::loose::LooseError;
use crate::{DecodeError, ObjectId, ObjectKind, PackError, oid};

/// An object that is not here, is not what was asked for, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No layer of the database has it.
    #[error("object {id} is missing")]
    NotFound {
        /// The object.
        id: ObjectId,
    },
    /// No layer of the database has it, and a pack that is damaged may have.
    #[error("object {id} is missing, and may have been in pack `{}`, which is damaged: {reason}", pack.display())]
    PerhapsInDamaged {
        /// The object.
        id: ObjectId,
        /// A pack that could not be opened, or its index.
        pack: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is something else.
    #[error("object {id} is a {found}, not a {expected}")]
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What was asked for.
        expected: ObjectKind,
        /// What it is.
        found: ObjectKind,
    },
    /// It is too large to be read in one piece; stream it.
    #[error("object {id} has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// The object.
        id: ObjectId,
        /// Its size in bytes.
        size: u64,
        /// The most that is read in one piece.
        limit: u64,
    },
    /// Its bytes do not follow Git's format.
    #[error("object {id} cannot be understood")]
    Decode {
        /// The object.
        id: ObjectId,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Tags of tags that go on too long.
    #[error("tag {id} is {limit} or more tags away from what it names")]
    TagsTooDeep {
        /// The outermost tag.
        id: ObjectId,
        /// The most tags in a row.
        limit: u32,
    },
    /// Folders in folders that go on too long.
    #[error("tree {id} is over {limit} folders down, deeper than Git reads")]
    TreeTooDeep {
        /// The first tree past the limit.
        id: ObjectId,
        /// The most folders in one another.
        limit: usize,
    },
    /// Trees are at too many paths to look at each: in a long history, or as a few stand for many.
    #[error("folders are at more paths than are looked at")]
    TooManyPaths,
    /// The pack that has it cannot be read.
    #[error("object {id} could not be read from its pack")]
    Pack {
        /// The object.
        id: ObjectId,
        /// What went wrong.
        #[source]
        source: PackError,
    },
    /// It could not be read to its end.
    #[error("object {id} could not be read to its end")]
    Stream {
        /// The object.
        id: ObjectId,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// What is stored under the id is another object.
    #[error("object {id} is damaged: its content is that of another object")]
    Mismatch {
        /// The object.
        id: ObjectId,
    },
    /// A folder of loose objects, or a file there, cannot be read.
    #[error(transparent)]
    Loose(#[from] LooseError),
    /// The caller no longer wants the answer.
    #[error("cancelled")]
    Cancelled,
}

impl ReadError {
    /// Whether the object is not here, for whatever reason.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            ReadError::NotFound { .. } | ReadError::PerhapsInDamaged { .. }
        )
    }

    /// The error for an object whose bytes cannot be understood.
    pub fn decode(id: impl Into<ObjectId>, source: DecodeError) -> ReadError {
        ReadError::Decode {
            id: id.into(),
            source,
        }
    }

    /// The error for a loose object that could not be read in one piece.
    pub(crate) fn in_one_piece(id: &oid, error: LooseError) -> ReadError {
        match error {
            LooseError::TooLarge { size, limit, .. } => ReadError::TooLarge {
                id: id.to_owned(),
                size,
                limit,
            },
            error => error.into(),
        }
    }

    /// The error for an object that could not be read from its pack.
    pub(crate) fn pack(id: ObjectId, source: PackError) -> ReadError {
        match source {
            PackError::TooLarge { size, limit, .. } => ReadError::TooLarge { id, size, limit },
            source => ReadError::Pack { id, source },
        }
    }
}
