//! Several changes as one commit.

use std::sync::Arc;

use packhouse_repo::store::{self, StoreError};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors::{Failure, detached, of_failure};
use crate::options::Mode;
use crate::paths::{LocalPath, RepoPath};
use crate::progress::Signals;
use crate::snapshot::Snapshot;
use crate::writer::FileWriter;

/// Changes that become one commit. The lock is only taken while other Python threads may run.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Batch {
    batch: Arc<Mutex<store::Batch>>,
    /// How a commit failed. The store gives up what was gathered then, so that the next one would commit less than all.
    failure: Mutex<Option<Failure>>,
}

impl From<store::Batch> for Batch {
    fn from(batch: store::Batch) -> Self {
        Batch {
            batch: Arc::new(Mutex::new(batch)),
            failure: Mutex::new(None),
        }
    }
}

impl Batch {
    fn change(
        &self,
        py: Python<'_>,
        change: impl FnOnce(&mut store::Batch) -> Result<(), StoreError> + Send,
    ) -> PyResult<()> {
        detached(py, || change(&mut self.batch.lock()))
    }
}

impl Batch {
    fn commit_by(
        &self,
        py: Python<'_>,
        commit: impl FnOnce(&mut store::Batch) -> Result<store::Snapshot, StoreError> + Send,
    ) -> PyResult<Snapshot> {
        let work = |_: &Signals| {
            let mut failure = self.failure.lock();
            if let Some(failure) = &*failure {
                return Err(failure.clone());
            }
            commit(&mut self.batch.lock()).map_err(|error| {
                let how = Failure::of(error.kind(), error.io(), &error);
                *failure = Some(how.clone());
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
        let file = detached(py, || self.batch.lock().writer(&path, None))?;
        Ok(FileWriter::in_batch(file, self.batch.clone()))
    }

    fn commit(&self, py: Python<'_>) -> PyResult<Snapshot> {
        self.commit_by(py, store::Batch::commit)
    }

    /// The same on another snapshot than the one it was begun on.
    fn commit_on(&self, py: Python<'_>, snapshot: &Snapshot) -> PyResult<Snapshot> {
        self.commit_by(py, |batch| batch.commit_on(&snapshot.0))
    }

    fn discard(&self, py: Python<'_>) {
        py.detach(|| self.batch.lock().close());
    }
}
