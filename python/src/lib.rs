//! `packhouse._native`: the embedded store for Python.
//!
//! Thin on purpose: arguments and results are converted here, everything a caller sees is in the Python package around it.
//! No work on a repository is done while other Python threads have to wait.

mod errors;
mod files;
mod paths;
mod reading;
mod refs;
mod reports;
mod snapshot;
mod store;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::errors::{GitError, StaleSnapshotError};
    #[pymodule_export]
    use crate::files::FileReader;
    #[pymodule_export]
    use crate::reading::Walk;
    #[pymodule_export]
    use crate::refs::Refs;
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::store::Store;
}
