//! Work in proportion to the pack.
//!
//! A few bytes can stand for gigabytes: zlib makes a thousand bytes of one, and a delta of ten
//! bytes makes any size of a base of that size. What all of it comes to is counted, and may not go
//! past a limit that grows with the pack.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{ReceiveError, ReceiveLimits};

/// Counts bytes inflated, copied and hashed.
pub(super) struct Budget {
    spent: AtomicU64,
    floor: u64,
    ratio: u64,
}

impl Budget {
    pub(super) fn new(limits: &ReceiveLimits) -> Budget {
        Budget {
            spent: AtomicU64::new(0),
            floor: limits.expansion_bytes,
            ratio: limits.expansion_ratio,
        }
    }

    /// Spends `bytes`, of which a pack of `pack_bytes` has only so many.
    pub(super) fn spend(&self, bytes: u64, pack_bytes: u64) -> Result<(), ReceiveError> {
        let limit = self
            .floor
            .saturating_add(self.ratio.saturating_mul(pack_bytes));
        let before = self
            .spent
            .fetch_add(bytes.min(u64::MAX / 4), Ordering::Relaxed);
        if before > limit || bytes > limit - before {
            // Not to wrap around, however often this is asked.
            self.spent.store(u64::MAX / 2, Ordering::Relaxed);
            return Err(ReceiveError::ExpandsTooMuch { limit });
        }
        Ok(())
    }
}
