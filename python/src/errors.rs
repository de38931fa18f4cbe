//! Which exception a failure of the store becomes.
//!
//! Kinds that Python has a built-in exception for raise that one. An error of the system keeps its number, so that Python
//! itself chooses the subclass of `OSError`.

use std::io;

use packhouse_repo::store::{StoreError, StoreErrorKind};
use pyo3::exceptions::{
    PyException, PyFileExistsError, PyFileNotFoundError, PyIsADirectoryError, PyKeyError,
    PyNotADirectoryError, PyOSError, PyPermissionError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

use crate::progress::Signals;

pyo3::create_exception!(
    packhouse.store,
    StaleSnapshotError,
    PyException,
    "The branch has moved since the snapshot was taken: fetch it again and repeat the write."
);
pyo3::create_exception!(
    packhouse.store,
    GitError,
    PyException,
    "The repository is damaged, locked, or of a form that is not understood."
);

/// Runs `work` while other Python threads go on. A signal ends it where it only waits.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, StoreError> + Send,
) -> PyResult<T> {
    Signals::heeded(py, |_| work(), exception)
}

/// The exception for a failure of the store.
pub(crate) fn exception(error: StoreError) -> PyErr {
    match &error {
        // A KeyError's argument is the key, as with any dictionary.
        StoreError::NoSuchBranch { name }
        | StoreError::NoSuchTag { name }
        | StoreError::NoSuchRef { name }
        | StoreError::UnknownPlaceholder { name } => PyKeyError::new_err(name.clone()),
        StoreError::NoSuchObject { id } => PyKeyError::new_err(id.clone()),
        StoreError::Local { path, source } => match source.raw_os_error() {
            Some(number) => PyOSError::new_err((
                number,
                reason(source.to_string()),
                path.as_os_str().to_owned(),
            )),
            None => of_kind(error.kind(), chain(&error)),
        },
        _ => of_failure(Failure::of(error.kind(), error.io(), &error)),
    }
}

/// What is kept of a failure, to raise it.
#[derive(Clone)]
pub(crate) struct Failure {
    kind: StoreErrorKind,
    /// The number of the system's own error behind it, if there is one.
    number: Option<i32>,
    text: String,
}

impl Failure {
    pub(crate) fn of(
        kind: StoreErrorKind,
        io: Option<&io::Error>,
        error: &dyn std::error::Error,
    ) -> Failure {
        Failure {
            kind,
            number: io.and_then(io::Error::raw_os_error),
            text: chain(error),
        }
    }
}

/// The exception for a failure.
pub(crate) fn of_failure(failure: Failure) -> PyErr {
    let Failure { kind, number, text } = failure;
    match number {
        Some(number) if is_kind_of(number, kind) => PyOSError::new_err((number, reason(text))),
        _ => of_kind(kind, text),
    }
}

/// Whether Python makes an exception of this kind of the system's number. A file of the repository that is not there is
/// not the one that was asked for.
fn is_kind_of(number: i32, kind: StoreErrorKind) -> bool {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    match io::Error::from_raw_os_error(number).kind() {
        PermissionDenied => kind == StoreErrorKind::Permission,
        AlreadyExists | IsADirectory | NotADirectory | NotFound => false,
        _ => kind == StoreErrorKind::Os,
    }
}

/// The exception of a kind, with this text.
fn of_kind(kind: StoreErrorKind, text: String) -> PyErr {
    match kind {
        StoreErrorKind::NotFound => PyFileNotFoundError::new_err(text),
        StoreErrorKind::Exists => PyFileExistsError::new_err(text),
        StoreErrorKind::IsADirectory => PyIsADirectoryError::new_err(text),
        StoreErrorKind::NotADirectory => PyNotADirectoryError::new_err(text),
        StoreErrorKind::Permission => PyPermissionError::new_err(text),
        StoreErrorKind::Key => PyKeyError::new_err(text),
        StoreErrorKind::Value => PyValueError::new_err(text),
        StoreErrorKind::Type => PyTypeError::new_err(text),
        StoreErrorKind::Stale => StaleSnapshotError::new_err(text),
        StoreErrorKind::Runtime => PyRuntimeError::new_err(text),
        StoreErrorKind::Os => PyOSError::new_err(text),
        StoreErrorKind::Git => GitError::new_err(text),
    }
}

/// What the system said, without the number that Rust appends.
fn reason(text: String) -> String {
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}
