//! Files written in pieces, each its own commit or part of a batch.
//!
//! The lock is only taken while other Python threads may run, see `files.rs`.

use std::io::Write;

use packhouse_repo::store;
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::errors::detached;
use crate::snapshot::Snapshot;

/// A file being written; nothing of it is visible before `finish`.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct FileWriter(Mutex<State>);

struct State {
    file: Option<store::FileWriter>,
    written: u64,
}

impl From<store::FileWriter> for FileWriter {
    fn from(file: store::FileWriter) -> Self {
        FileWriter(Mutex::new(State {
            file: Some(file),
            written: 0,
        }))
    }
}

#[pymethods]
impl FileWriter {
    fn write(&self, py: Python<'_>, data: PyBackedBytes) -> PyResult<()> {
        let written = py.detach(|| {
            let mut state = self.0.lock();
            state.written += data.len() as u64;
            match &mut state.file {
                Some(file) => file.write_all(&data).map(|()| true),
                None => Ok(false),
            }
        })?;
        match written {
            true => Ok(()),
            false => Err(closed()),
        }
    }

    fn tell(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.lock().written)
    }

    /// Ends the file; the snapshot that has it, unless it belongs to a batch.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        let file = py.detach(|| self.0.lock().file.take()).ok_or_else(closed)?;
        detached(py, || file.finish()).map(|snapshot| Some(snapshot.into()))
    }

    fn discard(&self, py: Python<'_>) {
        py.detach(|| drop(self.0.lock().file.take()));
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("I/O operation on closed file.")
}
