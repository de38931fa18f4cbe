//! Git packs: read from disk, written, and received from strangers.
//!
//! What always holds:
//!
//! - A pack is immutable. It is complete and synced before anybody else sees its name.
//! - No input makes this code panic, loop or allocate by what it claims: sizes are checked against
//!   a limit first, and large objects pass through in pieces.
//! - Chains of deltas are followed in loops, never by recursion, and only so far
//!   ([`MAX_DELTA_DEPTH`]).
//! - What a stranger sends is hashed with collision detection.

mod adopt;
mod bits;
mod body;
mod chain;
pub mod check;
mod deflate;
pub mod delta;
pub mod entry;
mod error;
mod file;
pub mod index;
pub(crate) mod inflate;
mod multi;
mod raw;
mod read_at;
mod receive;
mod repack;
mod seal;
mod spool;
mod stream;
mod writer;

pub use entry::{EntryHeader, EntryKind};
pub use error::PackError;
pub use file::Pack;
pub(crate) use index::map_file;
pub use multi::{
    MultiPack, MultiPackIndex, MultiPackIndexError, PackToIndex, WriteMultiPackIndexError,
    write_multi_pack_index,
};
pub use raw::{CopyError, RawEntry};
pub use receive::{ReceiveError, ReceiveLimits, Received, receive_cut_pack, receive_pack};
pub use repack::repack;
pub use spool::{BlobSpool, SpoolError, SpooledBlob, SpooledContent};
pub use stream::PackStream;
pub use writer::{FinishedPack, PackFileWriter, WritePackFileError};

/// The largest object that is read as one piece of memory, in bytes, where many are served at once.
pub const MAX_IN_MEMORY: u64 = 64 << 20;

/// The same where a process works for one only: Git's programs, and stores that are opened by whom they belong to.
pub const MAX_IN_MEMORY_OF_ONE: u64 = 1 << 30;

/// The longest chain of deltas that is followed: the most `git pack-objects --depth` allows.
pub const MAX_DELTA_DEPTH: u32 = 4095;
