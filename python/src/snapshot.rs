//! A snapshot: its commit and ref. Reading, writing, copying and history are in files of their own.

use packhouse_repo::store;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::paths::text;
use crate::reports::report;

/// The files of one commit. Never changes.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Snapshot(pub(crate) store::Snapshot);

impl From<store::Snapshot> for Snapshot {
    fn from(snapshot: store::Snapshot) -> Self {
        Snapshot(snapshot)
    }
}

#[pymethods]
impl Snapshot {
    #[getter]
    fn commit_hash(&self) -> String {
        self.0.commit().to_string()
    }

    #[getter]
    fn tree_hash(&self) -> String {
        self.0.tree().to_string()
    }

    #[getter]
    fn ref_name(&self) -> Option<&str> {
        self.0.ref_name()
    }

    #[getter]
    fn writable(&self) -> bool {
        self.0.writable()
    }

    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, self.0.message())
    }

    /// Seconds since the epoch, and minutes east of UTC.
    #[getter]
    fn time(&self) -> (i64, i32) {
        self.0.calendar_time()
    }

    #[getter]
    fn author_name<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, self.0.author_name())
    }

    #[getter]
    fn author_email<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, self.0.author_email())
    }

    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.0
            .changes()
            .map(|changes| report(py, changes))
            .transpose()
    }

    fn same_commit(&self, other: &Snapshot) -> bool {
        self.0.commit() == other.0.commit()
    }
}
