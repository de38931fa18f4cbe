//! How a caller follows a call, and ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_object::Progress;
use packhouse_repo::store::StoreProgress;

use super::CacheError;

/// Ends calls from another thread. Clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that ends nothing yet.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Ends the calls that have this token, with [`CacheError::Cancelled`], as soon as they can. For good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was told to.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a call is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheStep {
    /// Another call, here or in another process, does the same work.
    Waiting,
    /// Asking the remote for its refs.
    Asking,
    /// Objects come in.
    Receiving,
    /// Objects that came as differences are put together.
    Resolving,
    /// Files are written.
    CheckingOut,
    /// Files of Git LFS come in.
    LargeFiles,
    /// A directory is copied.
    Copying,
}

/// Told how far a call is. Calls come from several threads, and often.
pub type CacheProgress<'a> = dyn Fn(CacheStep, u64, Option<u64>) + Sync + 'a;

/// What goes along with a call. The default follows and ends nothing.
#[derive(Clone, Copy, Default)]
pub struct CallOptions<'a> {
    /// Ends the call.
    pub cancel: Option<&'a CancelToken>,
    /// Told the step, how much of it is done, and out of how much where that is known.
    pub progress: Option<&'a CacheProgress<'a>>,
}

impl CallOptions<'_> {
    /// An error once the call is to end.
    pub(super) fn check(&self) -> Result<(), CacheError> {
        match self.cancel.is_some_and(CancelToken::is_cancelled) {
            true => Err(CacheError::Cancelled),
            false => Ok(()),
        }
    }

    pub(super) fn step(&self, step: CacheStep, done: u64, total: Option<u64>) {
        if let Some(progress) = self.progress {
            progress(step, done, total);
        }
    }
}

impl std::fmt::Debug for CallOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallOptions")
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

impl Progress for CallOptions<'_> {
    fn receiving(&self, done: u64, total: u64) {
        self.step(CacheStep::Receiving, done, Some(total));
    }

    fn resolving(&self, done: u64, total: u64) {
        self.step(CacheStep::Resolving, done, Some(total));
    }

    fn cancelled(&self) -> bool {
        self.check().is_err()
    }
}

impl StoreProgress for CallOptions<'_> {
    fn step(&self, done: u64, total: Option<u64>) {
        CallOptions::step(self, CacheStep::CheckingOut, done, total);
    }

    fn cancelled(&self) -> bool {
        self.check().is_err()
    }
}
