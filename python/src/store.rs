//! The store: opening, and what concerns the repository as a whole.

use std::os::unix::ffi::OsStrExt;

use packhouse_repo::store::{self, Create, Durability, Identity, Messages, StoreOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

use crate::errors::detached;
use crate::numbers::Number;
use crate::options::{Mode, write_options};
use crate::paths::{LocalPath, RepoPath, object_id, text};
use crate::reading::{part_size, part_start};
use crate::refs::Refs;
use crate::snapshot::Snapshot;

/// An open repository.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Store(pub(crate) store::Store);

#[pymethods]
impl Store {
    #[staticmethod]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are Python's keyword arguments"
    )]
    #[pyo3(signature = (path, *, create, branch, name, email, durability, messages, compression, big_file_threshold, read_only))]
    fn open(
        py: Python<'_>,
        path: LocalPath,
        create: &str,
        branch: Option<String>,
        name: String,
        email: String,
        durability: &str,
        messages: &str,
        compression: Option<Number>,
        big_file_threshold: Option<Number>,
        read_only: bool,
    ) -> PyResult<Store> {
        let big_file_threshold = big_file_threshold
            .map(|bytes| u64::try_from(bytes.0))
            .transpose()
            .map_err(|_| PyValueError::new_err("big_file_threshold is a number of bytes"))?;
        // One that is no level is named by the store.
        let compression = compression.map(|level| level.0.clamp(-2, 10) as i32);
        let options = StoreOptions {
            create: match create {
                "never" => Create::Never,
                "if_missing" => Create::IfMissing { branch },
                "new" => Create::New { branch },
                other => return Err(unknown("create", other)),
            },
            identity: Identity { name, email },
            durability: match durability {
                "full" => Durability::Full,
                "relaxed" => Durability::Relaxed,
                other => return Err(unknown("durability", other)),
            },
            messages: match messages {
                "classic" => Messages::Classic,
                "compact" => Messages::Compact,
                other => return Err(unknown("messages", other)),
            },
            compression,
            big_file_threshold,
            read_only,
        };
        detached(py, || store::Store::open(&path.0, options)).map(Store)
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, self.0.path().as_os_str().as_bytes())
    }

    /// Name and address of who makes the commits.
    #[getter]
    fn identity(&self) -> (&str, &str) {
        let identity = self.0.identity();
        (&identity.name, &identity.email)
    }

    fn branches(&self) -> Refs {
        Refs(self.0.branches())
    }

    fn tags(&self) -> Refs {
        Refs(self.0.tags())
    }

    fn snapshot(&self, py: Python<'_>, rev: &str, back: u64) -> PyResult<Snapshot> {
        Ok(detached(py, || self.0.snapshot(rev, back))?.into())
    }

    fn snapshot_at(
        &self,
        py: Python<'_>,
        commit: &str,
        ref_name: Option<String>,
        writable: bool,
    ) -> PyResult<Snapshot> {
        let commit = object_id(commit)?;
        Ok(detached(py, || self.0.snapshot_at(commit, ref_name, writable))?.into())
    }

    fn read_blob<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        offset: Number,
        size: Option<Number>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let id = object_id(id)?;
        let size = part_size(size)?;
        let data = detached(py, || {
            let start = match u64::try_from(offset.0) {
                Ok(start) => start,
                Err(_) => part_start(offset, self.0.blob_reader(&id)?.0),
            };
            self.0.read_blob(&id, start, size)
        })?;
        Ok(PyBytes::new(py, &data))
    }

    /// Calls `action` in this thread's turn to write: no other thread or process that uses this engine writes meanwhile.
    fn exclusively(&self, py: Python<'_>, action: Py<PyAny>) -> PyResult<Py<PyAny>> {
        detached(py, || {
            let _turn = self.0.exclusive()?;
            Ok(Python::attach(|py| action.call0(py)))
        })?
    }

    /// Writes a file to the newest state of a branch, up to `attempts` times.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are Python's keyword arguments"
    )]
    fn write_to_newest(
        &self,
        py: Python<'_>,
        branch: &str,
        path: RepoPath,
        data: PyBackedBytes,
        message: Option<String>,
        mode: Option<Mode>,
        attempts: Number,
    ) -> PyResult<Snapshot> {
        let options = write_options(message, mode, &[])?;
        let retries = u32::try_from(attempts.unsigned())
            .unwrap_or(u32::MAX)
            .saturating_sub(1);
        let written = detached(py, || {
            store::retry_write(&self.0, branch, &path, &data, &options, retries)
        });
        Ok(written?.into())
    }

    fn has_blob(&self, py: Python<'_>, id: &str) -> PyResult<bool> {
        match object_id(id) {
            Ok(id) => detached(py, || self.0.has_blob(&id)),
            Err(_) => Ok(false),
        }
    }
}

fn unknown(what: &str, value: &str) -> PyErr {
    PyValueError::new_err(format!("{what} cannot be {value:?}"))
}
