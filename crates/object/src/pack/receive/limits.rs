//! How much a stranger may send.

use super::ReceiveError;
use crate::ObjectKind;
use crate::pack::MAX_DELTA_DEPTH;
use crate::pack::check::ObjectRules;

/// What a pack may cost. The default suits a server that has to take whole histories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveLimits {
    /// The largest pack, in bytes.
    pub pack_bytes: u64,
    /// The most objects. Each takes about 100 bytes of memory.
    pub objects: u64,
    /// The largest object, inflated, in bytes. Commits, trees and tags are also held to
    /// [`crate::MAX_IN_MEMORY`].
    pub object_bytes: u64,
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
    /// Refuses a blob that is too large; `offset` is where its entry begins.
    pub(super) fn check_blob(
        &self,
        kind: ObjectKind,
        offset: u64,
        size: u64,
    ) -> Result<(), ReceiveError> {
        let limit = self.blob_bytes;
        if kind == ObjectKind::Blob && size > limit {
            return Err(ReceiveError::BlobTooLarge {
                offset,
                size,
                limit,
            });
        }
        Ok(())
    }
}

impl Default for ReceiveLimits {
    fn default() -> Self {
        ReceiveLimits {
            pack_bytes: 16 << 30,
            objects: 16 << 20,
            object_bytes: 8 << 30,
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
