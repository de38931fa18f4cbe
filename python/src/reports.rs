//! Reports of changes as the tuples that `packhouse.store.changes` makes its classes of.

use packhouse_repo::store::{ChangeError, ChangeReport, FileEntry};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::paths::text;

/// Files added, updated and deleted, errors, and warnings.
pub(crate) fn report<'py>(py: Python<'py>, report: &ChangeReport) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(
        py,
        [
            files(py, &report.add)?,
            files(py, &report.update)?,
            files(py, &report.delete)?,
            problems(py, &report.errors)?,
            problems(py, &report.warnings)?,
        ],
    )
}

fn files<'py>(py: Python<'py>, entries: &[FileEntry]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for entry in entries {
        let source: Option<Bound<'_, PyString>> = entry.source.as_ref().map(|path| text(py, path));
        list.append((text(py, &entry.path), entry.file_type.as_str(), source))?;
    }
    Ok(list)
}

fn problems<'py>(py: Python<'py>, problems: &[ChangeError]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for problem in problems {
        list.append((text(py, &problem.path), &problem.error))?;
    }
    Ok(list)
}
