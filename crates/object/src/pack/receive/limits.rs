//! How much a stranger may send.

use super::ReceiveError;
use crate::ObjectKind;
use crate::pack::check::ObjectRules;
use crate::pack::{MAX_DELTA_DEPTH, MAX_IN_MEMORY, MAX_IN_MEMORY_OF_ONE};

/// What a pack may cost. The default suits a server that has to take whole histories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// The largest pack, in bytes.
    pub pack_bytes: u64,
    /// The most objects. Each takes about 100 bytes of memory.
    pub objects: u64,
    /// The largest object, inflated, in bytes.
    pub object_bytes: u64,
    /// The largest commit, tree or tag, inflated, in bytes: these are in memory in one piece when they are checked. Whatever
    /// reads them later must read as much ([`crate::Database::in_one_piece`]).
    pub link_bytes: u64,
    /// The largest blob, inflated, in bytes: a file as it is checked out.
    pub blob_bytes: u64,
    /// The most deltas from an object down to a whole one.
    pub delta_depth: u32,
    /// How much content may be in memory at once, in bytes, over all threads.
    pub memory_bytes: u64,
    /// All objects and deltas of a pack, inflated, may have this many bytes…
    pub expansion_bytes: u64,
    /// …and this many more for each byte of the pack. Linux needs about 60.
    pub expansion_ratio: u64,
    /// A pack up to this many bytes may be returned as objects in memory…
    pub small_pack_bytes: u64,
    /// …if it has no more objects than this…
    pub small_objects: u64,
    /// …and they have, inflated, no more bytes than this.
    pub small_object_bytes: u64,
    /// Which rules its objects may break.
    pub rules: ObjectRules,
}

impl ReceiveLimits {
    /// As `git index-pack` has it, none but those that keep memory bounded: for a process that works for one client.
    pub fn of_git() -> ReceiveLimits {
        ReceiveLimits {
            pack_bytes: u64::MAX,
            objects: u64::MAX,
            object_bytes: u64::MAX,
            link_bytes: MAX_IN_MEMORY_OF_ONE,
            blob_bytes: u64::MAX,
            expansion_bytes: u64::MAX,
            ..ReceiveLimits::default()
        }
    }

    /// Refuses an object that is too large for its kind; `offset` is where its entry begins.
    pub(super) fn check_kind(
        &self,
        kind: ObjectKind,
        offset: u64,
        size: u64,
    ) -> Result<(), ReceiveError> {
        match kind {
            ObjectKind::Blob if size > self.blob_bytes => Err(ReceiveError::BlobTooLarge {
                offset,
                size,
                limit: self.blob_bytes,
            }),
            ObjectKind::Commit | ObjectKind::Tree | ObjectKind::Tag if size > self.link_bytes => {
                Err(ReceiveError::TooLarge {
                    offset,
                    size,
                    limit: self.link_bytes,
                })
            }
            _ => Ok(()),
        }
    }
}

impl Default for ReceiveLimits {
    fn default() -> Self {
        ReceiveLimits {
            pack_bytes: 16 << 30,
            objects: 16 << 20,
            object_bytes: 8 << 30,
            link_bytes: MAX_IN_MEMORY,
            blob_bytes: 8 << 30,
            delta_depth: MAX_DELTA_DEPTH,
            memory_bytes: 128 << 20,
            expansion_bytes: 16 << 30,
            expansion_ratio: 256,
            small_pack_bytes: 1 << 20,
            small_objects: 1000,
            small_object_bytes: 8 << 20,
            rules: ObjectRules::default(),
        }
    }
}
