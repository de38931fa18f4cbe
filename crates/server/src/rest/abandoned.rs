//! Work on other threads that a request no longer waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells work that its request is gone, by being dropped with it.
#[derive(Debug, Default)]
pub(super) struct Abandoned(Arc<AtomicBool>);

impl Abandoned {
    /// Whether the request is gone, to be asked by the work.
    pub(super) fn flag(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let flag = self.0.clone();
        move || flag.load(Ordering::Relaxed)
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
