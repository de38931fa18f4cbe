//! Writing files: each call is one commit. The snapshot itself comes back where nothing changes.

use std::path::PathBuf;

use packhouse_repo::store::NewContent;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::batch::Batch;
use crate::errors::detached;
use crate::options::{Mode, commit_options, write_options};
use crate::paths::{LocalPath, RepoPath};
use crate::snapshot::Snapshot;
use crate::writer::FileWriter;

#[pymethods]
impl Snapshot {
    fn write(
        &self,
        py: Python<'_>,
        path: RepoPath,
        data: PyBackedBytes,
        message: Option<String>,
        mode: Option<Mode>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = write_options(message, mode, &parents)?;
        Ok(detached(py, || self.0.write(&path, &data, &options))?.into())
    }

    fn write_from_file(
        &self,
        py: Python<'_>,
        path: RepoPath,
        local: LocalPath,
        message: Option<String>,
        mode: Option<Mode>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = write_options(message, mode, &parents)?;
        let written = detached(py, || self.0.write_from_file(&path, &local.0, &options))?;
        Ok(written.into())
    }

    fn write_symlink(
        &self,
        py: Python<'_>,
        path: RepoPath,
        target: RepoPath,
        message: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = write_options(message, None, &parents)?;
        let written = detached(py, || self.0.write_symlink(&path, &target, &options))?;
        Ok(written.into())
    }

    fn writer(
        &self,
        py: Python<'_>,
        path: RepoPath,
        message: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<FileWriter> {
        let options = write_options(message, None, &parents)?;
        detached(py, || self.0.writer(&path, options)).map(FileWriter::committing)
    }

    fn apply(
        &self,
        py: Python<'_>,
        writes: Vec<(RepoPath, Content, Option<Mode>)>,
        removes: Vec<RepoPath>,
        message: Option<String>,
        operation: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = commit_options(message, operation, &parents)?;
        let written = detached(py, || {
            // One content at a time is copied out of Python's memory.
            let writes = writes.iter().map(|(path, content, mode)| {
                (path, content.to_store(), mode.as_ref().map(|mode| mode.0))
            });
            self.0.apply(writes, &removes, options)
        })?;
        Ok(written.into())
    }

    fn batch(
        &self,
        py: Python<'_>,
        message: Option<String>,
        operation: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<Batch> {
        let options = commit_options(message, operation, &parents)?;
        detached(py, || self.0.batch(options)).map(Batch::from)
    }
}

/// What `apply` writes to one path, from a pair of its kind and itself.
enum Content {
    Bytes(PyBackedBytes),
    File(PathBuf),
    Link(Vec<u8>),
}

impl Content {
    fn to_store(&self) -> NewContent {
        match self {
            Content::Bytes(data) => NewContent::Bytes(data.to_vec()),
            Content::File(path) => NewContent::File(path.clone()),
            Content::Link(target) => NewContent::Symlink(target.clone().into()),
        }
    }
}

impl FromPyObject<'_, '_> for Content {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> Result<Self, Self::Error> {
        let (kind, value): (String, Bound<'_, PyAny>) = object.extract()?;
        match kind.as_str() {
            "bytes" => Ok(Content::Bytes(value.extract()?)),
            "file" => Ok(Content::File(value.extract::<LocalPath>()?.0)),
            "link" => Ok(Content::Link(value.extract::<RepoPath>()?.0)),
            other => Err(PyValueError::new_err(format!("no content is {other:?}"))),
        }
    }
}
