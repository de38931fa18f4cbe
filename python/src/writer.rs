//! Files written in pieces, each a commit of its own or part of a batch.
//!
//! The lock is only taken while other Python threads may run, see `files.rs`.

use std::io::{self, Write};

use packhouse_repo::store::{self, StoreError};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::batch::SharedBatch;
use crate::errors::{detached, exception};
use crate::snapshot::Snapshot;

/// A file being written; nothing of it is visible before `finish`.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct FileWriter(Mutex<State>);

struct State {
    target: Option<Target>,
    written: u64,
}

enum Target {
    Commit(Box<store::FileWriter>),
    Batch(store::BatchWriter, SharedBatch),
}

impl Target {
    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Target::Commit(file) => file.write_all(data),
            Target::Batch(file, _) => file.write_all(data),
        }
    }
}

impl FileWriter {
    /// A file that is committed when it is finished.
    pub(crate) fn committing(file: store::FileWriter) -> FileWriter {
        FileWriter::of(Target::Commit(Box::new(file)))
    }

    /// A file that is part of a batch once it is finished.
    pub(crate) fn in_batch(file: store::BatchWriter, batch: SharedBatch) -> FileWriter {
        FileWriter::of(Target::Batch(file, batch))
    }

    fn of(target: Target) -> FileWriter {
        FileWriter(Mutex::new(State {
            target: Some(target),
            written: 0,
        }))
    }

    fn batch(&self) -> Option<SharedBatch> {
        match &self.0.lock().target {
            Some(Target::Batch(_, batch)) => Some(batch.clone()),
            _ => None,
        }
    }
}

#[pymethods]
impl FileWriter {
    fn write(&self, py: Python<'_>, data: PyBackedBytes) -> PyResult<()> {
        let written = py.detach(|| {
            let mut state = self.0.lock();
            let target = state.target.as_mut()?;
            let written = target.write_all(&data);
            state.written += data.len() as u64;
            Some(written)
        });
        let written = written.ok_or_else(closed)?;
        written.map_err(|error| exception(StoreError::Source(error)))
    }

    fn tell(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.lock().written)
    }

    /// Ends the file; the snapshot that has it, unless it belongs to a batch.
    fn finish(&self, py: Python<'_>) -> PyResult<Option<Snapshot>> {
        if let Some(batch) = py.detach(|| self.batch()) {
            let added = detached(py, || {
                // First of all: where the batch is in use the file is not lost.
                let mut batch = batch.take()?;
                let Some(Target::Batch(file, _)) = self.0.lock().target.take() else {
                    return Ok(None);
                };
                batch.add_writer(file).map(Some)
            })?;
            return added.map(|()| None).ok_or_else(closed);
        }
        match py.detach(|| self.0.lock().target.take()) {
            Some(Target::Commit(file)) => {
                let snapshot = detached(py, || file.finish())?;
                Ok(Some(snapshot.into()))
            }
            _ => Err(closed()),
        }
    }

    fn discard(&self, py: Python<'_>) {
        py.detach(|| drop(self.0.lock().target.take()));
    }
}

fn closed() -> PyErr {
    PyValueError::new_err("I/O operation on closed file.")
}
