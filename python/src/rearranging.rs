//! Removing, moving, and copying between snapshots.

use packhouse_repo::store::{CopyBetween, Remove, Rename};
use pyo3::prelude::*;

use crate::errors::detached;
use crate::options::object_ids;
use crate::paths::RepoPath;
use crate::snapshot::Snapshot;

#[pymethods]
#[expect(
    clippy::too_many_arguments,
    reason = "they are Python's keyword arguments"
)]
impl Snapshot {
    #[pyo3(signature = (sources, *, recursive, dry_run, message, parents))]
    fn remove(
        &self,
        py: Python<'_>,
        sources: Vec<RepoPath>,
        recursive: bool,
        dry_run: bool,
        message: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = Remove {
            recursive,
            dry_run,
            message,
            parents: object_ids(&parents)?,
        };
        Ok(detached(py, || self.0.remove(&sources, &options))?.into())
    }

    #[pyo3(signature = (sources, dest, *, recursive, dry_run, message, parents))]
    fn r#move(
        &self,
        py: Python<'_>,
        sources: Vec<RepoPath>,
        dest: RepoPath,
        recursive: bool,
        dry_run: bool,
        message: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = Rename {
            recursive,
            dry_run,
            message,
            parents: object_ids(&parents)?,
        };
        Ok(detached(py, || self.0.rename(&sources, &dest, &options))?.into())
    }

    /// Each file to a place of its own.
    fn move_each(&self, py: Python<'_>, moves: Vec<(RepoPath, RepoPath)>) -> PyResult<Snapshot> {
        let options = Rename::default();
        Ok(detached(py, || self.0.rename_each(moves, &options))?.into())
    }

    #[pyo3(signature = (source, sources, dest, *, delete, exact, dry_run, message, parents))]
    fn copy_from(
        &self,
        py: Python<'_>,
        source: &Snapshot,
        sources: Vec<RepoPath>,
        dest: RepoPath,
        delete: bool,
        exact: bool,
        dry_run: bool,
        message: Option<String>,
        parents: Vec<String>,
    ) -> PyResult<Snapshot> {
        let options = CopyBetween {
            delete,
            exact,
            dry_run,
            message,
            parents: object_ids(&parents)?,
            ..CopyBetween::default()
        };
        let copied = detached(py, || {
            self.0.copy_from(&source.0, &sources, &dest, &options)
        })?;
        Ok(copied.into())
    }
}
