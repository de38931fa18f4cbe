//! Notes on commits.

use packhouse_repo::store;
use pyo3::prelude::*;

use crate::errors::detached;
use crate::store::Store;

/// The notes of one namespace.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Notes(store::Notes);

#[pymethods]
impl Store {
    fn notes(&self, py: Python<'_>, namespace: &str) -> PyResult<Notes> {
        detached(py, || self.0.notes(namespace)).map(Notes)
    }
}

#[pymethods]
impl Notes {
    /// The id a key stands for.
    fn resolve(&self, py: Python<'_>, key: &str) -> PyResult<String> {
        detached(py, || Ok(self.0.resolve_key(key)?.to_string()))
    }

    fn get(&self, py: Python<'_>, key: &str) -> PyResult<String> {
        detached(py, || self.0.get(key))
    }

    fn contains(&self, py: Python<'_>, key: &str) -> PyResult<bool> {
        detached(py, || self.0.contains(key))
    }

    fn keys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        detached(py, || self.0.keys())
    }

    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        detached(py, || self.0.len())
    }

    fn set(&self, py: Python<'_>, key: &str, text: &str) -> PyResult<()> {
        detached(py, || self.0.set(key, text))
    }

    fn delete(&self, py: Python<'_>, key: &str) -> PyResult<()> {
        detached(py, || self.0.delete(key))
    }

    fn apply(&self, py: Python<'_>, changes: Vec<(String, Option<String>)>) -> PyResult<()> {
        detached(py, || self.0.apply(changes))
    }
}
