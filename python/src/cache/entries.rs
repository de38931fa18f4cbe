//! What the cache tells, as dictionaries. Times are seconds since 1970.

use jiff::Timestamp;
use packhouse_client::cache::{Checkout, Details, Entry, Upstream};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::paths::text;

pub(super) fn entry<'py>(py: Python<'py>, entry: &Entry) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &entry.name)?;
    dict.set_item("source_url", &entry.source_url)?;
    dict.set_item("cache_type", entry.cache_type.as_str())?;
    dict.set_item("created_at", seconds(entry.created_at))?;
    dict.set_item("last_updated", seconds(entry.last_updated))?;
    dict.set_item("last_accessed", seconds(entry.last_accessed))?;
    dict.set_item("size_bytes", entry.size_bytes)?;
    dict.set_item("status", entry.status.as_str())?;
    dict.set_item("error_message", &entry.error_message)?;
    dict.set_item("notes", &entry.notes)?;
    dict.set_item("local_commit_hash", &entry.local_commit_hash)?;
    dict.set_item("local_branch", &entry.local_branch)?;
    dict.set_item("remote_commit_hash", &entry.remote_commit_hash)?;
    dict.set_item("remote_branch", &entry.remote_branch)?;
    dict.set_item("has_upstream_changes", entry.has_upstream_changes)?;
    dict.set_item("upstream_changes_summary", &entry.upstream_changes_summary)?;
    dict.set_item("last_diff_check", entry.last_diff_check.map(seconds))?;
    Ok(dict)
}

pub(super) fn details<'py>(py: Python<'py>, details: &Details) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("entry", entry(py, &details.entry)?)?;
    dict.set_item("exists", details.exists)?;
    dict.set_item("is_stale", details.is_stale)?;
    match &details.current {
        None => {}
        Some(Ok(current)) => dict.set_item("current", upstream(py, current)?)?,
        Some(Err(reason)) => dict.set_item("error", reason)?,
    }
    Ok(dict)
}

fn upstream<'py>(py: Python<'py>, upstream: &Upstream) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("local_commit_hash", &upstream.local_commit_hash)?;
    dict.set_item("local_branch", &upstream.local_branch)?;
    dict.set_item("remote_commit_hash", &upstream.remote_commit_hash)?;
    dict.set_item("remote_branch", &upstream.remote_branch)?;
    dict.set_item("has_upstream_changes", upstream.has_changes)?;
    dict.set_item("upstream_changes_summary", &upstream.summary)?;
    dict.set_item("checked_at", seconds(upstream.checked_at))?;
    Ok(dict)
}

pub(super) fn checkout<'py>(py: Python<'py>, checkout: &Checkout) -> PyResult<Bound<'py, PyDict>> {
    use std::os::unix::ffi::OsStrExt;

    let dict = PyDict::new(py);
    dict.set_item("id", &checkout.id)?;
    dict.set_item("entry", &checkout.entry)?;
    dict.set_item("path", text(py, checkout.path.as_os_str().as_bytes()))?;
    dict.set_item("commit", &checkout.commit)?;
    dict.set_item("created_at", seconds(checkout.created_at))?;
    dict.set_item("notes", &checkout.notes)?;
    Ok(dict)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_microsecond() as f64 / 1e6
}
