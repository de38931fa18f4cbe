//! Who is at work in the file of the catalog, and who puts another one in its place.
//!
//! What always holds:
//! - a call shares one lock from before it opens the file until it has closed it. Who replaces the file has that lock alone:
//!   nothing is written into a file that goes, and nobody opens one that is being taken apart;
//! - who wants to replace it takes another lock first, which a call shares only while it comes in, so that calls that never
//!   cease do not keep it waiting;
//! - between two calls nobody has either: a cache that is merely open is in nobody's way.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::lock::{FileLock, Sharing, holder};
use super::root::Root;
use super::{CacheError, CallOptions};

/// So long one waits for a call of another process, as for a lock of SQLite's. A process that is stopped in the middle of
/// one would hold up all others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The locks of one catalog.
#[derive(Clone, Debug)]
pub(super) struct IndexGate {
    root: Root,
    /// Whoever mends has it alone, and who waits for that mends no more.
    mending: PathBuf,
    calls: PathBuf,
}

/// The file stays that of the catalog until this is dropped.
#[derive(Debug)]
pub(super) struct InCall {
    _calls: Option<FileLock>,
}

/// Nobody else is at work in the file, or comes to be, until this is dropped.
#[derive(Debug)]
pub(super) struct Alone {
    // Given up first: who comes in takes them in the other order.
    _calls: FileLock,
    _mending: FileLock,
}

impl IndexGate {
    pub(super) fn of(root: &Root) -> IndexGate {
        IndexGate {
            root: root.clone(),
            mending: root.lock("index", "mend"),
            calls: root.lock("index", "calls"),
        }
    }

    /// The cache of the catalog.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// For one call, which waits while the file is replaced.
    pub(super) fn enter(&self) -> Result<InCall, CacheError> {
        let end = Instant::now() + PATIENCE;
        let entered = self
            .take(&self.mending, Sharing::Shared, end)
            .and_then(|_coming| self.take(&self.calls, Sharing::Shared, end));
        match entered {
            Ok(calls) => Ok(InCall {
                _calls: Some(calls),
            }),
            // Reading needs no room, and where there is none for a lock nobody has it.
            Err(CacheError::NoSpace { .. }) => Ok(InCall { _calls: None }),
            Err(error) => Err(error),
        }
    }

    /// For replacing the file. Waits for whoever does that already, and then for the calls under way.
    pub(super) fn close(&self) -> Result<Alone, CacheError> {
        let call = CallOptions::default();
        let mending = FileLock::take(&self.mending, Sharing::Exclusive, &call)?;
        let end = Instant::now() + PATIENCE;
        Ok(Alone {
            _calls: self.take(&self.calls, Sharing::Exclusive, end)?,
            _mending: mending,
        })
    }

    fn take(&self, lock: &Path, sharing: Sharing, end: Instant) -> Result<FileLock, CacheError> {
        let taken = FileLock::take_until(lock, sharing, end, &CallOptions::default())?;
        taken.ok_or_else(|| CacheError::InUse {
            name: self.root.index().display().to_string(),
            by: match holder(lock) {
                Some(pid) => {
                    format!("process {pid} does not get done with it; end it, or let it go on")
                }
                None => "another process does not get done with it".to_owned(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::test_world::TestWorld;
    use super::*;

    #[test]
    fn a_catalog_is_replaced_between_calls_and_calls_wait_for_it() {
        let world = TestWorld::new();
        let gate = IndexGate::of(&world.inner.root);
        let in_call = gate.enter().unwrap();
        let short = Duration::from_millis(100);
        std::thread::scope(|scope| {
            let (closed, when_closed) = mpsc::channel();
            let gate = &gate;
            scope.spawn(move || closed.send(gate.close().unwrap()).unwrap());
            assert!(when_closed.recv_timeout(short).is_err());
            drop(in_call);
            let alone = when_closed.recv().unwrap();
            let (read, when_read) = mpsc::channel();
            let cache = &world.cache;
            scope.spawn(move || read.send(cache.list().unwrap().len()).unwrap());
            assert!(when_read.recv_timeout(short).is_err());
            drop(alone);
            assert_eq!(when_read.recv().unwrap(), 1);
        });
        // Two caches are open, and in nobody's way.
        drop(gate.close().unwrap());
    }

    #[test]
    fn calls_that_never_cease_do_not_keep_it_waiting() {
        let world = TestWorld::new();
        let gate = IndexGate::of(&world.inner.root);
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_over.load(order) {
                        let _in_call = gate.enter().unwrap();
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(50));
            let begun = Instant::now();
            let closed = gate.close();
            is_over.store(true, order);
            drop(closed.unwrap());
            assert!(begun.elapsed() < Duration::from_secs(10));
        });
    }
}
