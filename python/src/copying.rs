//! Copying between a snapshot and the disk.

use packhouse_repo::store::{self, CopyIn, CopyOut, SyncIn, SyncOut};
use pyo3::prelude::*;

use crate::exclude::ExcludeFilter;
use crate::options::{Mode, object_ids};
use crate::paths::{LocalPath, RepoPath};
use crate::progress::Progress;
use crate::snapshot::Snapshot;

#[pymethods]
#[expect(
    clippy::too_many_arguments,
    reason = "they are Python's keyword arguments"
)]
#[expect(
    clippy::fn_params_excessive_bools,
    reason = "they are Python's keyword arguments"
)]
impl Snapshot {
    #[pyo3(signature = (sources, dest, *, dry_run, follow_symlinks, message, mode, ignore_existing, delete, ignore_errors, checksum, exclude, keep_excluded, parents, progress))]
    fn copy_in(
        &self,
        py: Python<'_>,
        sources: Vec<LocalPath>,
        dest: RepoPath,
        dry_run: bool,
        follow_symlinks: bool,
        message: Option<String>,
        mode: Option<Mode>,
        ignore_existing: bool,
        delete: bool,
        ignore_errors: bool,
        checksum: bool,
        exclude: Option<Bound<'_, ExcludeFilter>>,
        keep_excluded: bool,
        parents: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Snapshot> {
        let options = CopyIn {
            sources: sources.into_iter().map(|path| path.0.into()).collect(),
            dest: dest.0.into(),
            dry_run,
            follow_symlinks,
            message,
            mode: mode.map(|mode| mode.0),
            ignore_existing,
            delete,
            ignore_errors,
            checksum,
            exclude: filter(exclude),
            keep_excluded,
            parents: object_ids(&parents)?,
            ..CopyIn::default()
        };
        let copied = Progress::watch(py, progress, |progress| {
            self.0.copy_in(&CopyIn {
                progress: Some(progress),
                ..options
            })
        })?;
        Ok(copied.into())
    }

    #[pyo3(signature = (sources, dest, *, dry_run, ignore_existing, delete, ignore_errors, checksum, progress))]
    fn copy_out(
        &self,
        py: Python<'_>,
        sources: Vec<RepoPath>,
        dest: LocalPath,
        dry_run: bool,
        ignore_existing: bool,
        delete: bool,
        ignore_errors: bool,
        checksum: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Snapshot> {
        let copied = Progress::watch(py, progress, |progress| {
            self.0.copy_out(&CopyOut {
                sources: sources.into_iter().map(|path| path.0.into()).collect(),
                dest: dest.0,
                dry_run,
                ignore_existing,
                delete,
                ignore_errors,
                checksum,
                progress: Some(progress),
                ..CopyOut::default()
            })
        })?;
        Ok(copied.into())
    }

    #[pyo3(signature = (local, path, *, dry_run, message, ignore_errors, checksum, exclude, keep_excluded, parents, progress))]
    fn sync_in(
        &self,
        py: Python<'_>,
        local: LocalPath,
        path: RepoPath,
        dry_run: bool,
        message: Option<String>,
        ignore_errors: bool,
        checksum: bool,
        exclude: Option<Bound<'_, ExcludeFilter>>,
        keep_excluded: bool,
        parents: Vec<String>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Snapshot> {
        let exclude = filter(exclude);
        let parents = object_ids(&parents)?;
        let synced = Progress::watch(py, progress, |progress| {
            let options = SyncIn {
                dry_run,
                message,
                ignore_errors,
                checksum,
                exclude,
                keep_excluded,
                parents,
                progress: Some(progress),
                ..SyncIn::default()
            };
            self.0.sync_in(&local.0, &path, &options)
        })?;
        Ok(synced.into())
    }

    #[pyo3(signature = (path, local, *, dry_run, ignore_errors, checksum, progress))]
    fn sync_out(
        &self,
        py: Python<'_>,
        path: RepoPath,
        local: LocalPath,
        dry_run: bool,
        ignore_errors: bool,
        checksum: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Snapshot> {
        let synced = Progress::watch(py, progress, |progress| {
            let options = SyncOut {
                dry_run,
                ignore_errors,
                checksum,
                progress: Some(progress),
            };
            self.0.sync_out(&path, &local.0, &options)
        })?;
        Ok(synced.into())
    }
}

/// The filter as it is now; the copy takes its own walk with it.
fn filter(filter: Option<Bound<'_, ExcludeFilter>>) -> Option<store::ExcludeFilter> {
    filter.map(|filter| {
        let py = filter.py();
        let filter = filter.get();
        py.detach(|| filter.0.read().clone())
    })
}
