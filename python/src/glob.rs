//! Globs in a snapshot.

use packhouse_repo::store;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::errors::{detached, exception};
use crate::paths::{RepoPath, text, texts};
use crate::snapshot::Snapshot;

#[pymethods]
impl Snapshot {
    fn glob<'py>(&self, py: Python<'py>, pattern: RepoPath) -> PyResult<Bound<'py, PyList>> {
        let paths = detached(py, || self.0.glob(&pattern))?;
        texts(py, &paths)
    }

    fn iglob(&self, pattern: RepoPath) -> Glob {
        Glob(Mutex::new(self.0.iglob(&pattern)))
    }
}

/// The paths that match a pattern, in no particular order.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Glob(Mutex<store::GlobMatches>);

#[pymethods]
impl Glob {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        let path = py.detach(|| self.0.lock().next()).transpose();
        Ok(path.map_err(exception)?.map(|path| text(py, &path)))
    }
}
