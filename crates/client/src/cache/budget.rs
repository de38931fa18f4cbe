//! What one copy may come to, asked before it is made.
//!
//! A few bytes of history can name many of content: one blob at a thousand paths, a pointer that claims a petabyte, a
//! repository that has itself as a submodule. What would not fit is refused before it is on the disk or in memory.

use std::cell::Cell;

use super::CacheError;

/// As many submodules may be in a copy, whatever they are inside of.
const MODULES_MAX: usize = 1000;
/// The list of a copy's files takes no more than this.
const LISTING_BYTES: u64 = 1 << 30;
/// What the list takes of each file besides its path.
const LISTED_BYTES: u64 = 96;

/// What is left for the rest of a copy.
#[derive(Debug)]
pub(super) struct Budget {
    /// What is copied, for those who read errors.
    url: String,
    max_bytes: u64,
    bytes: Cell<u64>,
    listing: Cell<u64>,
    modules: Cell<usize>,
}

impl Budget {
    pub(super) fn new(url: &str, max_bytes: u64) -> Budget {
        Budget {
            url: url.to_owned(),
            max_bytes,
            bytes: Cell::new(0),
            listing: Cell::new(0),
            modules: Cell::new(0),
        }
    }

    /// Counts content that is about to be written.
    pub(super) fn count_bytes(&self, bytes: u64) -> Result<(), CacheError> {
        let needed_bytes = self.bytes.get().saturating_add(bytes);
        self.bytes.set(needed_bytes);
        match needed_bytes <= self.max_bytes {
            true => Ok(()),
            false => Err(CacheError::Full {
                name: self.url.clone(),
                needed_bytes,
                max_bytes: self.max_bytes,
            }),
        }
    }

    /// Counts a file that is about to be listed.
    pub(super) fn count_file(&self, path: &[u8]) -> Result<(), CacheError> {
        let listing = self.listing.get() + LISTED_BYTES + path.len() as u64;
        self.listing.set(listing);
        match listing <= LISTING_BYTES {
            true => Ok(()),
            false => Err(self.refusal("it has more files than a copy can have")),
        }
    }

    /// Counts a submodule that is about to be made.
    pub(super) fn count_module(&self) -> Result<(), CacheError> {
        self.modules.set(self.modules.get() + 1);
        match self.modules.get() <= MODULES_MAX {
            true => Ok(()),
            false => {
                Err(self
                    .refusal("it has more than 1000 submodules, those inside others among them"))
            }
        }
    }

    fn refusal(&self, reason: &str) -> CacheError {
        CacheError::InvalidSource {
            source_url: self.url.clone(),
            reason: reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_a_limit_is_refused_with_its_name() {
        let budget = Budget::new("https://h/x", 10);
        budget.count_bytes(10).unwrap();
        let full = budget.count_bytes(u64::MAX).unwrap_err();
        assert!(matches!(full, CacheError::Full { max_bytes: 10, .. }));
        for _ in 0..MODULES_MAX {
            budget.count_module().unwrap();
        }
        let refused = budget.count_module().unwrap_err().to_string();
        assert!(
            refused.contains("https://h/x") && refused.contains("1000"),
            "{refused}"
        );
        budget.count_file(b"x").unwrap();
        budget.listing.set(LISTING_BYTES - LISTED_BYTES);
        assert!(budget.count_file(b"y").is_err());
    }
}
