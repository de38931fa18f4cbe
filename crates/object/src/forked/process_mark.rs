//! Which process something was made in.

use super::ForkedCopy;
use super::handlers::generation;

/// Remembers the process it was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessMark(u64);

impl ProcessMark {
    /// This process.
    pub fn here() -> ProcessMark {
        ProcessMark(generation())
    }

    /// Whether that is this process, and not one that this one was forked from.
    pub fn is_here(self) -> bool {
        self == ProcessMark::here()
    }

    /// As [`ProcessMark::is_here`], for whoever goes on only if it is.
    pub fn check(self) -> Result<(), ForkedCopy> {
        match self.is_here() {
            true => Ok(()),
            false => Err(ForkedCopy),
        }
    }
}
