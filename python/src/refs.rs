//! Branches and tags.

use packhouse_repo::store::{RefKind, RefMap};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::errors::detached;
use crate::paths::text;
use crate::snapshot::Snapshot;

/// The branches or the tags of a store.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Refs(pub(crate) RefMap);

#[pymethods]
impl Refs {
    fn names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        detached(py, || self.0.names())
    }

    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.0.len())
    }

    fn contains(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        detached(py, || self.0.contains(name))
    }

    fn get(&self, py: Python<'_>, name: &str) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.get(name))?.into())
    }

    fn set(&self, py: Python<'_>, name: &str, snapshot: &Snapshot) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.set(name, &snapshot.0))?.into())
    }

    fn set_empty(&self, py: Python<'_>, name: &str) -> PyResult<Snapshot> {
        let set = || {
            // The first branch of a repository is the one that `HEAD` waits for.
            if self.0.kind() == RefKind::Branch
                && let Some(first) = self.0.store().begin(name)?
            {
                first.keep();
                return self.0.get(name);
            }
            self.0.set_empty(name)
        };
        Ok(detached(py, set)?.into())
    }

    fn delete(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        detached(py, || self.0.delete(name))
    }

    fn current_name(&self, py: Python<'_>) -> PyResult<Option<String>> {
        detached(py, || self.0.current_name())
    }

    fn current(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        Ok(detached(py, || self.0.current())?.map(Snapshot::from))
    }

    fn set_current(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        detached(py, || self.0.set_current(name))
    }

    /// Old id, new id, person, seconds and message of each line, oldest first.
    fn reflog<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyList>> {
        let lines = detached(py, || self.0.reflog(name))?;
        let list = PyList::empty(py);
        for line in lines {
            let message: Bound<'_, PyString> = text(py, &line.message);
            let line = (
                line.old.to_string(),
                line.new.to_string(),
                line.committer,
                line.timestamp,
                message,
            );
            list.append(line)?;
        }
        Ok(list)
    }
}
