//! Backup, restore and bundles.

use packhouse_client::{
    MirrorDiff, MirrorError, MirrorFormat, MirrorOptions, RefChange, RefSelection,
};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;

use crate::errors::{Failure, exception, of_failure};
use crate::paths::LocalPath;
use crate::progress::Progress;
use crate::store::Store;

/// Refs here and what they are called there.
type Refs = Option<Vec<(String, String)>>;
/// Name, old id and new id of the refs added, updated and deleted.
type Changes = (Vec<Change>, Vec<Change>, Vec<Change>);
type Change = (String, Option<String>, Option<String>);

#[pymethods]
#[expect(
    clippy::too_many_arguments,
    reason = "they are Python's keyword arguments"
)]
impl Store {
    fn backup(
        &self,
        py: Python<'_>,
        url: LocalPath,
        dry_run: bool,
        refs: Refs,
        format: Option<&str>,
        squash: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Changes> {
        let (refs, format) = (selection(refs), kind(format)?);
        let backup = |progress: &Progress<'_>| {
            let options = MirrorOptions {
                dry_run,
                refs,
                squash,
                format,
                progress: Some(progress),
                ..MirrorOptions::default()
            };
            packhouse_client::backup(&self.0, &url.0, &options)
        };
        Progress::watch_any(py, progress, backup, mirror_exception).map(changes)
    }

    fn restore(
        &self,
        py: Python<'_>,
        url: LocalPath,
        dry_run: bool,
        refs: Refs,
        format: Option<&str>,
        squash: bool,
        additive: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Changes> {
        let (refs, format) = (selection(refs), kind(format)?);
        let restore = |progress: &Progress<'_>| {
            let options = MirrorOptions {
                dry_run,
                refs,
                squash,
                format,
                additive,
                progress: Some(progress),
                ..MirrorOptions::default()
            };
            packhouse_client::restore(&self.0, &url.0, &options)
        };
        Progress::watch_any(py, progress, restore, mirror_exception).map(changes)
    }

    fn bundle_export(
        &self,
        py: Python<'_>,
        path: LocalPath,
        refs: Refs,
        squash: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let refs = selection(refs);
        let export = |progress: &Progress<'_>| {
            packhouse_client::bundle_export(&self.0, &path.0, &refs, squash, Some(progress))
        };
        Progress::watch_any(py, progress, export, mirror_exception).map(drop)
    }

    fn bundle_import(
        &self,
        py: Python<'_>,
        path: LocalPath,
        refs: Refs,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let refs = selection(refs);
        let import = |progress: &Progress<'_>| {
            packhouse_client::bundle_import(&self.0, &path.0, &refs, Some(progress))
        };
        Progress::watch_any(py, progress, import, mirror_exception).map(drop)
    }
}

/// The URL with the credentials that this machine knows for it.
#[pyfunction]
pub(crate) fn resolve_credentials(py: Python<'_>, url: &str) -> String {
    py.detach(|| packhouse_client::resolve_credentials(url))
}

fn selection(refs: Refs) -> RefSelection {
    match refs {
        None => RefSelection::All,
        Some(pairs) => RefSelection::Names(
            pairs
                .into_iter()
                .map(|(here, there)| {
                    let renamed = (there != here).then_some(there);
                    (here, renamed)
                })
                .collect(),
        ),
    }
}

fn kind(format: Option<&str>) -> PyResult<Option<MirrorFormat>> {
    match format {
        None => Ok(None),
        Some("bundle") => Ok(Some(MirrorFormat::Bundle)),
        Some("repository") => Ok(Some(MirrorFormat::Repository)),
        Some(other) => Err(PyValueError::new_err(format!(
            "format is \"bundle\" or \"repository\", not {other:?}"
        ))),
    }
}

fn changes(diff: MirrorDiff) -> Changes {
    let list = |changes: Vec<RefChange>| {
        changes
            .into_iter()
            .map(|change| {
                let id = |id: Option<packhouse_object::ObjectId>| id.map(|id| id.to_string());
                (change.name, id(change.old), id(change.new))
            })
            .collect()
    };
    (list(diff.add), list(diff.update), list(diff.delete))
}

fn mirror_exception(error: MirrorError) -> PyErr {
    match error {
        MirrorError::Store(error) => exception(error),
        MirrorError::NoSuchRef { name } => PyKeyError::new_err(name),
        error => of_failure(Failure::of(error.kind(), error.io(), &error)),
    }
}
