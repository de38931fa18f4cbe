//! Excludes, and globbing on the local disk.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use packhouse_repo::store::{self, StoreError};
use parking_lot::RwLock;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors::detached;
use crate::paths::{LocalPath, RepoPath, texts};

/// Which local files to leave out.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct ExcludeFilter(pub(crate) RwLock<store::ExcludeFilter>);

#[pymethods]
impl ExcludeFilter {
    #[new]
    fn new(
        py: Python<'_>,
        patterns: Vec<RepoPath>,
        exclude_from: Option<LocalPath>,
        gitignore: bool,
    ) -> PyResult<Self> {
        let filter = detached(py, || {
            let file = exclude_from.as_ref().map(|path| path.0.as_path());
            if let Some(path) = file {
                check_has_end(path).map_err(StoreError::local(path))?;
            }
            store::ExcludeFilter::new(&patterns, file, gitignore)
        })?;
        Ok(ExcludeFilter(RwLock::new(filter)))
    }

    #[getter]
    fn active(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.read().active())
    }

    fn is_excluded(&self, py: Python<'_>, path: RepoPath, is_dir: bool) -> bool {
        py.detach(|| self.0.read().is_excluded(&path, is_dir))
    }

    fn enter_directory(&self, py: Python<'_>, folder: LocalPath, path: RepoPath) {
        py.detach(|| self.0.write().enter_directory(&folder.0, &path));
    }

    fn is_excluded_in_walk(&self, py: Python<'_>, path: RepoPath, is_dir: bool) -> bool {
        py.detach(|| self.0.read().is_excluded_in_walk(&path, is_dir))
    }
}

/// An error for what may have no end, or nobody who writes into it.
fn check_has_end(path: &Path) -> io::Result<()> {
    let found = path.metadata()?.file_type();
    match found.is_file() || found.is_dir() {
        true => Ok(()),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// The local files and directories that match, sorted.
#[pyfunction]
pub(crate) fn disk_glob(py: Python<'_>, pattern: LocalPath) -> PyResult<Bound<'_, PyList>> {
    let found = py.detach(|| store::disk_glob(&pattern.0));
    let found: Vec<Vec<u8>> = found.into_iter().map(|path| path.into_vec()).collect();
    texts(py, &found)
}
