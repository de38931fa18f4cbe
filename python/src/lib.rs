//! `packhouse._native`: the embedded store, the client of the hosted API and the git cache for Python.
//!
//! Thin on purpose: arguments and results are converted here, everything a caller sees is in the Python package around it.
//! No work on a repository is done while other Python threads have to wait.

mod archives;
mod batch;
mod cache;
mod copying;
mod entries;
mod errors;
mod exclude;
mod files;
mod glob;
mod history;
mod hosted;
mod mirror;
mod notes;
mod numbers;
mod options;
mod packing;
mod paths;
mod progress;
mod reading;
mod rearranging;
mod refs;
mod reports;
mod snapshot;
mod store;
mod writer;
mod writing;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::archives::archive_format_of;
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::cache::{Cache, CacheError, CacheLease, CancelToken};
    #[pymodule_export]
    use crate::errors::{GitError, StaleSnapshotError};
    #[pymodule_export]
    use crate::exclude::{ExcludeFilter, disk_glob};
    #[pymodule_export]
    use crate::files::FileReader;
    #[pymodule_export]
    use crate::glob::Glob;
    #[pymodule_export]
    use crate::history::Log;
    #[pymodule_export]
    use crate::hosted::{
        HostedClient, HostedDownload, HostedEvents, HostedFailure, HostedRepo, HostedUpload,
        HostedWebhooks, generate_jwt, parse_signature_header, verify_signature,
    };
    #[pymodule_export]
    use crate::mirror::resolve_credentials;
    #[pymodule_export]
    use crate::notes::Notes;
    #[pymodule_export]
    use crate::progress::Stop;
    #[pymodule_export]
    use crate::reading::Walk;
    #[pymodule_export]
    use crate::refs::Refs;
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::writer::FileWriter;

    /// Version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
