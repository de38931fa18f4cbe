//! Packing, and removing what nothing refers to.

use pyo3::prelude::*;

use crate::progress::Progress;
use crate::store::Store;

#[pymethods]
impl Store {
    /// How many objects were packed.
    fn pack(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        Progress::watch(py, progress, |progress| self.0.pack(progress))
    }

    /// How many objects were removed.
    fn gc(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        Progress::watch(py, progress, |progress| self.0.gc(progress))
    }
}
