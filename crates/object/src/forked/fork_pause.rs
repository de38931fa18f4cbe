//! Work that no fork may come into.

use std::sync::RwLockReadGuard;

use super::handlers::no_forks;

/// While it is held, forks of this process wait.
///
/// For work with a library that keeps open files and locks in memory of its own, as SQLite does: a forked process would
/// take them for its own. Whoever holds it must not fork, nor hold it twice, and is to be done soon.
#[derive(Debug)]
pub struct ForkPause {
    _held: RwLockReadGuard<'static, ()>,
}

impl ForkPause {
    /// Waits for a fork under way, and keeps others waiting.
    pub fn hold() -> ForkPause {
        ForkPause { _held: no_forks() }
    }
}
