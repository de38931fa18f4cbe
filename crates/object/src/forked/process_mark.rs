//! Which process something was made in.

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
}
