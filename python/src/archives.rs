//! Archives, to and from Python's file objects.

use std::io::{self, BufWriter, Read, Write};

use packhouse_repo::store::{ArchiveFormat, ArchiveIn, StoreError};
use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::errors::exception;
use crate::options::object_ids;
use crate::paths::{LocalPath, RepoPath};
use crate::progress::Progress;
use crate::snapshot::Snapshot;

/// How much is handed to Python at a time.
const PIECE_LEN: usize = 256 << 10;

#[pymethods]
#[expect(
    clippy::too_many_arguments,
    reason = "they are Python's keyword arguments"
)]
impl Snapshot {
    /// How many files were written to `file`.
    fn archive_out(
        &self,
        py: Python<'_>,
        file: Py<PyAny>,
        path: RepoPath,
        format: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let format = archive_format(format)?;
        let file = PyFile::new(file);
        let written = Progress::watch(py, progress, |progress| {
            let mut out = BufWriter::with_capacity(PIECE_LEN, &file);
            let files = self.0.archive_out(&path, &mut out, format, progress)?;
            out.flush().map_err(StoreError::Source)?;
            Ok(files)
        });
        file.result(written)
    }

    /// How many files were written to the local file `file`.
    fn archive_to_file(
        &self,
        py: Python<'_>,
        file: LocalPath,
        path: RepoPath,
        format: &str,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let format = archive_format(format)?;
        Progress::watch(py, progress, |progress| {
            self.0.archive_to_file(&path, &file.0, format, progress)
        })
    }

    fn archive_in(
        &self,
        py: Python<'_>,
        file: Py<PyAny>,
        dest: RepoPath,
        format: &str,
        dry_run: bool,
        message: Option<String>,
        parents: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Snapshot> {
        let format = archive_format(format)?;
        let options = ArchiveIn {
            dest: dest.0.into(),
            dry_run,
            message,
            parents: object_ids(&parents)?,
            ..ArchiveIn::default()
        };
        let file = PyFile::new(file);
        let taken = Progress::watch(py, progress, |progress| {
            self.0.archive_in(&mut &file, format, &options, progress)
        });
        file.result(taken).map(Snapshot::from)
    }
}

/// The format that a file's name tells, as the name that the methods above take.
#[pyfunction]
pub(crate) fn archive_format_of(path: LocalPath) -> Option<&'static str> {
    ArchiveFormat::from_path(path.0).map(ArchiveFormat::name)
}

fn archive_format(name: &str) -> PyResult<ArchiveFormat> {
    name.parse().map_err(exception)
}

/// A file object of Python's. What its methods raise is raised again in the end.
struct PyFile {
    object: Py<PyAny>,
    raised: Mutex<Option<PyErr>>,
}

impl PyFile {
    fn new(object: Py<PyAny>) -> PyFile {
        PyFile {
            object,
            raised: Mutex::new(None),
        }
    }

    fn call<T>(&self, call: impl FnOnce(Python<'_>) -> PyResult<T>) -> io::Result<T> {
        Python::attach(call).map_err(|error| {
            self.raised.lock().get_or_insert(error);
            io::Error::other("the file object raised an exception")
        })
    }

    fn result<T>(self, result: PyResult<T>) -> PyResult<T> {
        match self.raised.into_inner() {
            Some(raised) => Err(raised),
            None => result,
        }
    }
}

impl Read for &PyFile {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.call(|py| {
            let wanted = out.len().min(PIECE_LEN);
            let data: PyBackedBytes = self
                .object
                .call_method1(py, "read", (wanted,))?
                .extract(py)?;
            match out.get_mut(..data.len()) {
                Some(place) => place.copy_from_slice(&data),
                None => return Err(PyValueError::new_err("read() gave more than was asked for")),
            }
            Ok(data.len())
        })
    }
}

impl Write for &PyFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.call(|py| {
            let taken = self
                .object
                .call_method1(py, "write", (PyBytes::new(py, data),))?;
            // A raw file may take less than it is given; what answers with no number has taken all.
            let taken = taken.extract::<usize>(py).unwrap_or(data.len());
            Ok(taken.min(data.len()))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
