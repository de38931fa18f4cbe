//! How many bytes a repository may have, and all repositories of an organisation together.
//!
//! What counts is what a repository lists: its packs, and its tail. A fork lists what its source listed; for an
//! organisation a pack counts once, however many of its repositories list it.

/// Room of one holder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// The most bytes it may have.
    pub limit_bytes: u64,
    /// The bytes it has.
    pub used_bytes: u64,
}

impl Room {
    /// The bytes that may be added.
    pub fn left_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.used_bytes)
    }
}

/// The room for what is written to a repository.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Its own, if that is limited.
    pub repo: Option<Room>,
    /// Its organisation's, if that is limited.
    pub org: Option<Room>,
}

impl Quota {
    /// The bytes that may be added.
    pub fn left_bytes(&self) -> u64 {
        let rooms = [self.repo, self.org].into_iter().flatten();
        rooms
            .map(|room| room.left_bytes())
            .min()
            .unwrap_or(u64::MAX)
    }

    /// The room after `bytes` more. To add nothing is always allowed.
    ///
    /// # Errors
    ///
    /// There is not so much room.
    pub fn with(&self, bytes: u64) -> Result<Quota, OverQuota> {
        let with = |room: Option<Room>, of| room.map(|room| taken(room, bytes, of)).transpose();
        Ok(Quota {
            repo: with(self.repo, QuotaOf::Repository)?,
            org: with(self.org, QuotaOf::Organisation)?,
        })
    }
}

fn taken(room: Room, bytes: u64, of: QuotaOf) -> Result<Room, OverQuota> {
    let used_bytes = room.used_bytes.saturating_add(bytes);
    if bytes > 0 && used_bytes > room.limit_bytes {
        return Err(OverQuota {
            of,
            found_bytes: used_bytes,
            limit_bytes: room.limit_bytes,
        });
    }
    Ok(Room { used_bytes, ..room })
}

/// Whose room there is too little of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QuotaOf {
    /// The repository's.
    Repository,
    /// The organisation's.
    Organisation,
}

/// A write needs more room than there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverQuota {
    /// Whose room.
    pub of: QuotaOf,
    /// The bytes it would have, at least.
    pub found_bytes: u64,
    /// The most bytes it may have.
    pub limit_bytes: u64,
}

impl std::fmt::Display for OverQuota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let OverQuota {
            found_bytes,
            limit_bytes,
            ..
        } = self;
        match self.of {
            QuotaOf::Repository => write!(
                f,
                "repository size quota exceeded: it would have {found_bytes} bytes and may have {limit_bytes}; write less, \
                 begin a new repository, or ask whoever runs the server for a larger quota"
            ),
            QuotaOf::Organisation => write!(
                f,
                "organisation storage quota exceeded: its repositories would have {found_bytes} bytes together and may have \
                 {limit_bytes}; delete repositories, or ask whoever runs the server for a larger quota"
            ),
        }
    }
}

impl std::error::Error for OverQuota {}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(limit_bytes: u64, used_bytes: u64) -> Option<Room> {
        Some(Room {
            limit_bytes,
            used_bytes,
        })
    }

    #[test]
    fn the_last_byte_fits_and_one_more_does_not() {
        let quota = Quota {
            repo: room(10, 7),
            org: None,
        };
        assert_eq!(quota.left_bytes(), 3);
        let full = quota.with(3).unwrap();
        assert_eq!(full.left_bytes(), 0);
        assert_eq!(full.with(0), Ok(full));
        assert_eq!(quota.with(4).unwrap_err().found_bytes, 11);
        assert!(quota.with(u64::MAX).is_err());
        // As when the limit was lowered: what adds nothing still goes.
        let over = Quota {
            repo: room(10, 12),
            org: None,
        };
        assert_eq!(over.with(0), Ok(over));
        assert!(over.with(1).is_err());
        assert_eq!(Quota::default().left_bytes(), u64::MAX);
    }

    #[test]
    fn the_smaller_room_counts_and_is_named() {
        let quota = Quota {
            repo: room(10, 7),
            org: room(100, 95),
        };
        assert_eq!(quota.left_bytes(), 3);
        assert_eq!(quota.with(4).unwrap_err().of, QuotaOf::Repository);
        let quota = Quota {
            org: room(100, 99),
            ..quota
        };
        let over = quota.with(2).unwrap_err();
        assert_eq!((over.of, over.found_bytes), (QuotaOf::Organisation, 101));
    }
}
