//! The git cache. The manager around it is Python's; here is one call for each of the engine's.

mod calls;
mod credentials;
mod entries;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use packhouse_client::cache;
use parking_lot::Mutex;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::paths::LocalPath;
use calls::{run, run_watched};
use credentials::Asked;
use entries::{checkout, details, entry};

pub(crate) use calls::CancelToken;

pyo3::create_exception!(
    packhouse.cache,
    CacheError,
    PyException,
    "A call of the cache failed; the text says why and what to do."
);

/// An open cache.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct Cache(cache::Cache);

/// An entry that stays until it is released.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct CacheLease(Mutex<Option<cache::Lease>>);

#[pymethods]
impl Cache {
    /// `credentials` is called with a URL and returns a user and a password, or None.
    #[staticmethod]
    #[pyo3(signature = (root, *, timeout_seconds, max_bytes, git_config, credentials))]
    fn open(
        py: Python<'_>,
        root: LocalPath,
        timeout_seconds: u64,
        max_bytes: u64,
        git_config: BTreeMap<String, String>,
        credentials: Py<PyAny>,
    ) -> PyResult<Cache> {
        let config = cache::CacheConfig {
            timeout: Duration::from_secs(timeout_seconds),
            max_bytes,
            git_config,
            credentials: vec![Arc::new(Asked(credentials))],
            ..cache::CacheConfig::at(root.0)
        };
        run(py, || cache::Cache::open(config)).map(Cache)
    }

    /// The names of settings that do nothing.
    fn unheeded_settings(&self) -> Vec<String> {
        self.0.unheeded_settings().to_vec()
    }

    fn add<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        name: Option<&str>,
        cancel: &CancelToken,
    ) -> PyResult<Bound<'py, PyDict>> {
        let added = run_watched(py, cancel, |call| self.0.add(source, name, call))?;
        entry(py, &added)
    }

    fn refresh<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        cancel: &CancelToken,
    ) -> PyResult<Bound<'py, PyDict>> {
        let refreshed = run_watched(py, cancel, |call| self.0.refresh(name, call))?;
        entry(py, &refreshed)
    }

    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
        let found = run(py, || self.0.get(name))?;
        entry(py, &found)
    }

    /// All entries, and what everything takes in bytes at the same moment.
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Bound<'py, PyDict>>, u64)> {
        let found = run(py, || self.0.overview())?;
        let entries = found.entries.iter().map(|found| entry(py, found));
        let entries = entries.collect::<PyResult<_>>()?;
        Ok((entries, found.stats.total_size_bytes))
    }

    fn details<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        cancel: &CancelToken,
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = run_watched(py, cancel, |call| self.0.details(name, call))?;
        details(py, &found)
    }

    fn remove(&self, py: Python<'_>, name: &str, cancel: &CancelToken) -> PyResult<()> {
        run_watched(py, cancel, |call| self.0.remove(name, call))
    }

    /// What is in use and stays, and by whom.
    fn clear(&self, py: Python<'_>, cancel: &CancelToken) -> PyResult<Vec<String>> {
        let cleared = run_watched(py, cancel, |call| self.0.clear(call))?;
        Ok(cleared.in_use)
    }

    fn checkout<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        revision: &str,
        cancel: &CancelToken,
    ) -> PyResult<Bound<'py, PyDict>> {
        let made = run_watched(py, cancel, |call| self.0.checkout(name, revision, call))?;
        checkout(py, &made)
    }

    fn checkouts<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let found = run(py, || self.0.checkouts())?;
        found.iter().map(|found| checkout(py, found)).collect()
    }

    fn remove_checkout(&self, py: Python<'_>, id: &str) -> PyResult<()> {
        run(py, || self.0.remove_checkout(id))
    }

    fn lease(&self, py: Python<'_>, name: &str, cancel: &CancelToken) -> PyResult<CacheLease> {
        let lease = run_watched(py, cancel, |call| self.0.lease(name, call))?;
        Ok(CacheLease(Mutex::new(Some(lease))))
    }
}

#[pymethods]
impl CacheLease {
    fn release(&self, py: Python<'_>) {
        let lease = self.0.lock().take();
        py.detach(|| drop(lease));
    }
}
