//! Files read in pieces.
//!
//! Each is behind a lock that is only ever taken while other Python threads may run: one that waited for it while it held
//! the interpreter would wait for ever.

use std::io::{Read, Seek, SeekFrom};

use packhouse_repo::store;
use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::numbers::Number;

/// A file of a snapshot, read from any place.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct FileReader {
    size: u64,
    file: Mutex<store::FileReader>,
}

impl From<store::FileReader> for FileReader {
    fn from(file: store::FileReader) -> Self {
        FileReader {
            size: file.size(),
            file: Mutex::new(file),
        }
    }
}

#[pymethods]
impl FileReader {
    #[getter]
    fn size(&self) -> u64 {
        self.size
    }

    /// `size` bytes, less at the end of the file; all that are left for `None`.
    fn read<'py>(&self, py: Python<'py>, size: Option<usize>) -> PyResult<Bound<'py, PyBytes>> {
        let position = py.detach(|| self.file.lock().stream_position())?;
        let left = usize::try_from(self.size.saturating_sub(position)).unwrap_or(usize::MAX);
        read_exactly(py, &self.file, size.unwrap_or(left).min(left))
    }

    fn seek(&self, py: Python<'_>, offset: Number, whence: Number) -> PyResult<u64> {
        let offset = offset.0;
        let to = match whence.0 {
            0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| before_the_start())?),
            1 => SeekFrom::Current(offset),
            2 => SeekFrom::End(offset),
            other => return Err(PyValueError::new_err(format!("invalid whence {other}"))),
        };
        let moved = py.detach(|| self.file.lock().seek(to));
        moved.map_err(|_| before_the_start())
    }

    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.file.lock().stream_position())?)
    }
}

/// As the system says it of a file on disk.
fn before_the_start() -> PyErr {
    const INVALID: i32 = 22;
    PyOSError::new_err((INVALID, "Invalid argument"))
}

/// The next `len` bytes, read into the memory that Python gets. The file is known to have them.
pub(crate) fn read_exactly<'py>(
    py: Python<'py>,
    file: &Mutex<store::FileReader>,
    len: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, len, |buffer| {
        py.detach(|| file.lock().read_exact(buffer))
            .map_err(|error| PyOSError::new_err(error.to_string()))
    })
}
