//! What writes are given besides paths and content.

use packhouse_object::ObjectId;
use packhouse_repo::store::{CommitOptions, FileType, WriteOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::paths::object_id;

/// A file type by its name.
pub(crate) struct Mode(pub(crate) FileType);

impl FromPyObject<'_, '_> for Mode {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> Result<Self, Self::Error> {
        let name: String = object.extract()?;
        let types = [FileType::Blob, FileType::Executable, FileType::Link];
        let found = types.into_iter().find(|kind| kind.as_str() == name);
        found.map(Mode).ok_or_else(|| {
            PyValueError::new_err(format!("a file cannot be written with type {name:?}"))
        })
    }
}

/// The options of a write of one file.
pub(crate) fn write_options(
    message: Option<String>,
    mode: Option<Mode>,
    parents: &[String],
) -> PyResult<WriteOptions> {
    Ok(WriteOptions {
        message,
        mode: mode.map(|mode| mode.0),
        parents: object_ids(parents)?,
    })
}

/// The options of a commit of several changes.
pub(crate) fn commit_options(
    message: Option<String>,
    operation: Option<String>,
    parents: &[String],
) -> PyResult<CommitOptions> {
    Ok(CommitOptions {
        message,
        operation,
        parents: object_ids(parents)?,
        ..CommitOptions::default()
    })
}

/// Commits by their ids.
pub(crate) fn object_ids(ids: &[String]) -> PyResult<Vec<ObjectId>> {
    ids.iter().map(|id| object_id(id)).collect()
}
