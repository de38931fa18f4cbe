//! Several changes as one commit.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use packhouse_repo::given_up::is_given_up;
use packhouse_repo::store::{self, StoreError};
use parking_lot::{Condvar, Mutex};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors::{Failure, detached, of_failure};
use crate::options::Mode;
use crate::paths::{LocalPath, RepoPath};
use crate::progress::Signals;
use crate::snapshot::Snapshot;
use crate::writer::FileWriter;

/// How often whoever waits for another thread's call asks whether it is still wanted.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Changes that become one commit.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Batch(SharedBatch);

impl From<store::Batch> for Batch {
    fn from(batch: store::Batch) -> Self {
        let failure = None;
        let state = State {
            idle: Some(Used { batch, failure }),
            user: None,
        };
        Batch(SharedBatch(Arc::new(Shared {
            state: Mutex::new(state),
            is_idle: Condvar::new(),
        })))
    }
}

/// A batch that each call has to itself. It is locked only to hand it over: a call that waits for others runs the handlers
/// of signals, and they may use the batch.
#[derive(Clone)]
pub(crate) struct SharedBatch(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    is_idle: Condvar,
}

struct State {
    /// The batch, unless a call has it.
    idle: Option<Used>,
    /// The thread whose call has it.
    user: Option<ThreadId>,
}

struct Used {
    batch: store::Batch,
    /// How a commit failed. The store gives up what was gathered then, so that the next one would commit less than all.
    failure: Option<Failure>,
}

impl SharedBatch {
    /// Waits for calls of other threads. Where one of this thread has it there is an error: that would be waited for in vain.
    pub(crate) fn take(&self) -> Result<InUse<'_>, StoreError> {
        let me = thread::current().id();
        let mut state = self.0.state.lock();
        loop {
            if let Some(used) = state.idle.take() {
                state.user = Some(me);
                return Ok(InUse {
                    shared: &self.0,
                    used: Some(used),
                });
            }
            if state.user == Some(me) {
                return Err(StoreError::Failed {
                    reason: "the batch is in use: what runs while it waits, such as the handler of a signal, cannot use it"
                        .to_owned(),
                });
            }
            self.0.is_idle.wait_for(&mut state, ASK_EVERY);
            drop(state);
            if is_given_up() {
                return Err(StoreError::Cancelled);
            }
            state = self.0.state.lock();
        }
    }
}

/// A batch while a call has it.
pub(crate) struct InUse<'a> {
    shared: &'a Shared,
    /// Until this is dropped.
    used: Option<Used>,
}

impl InUse<'_> {
    fn used(&mut self) -> &mut Used {
        self.used.as_mut().expect("it is not dropped yet")
    }
}

impl Deref for InUse<'_> {
    type Target = store::Batch;

    fn deref(&self) -> &store::Batch {
        &self.used.as_ref().expect("it is not dropped yet").batch
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut store::Batch {
        &mut self.used().batch
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.idle = self.used.take();
        state.user = None;
        self.shared.is_idle.notify_one();
    }
}

impl Batch {
    fn change(
        &self,
        py: Python<'_>,
        change: impl FnOnce(&mut store::Batch) -> Result<(), StoreError> + Send,
    ) -> PyResult<()> {
        detached(py, || change(&mut *self.0.take()?))
    }

    fn commit_by(
        &self,
        py: Python<'_>,
        commit: impl FnOnce(&mut store::Batch) -> Result<store::Snapshot, StoreError> + Send,
    ) -> PyResult<Snapshot> {
        let failure = |error: StoreError| Failure::of(error.kind(), error.io(), &error);
        let work = |_: &Signals| {
            let mut in_use = self.0.take().map_err(failure)?;
            let used = in_use.used();
            if let Some(failure) = &used.failure {
                return Err(failure.clone());
            }
            commit(&mut used.batch).map_err(|error| {
                let how = failure(error);
                used.failure = Some(how.clone());
                how
            })
        };
        Signals::heeded(py, work, of_failure).map(Snapshot::from)
    }
}

#[pymethods]
impl Batch {
    fn write(
        &self,
        py: Python<'_>,
        path: RepoPath,
        data: PyBackedBytes,
        mode: Option<Mode>,
    ) -> PyResult<()> {
        self.change(py, |batch| {
            batch.write(&path, &data, mode.map(|mode| mode.0))
        })
    }

    fn write_from_file(
        &self,
        py: Python<'_>,
        path: RepoPath,
        local: LocalPath,
        mode: Option<Mode>,
    ) -> PyResult<()> {
        self.change(py, |batch| {
            batch.write_from_file(&path, &local.0, mode.map(|mode| mode.0))
        })
    }

    fn write_symlink(&self, py: Python<'_>, path: RepoPath, target: RepoPath) -> PyResult<()> {
        self.change(py, |batch| batch.write_symlink(&path, &target))
    }

    fn remove(&self, py: Python<'_>, path: RepoPath) -> PyResult<()> {
        self.change(py, |batch| batch.remove(&path))
    }

    fn writer(&self, py: Python<'_>, path: RepoPath) -> PyResult<FileWriter> {
        let file = detached(py, || self.0.take()?.writer(&path, None))?;
        Ok(FileWriter::in_batch(file, self.0.clone()))
    }

    fn commit(&self, py: Python<'_>) -> PyResult<Snapshot> {
        self.commit_by(py, store::Batch::commit)
    }

    /// The same on another snapshot than the one it was begun on.
    fn commit_on(&self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<Snapshot> {
        self.commit_by(py, |batch| batch.commit_on(&snapshot.0))
    }

    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |batch| {
            batch.close();
            Ok(())
        })
    }
}
