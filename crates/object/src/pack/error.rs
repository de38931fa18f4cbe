//! Why a stored pack or index cannot be read.

use std::io;
use std::path::PathBuf;

use super::delta::DeltaError;
use super::entry::EntryError;
use super::index::IndexError;
use crate::ObjectId;

/// A pack in the store that cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file could not be read.
    #[error("could not read pack `{path}`")]
    Io {
        /// The pack or its index.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The index is not one.
    #[error("index `{path}` is damaged")]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: IndexError,
    },
    /// The pack does not begin like one, or is not the one its index was made for.
    #[error("pack `{path}` is damaged: {reason}")]
    Damaged {
        /// The pack.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry's header cannot be read.
    #[error("entry at {offset} has a bad header")]
    Entry {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: EntryError,
    },
    /// An entry does not inflate to what its header says.
    #[error("entry at {offset} does not inflate: {reason}")]
    Inflate {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A delta cannot be applied to its base.
    #[error("delta at {offset} cannot be applied")]
    Delta {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: DeltaError,
    },
    /// A delta's base is not in the pack.
    #[error("delta at {offset} needs {id}, which is not in the pack")]
    MissingBase {
        /// Where the entry begins.
        offset: u64,
        /// The base.
        id: ObjectId,
    },
    /// A delta is, through its bases, built on itself.
    #[error("delta at {offset} is built on itself")]
    DeltaCycle {
        /// Where an entry of the cycle begins.
        offset: u64,
    },
    /// A chain of deltas is too long.
    #[error("entry at {offset} is more than {limit} deltas from its base")]
    DeltaTooDeep {
        /// Where the entry begins.
        offset: u64,
        /// The most deltas in a row.
        limit: u32,
    },
    /// An object is too large to be read in one piece; stream it.
    #[error("object of {size} bytes at {offset} is over the limit of {limit}")]
    TooLarge {
        /// Where the entry begins.
        offset: u64,
        /// Its size in bytes.
        size: u64,
        /// The most that is read in one piece.
        limit: u64,
    },
    /// An offset where no entry begins.
    #[error("no entry begins at {offset}")]
    NoEntry {
        /// The offset asked for.
        offset: u64,
    },
    /// Bytes do not have the checksum that the index recorded.
    #[error("entry at {offset} is not the one that was written: its checksum differs")]
    Checksum {
        /// Where the entry begins.
        offset: u64,
    },
    /// A temporary file for a large object could not be used.
    #[error("could not use a temporary file for a large object")]
    Spool(#[source] io::Error),
}
