//! History: parents, undo and redo.

use pyo3::prelude::*;

use crate::errors::detached;
use crate::snapshot::Snapshot;

#[pymethods]
impl Snapshot {
    fn parent(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        Ok(detached(py, || self.0.parent())?.map(Snapshot::from))
    }

    fn back(&self, py: Python<'_>, steps: u64) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.back(steps))?.into())
    }
}
