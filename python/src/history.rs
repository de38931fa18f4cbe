//! History: parents, logs, undo and redo.

use packhouse_repo::store::{self, LogFilter};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::errors::{detached, exception};
use crate::numbers::Number;
use crate::paths::RepoPath;
use crate::snapshot::Snapshot;

#[pymethods]
impl Snapshot {
    fn parent(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        Ok(detached(py, || self.0.parent())?.map(Snapshot::from))
    }

    fn back(&self, py: Python<'_>, steps: Number) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.back(steps.unsigned()))?.into())
    }

    /// `before` is in seconds since the epoch.
    fn log(
        &self,
        py: Python<'_>,
        path: Option<RepoPath>,
        matching: Option<String>,
        before: Option<Number>,
    ) -> PyResult<Log> {
        let filter = LogFilter {
            path: path.map(|path| path.0.into()),
            matching,
            before: before.map(|before| before.0),
        };
        let log = detached(py, || self.0.log(filter))?;
        Ok(Log(Mutex::new(log)))
    }

    fn undo(&self, py: Python<'_>, steps: Number) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.undo(steps.unsigned()))?.into())
    }

    fn redo(&self, py: Python<'_>, steps: Number) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.redo(steps.unsigned()))?.into())
    }

    fn squash(
        &self,
        py: Python<'_>,
        parent: Option<Bound<'_, Snapshot>>,
        message: Option<String>,
    ) -> PyResult<Snapshot> {
        let parent = parent.map(|parent| parent.get().0.clone());
        let squashed = detached(py, || self.0.squash(parent.as_ref(), message.as_deref()))?;
        Ok(squashed.into())
    }
}

/// Commits, newest first.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Log(Mutex<store::Log>);

#[pymethods]
impl Log {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        let next = py.detach(|| self.0.lock().next()).transpose();
        Ok(next.map_err(exception)?.map(Snapshot::from))
    }
}
