//! Why a pack was refused.

use std::io;

use crate::pack::check::SyntaxError;
use crate::pack::delta::DeltaError;
use crate::pack::entry::EntryError;
use crate::{CollisionError, ObjectId, ObjectKind, ReadError, SpecialFile, SpecialFileError};

/// A pack that was refused, or could not be kept. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The input ended inside the pack.
    #[error("the pack ends early, after {received} bytes")]
    Truncated {
        /// How many bytes came.
        received: u64,
    },
    /// The input could not be read.
    #[error("could not read the pack")]
    Input(#[source] io::Error),
    /// The input does not begin like a pack.
    #[error("this is no pack")]
    NotAPack,
    /// The pack is of a version other than 2 and 3.
    #[error("pack version {0} is unknown")]
    UnknownVersion(u32),
    /// The checksum at the end is not that of the pack.
    #[error("the pack is damaged: its checksum is {found}, not {expected}")]
    BadChecksum {
        /// What stands at the pack's end.
        expected: ObjectId,
        /// What was computed.
        found: ObjectId,
    },
    /// The pack is over [`super::ReceiveLimits::pack_bytes`].
    #[error("the pack is over the limit of {limit} bytes")]
    PackTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The pack is over [`super::ReceiveLimits::objects`].
    #[error("the pack has {count} objects, over the limit of {limit}")]
    TooManyObjects {
        /// What its header says.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// An object is over [`super::ReceiveLimits::object_bytes`], or the limit for its kind.
    #[error("the object at {offset} has {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// Where in the pack its entry begins.
        offset: u64,
        /// Its size, or that of the delta that makes it.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A blob is over [`super::ReceiveLimits::blob_bytes`].
    #[error(
        "a file has {size} bytes, over the limit of {limit} bytes for one file (object at {offset})"
    )]
    BlobTooLarge {
        /// Where in the pack its entry begins.
        offset: u64,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The objects of the pack are out of proportion to it
    /// ([`super::ReceiveLimits::expansion_ratio`]).
    #[error("the objects of the pack have over {limit} bytes, which is too much for its size")]
    ExpandsTooMuch {
        /// The limit.
        limit: u64,
    },
    /// A chain of deltas is over [`super::ReceiveLimits::delta_depth`].
    #[error("the object at {offset} is more than {limit} deltas from its base")]
    DeltaTooDeep {
        /// Where in the pack its entry begins.
        offset: u64,
        /// The limit.
        limit: u32,
    },
    /// The header of an entry is malformed.
    #[error("the entry at {offset} has a bad header")]
    BadEntry {
        /// Where in the pack it begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: EntryError,
    },
    /// An entry does not inflate to what its header says.
    #[error("the entry at {offset} does not inflate: {reason}")]
    BadZlib {
        /// Where in the pack it begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A delta is malformed or does not fit its base.
    #[error("the delta at {offset} cannot be applied")]
    BadDelta {
        /// Where in the pack its entry begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: DeltaError,
    },
    /// An offset delta points to where no entry begins.
    #[error("the delta at {offset} has its base at {base}, where no entry begins")]
    NoBaseEntry {
        /// Where in the pack its entry begins.
        offset: u64,
        /// Where its base should.
        base: u64,
    },
    /// The base of a delta is neither in the pack nor in the repository.
    #[error("the delta at {offset} needs {id}, which is not here")]
    MissingBase {
        /// The base.
        id: ObjectId,
        /// Where in the pack the delta's entry begins.
        offset: u64,
    },
    /// An object that an object of the pack names is neither in the pack nor in the repository.
    #[error("{named_by} names the {kind} {id}, which is not here")]
    MissingObject {
        /// The object that is missing.
        id: ObjectId,
        /// What it would have to be.
        kind: ObjectKind,
        /// The object of the pack that names it.
        named_by: ObjectId,
    },
    /// The objects of the pack name more objects than the pack and the repository have.
    #[error("the pack of {objects} objects names {named} that are not in the repository")]
    MissingObjects {
        /// How many are named that the repository does not have.
        named: u64,
        /// How many objects the pack has.
        objects: u64,
    },
    /// An object that an object of the pack names is of another kind than it must be there.
    #[error("{named_by} names {id} as a {expected}, but it is a {found}")]
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What it would have to be.
        expected: ObjectKind,
        /// What it is.
        found: ObjectKind,
        /// The object of the pack that names it.
        named_by: ObjectId,
    },
    /// An object's content breaks Git's rules.
    #[error("{kind} {id} is malformed: {reason}")]
    BadObject {
        /// The object.
        id: ObjectId,
        /// What it is.
        kind: ObjectKind,
        /// What is wrong with it.
        reason: SyntaxError,
    },
    /// A file that Git reads would harm who clones it, or be an error to `git fsck`.
    #[error("{id}, which {named_by} names as `{file}`, is refused: {reason}")]
    BadSpecialFile {
        /// The blob.
        id: ObjectId,
        /// What it is named as.
        file: SpecialFile,
        /// The tree of the pack that names it.
        named_by: ObjectId,
        /// What is wrong with it.
        reason: SpecialFileError,
    },
    /// The trees of the pack name more files that Git reads than is sensible.
    #[error("the pack names over {limit} different files as `.gitmodules` or `.gitattributes`")]
    TooManySpecialFiles {
        /// The limit.
        limit: u64,
    },
    /// The same object is in the pack more than once.
    #[error("{id} is in the pack more than once")]
    Duplicate {
        /// The object.
        id: ObjectId,
    },
    /// An object is a SHA-1 collision attack.
    #[error("the object at {offset} is an attack")]
    Collision {
        /// Where in the pack its entry begins.
        offset: u64,
        /// What it would have been.
        #[source]
        source: CollisionError,
    },
    /// The repository could not be read.
    #[error("could not read the repository the pack builds on")]
    Base(#[source] ReadError),
    /// The quarantine could not be written or read.
    #[error("could not keep the pack")]
    Storage(#[source] io::Error),
    /// The caller no longer wants the pack.
    #[error("receiving the pack was cancelled")]
    Cancelled,
}
