//! How many bytes a repository may have.
//!
//! What counts is what the repository lists: its packs, and its tail. A fork lists what its source listed.

/// The room of a repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// The most bytes it may have.
    pub limit_bytes: u64,
    /// The bytes it has.
    pub used_bytes: u64,
}

impl Quota {
    /// The bytes that may be added.
    pub fn left_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }

    /// The room after `bytes` more. To add nothing is always allowed.
    ///
    /// # Errors
    ///
    /// There is not so much room.
    pub fn with(&self, bytes: u64) -> Result<Quota, OverQuota> {
        let used_bytes = self.used_bytes.saturating_add(bytes);
        if bytes > 0 && used_bytes > self.limit_bytes {
            return Err(OverQuota {
                found_bytes: used_bytes,
                limit_bytes: self.limit_bytes,
            });
        }
        Ok(Quota {
            used_bytes,
            ..*self
        })
    }
}

/// A write needs more room than its repository has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "repository size quota exceeded: it would have {found_bytes} bytes and may have {limit_bytes}; write less, begin a \
     new repository, or ask whoever runs the server for a larger quota"
)]
pub struct OverQuota {
    /// The bytes it would have, at least.
    pub found_bytes: u64,
    /// The most bytes it may have.
    pub limit_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_fits_and_one_more_does_not() {
        let quota = Quota {
            limit_bytes: 10,
            used_bytes: 7,
        };
        assert_eq!(quota.left_bytes(), 3);
        let full = quota.with(3).unwrap();
        assert_eq!(full.left_bytes(), 0);
        assert_eq!(full.with(0), Ok(full));
        assert_eq!(quota.with(4).unwrap_err().found_bytes, 11);
        assert!(quota.with(u64::MAX).is_err());
        // As when the limit was lowered: what adds nothing still goes.
        let over = Quota {
            used_bytes: 12,
            ..quota
        };
        assert_eq!(over.with(0), Ok(over));
        assert!(over.with(1).is_err());
    }
}
