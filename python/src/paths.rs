//! Paths between Python and the store: text there, bytes here, by the rules of `os.fsencode` and `os.fsdecode`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use packhouse_object::ObjectId;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

/// A path in a repository, from `str`, `bytes` or `os.PathLike`.
pub(crate) struct RepoPath(pub(crate) Vec<u8>);

impl AsRef<[u8]> for RepoPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FromPyObject<'_, '_> for RepoPath {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> Result<Self, Self::Error> {
        Ok(RepoPath(os_string(object)?.into_vec()))
    }
}

/// A path on the local disk, from `str`, `bytes` or `os.PathLike`.
pub(crate) struct LocalPath(pub(crate) PathBuf);

impl FromPyObject<'_, '_> for LocalPath {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> Result<Self, Self::Error> {
        Ok(LocalPath(os_string(object)?.into()))
    }
}

fn os_string(object: Borrowed<'_, '_, PyAny>) -> PyResult<OsString> {
    if let Ok(text) = object.cast::<PyString>() {
        return text.extract();
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(OsString::from_vec(bytes.as_bytes().to_vec()));
    }
    let path = object.call_method0("__fspath__").map_err(|_| {
        let kind = object.get_type().name();
        let kind = kind.map_or_else(|_| String::new(), |name| format!(", not {name}"));
        PyTypeError::new_err(format!("a path is str or os.PathLike{kind}"))
    })?;
    match path.cast::<PyBytes>() {
        Ok(bytes) => Ok(OsString::from_vec(bytes.as_bytes().to_vec())),
        Err(_) => path.extract(),
    }
}

/// The bytes of a path, or of any other name, as text.
pub(crate) fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    let Ok(text) = OsStr::from_bytes(bytes).into_pyobject(py);
    text
}

/// A list of paths as text.
pub(crate) fn texts<'py, P: AsRef<[u8]>>(
    py: Python<'py>,
    paths: &[P],
) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, paths.iter().map(|path| text(py, path.as_ref())))
}

/// An object id from its 40 digits; what cannot be an id names nothing: `KeyError`.
pub(crate) fn object_id(hex: &str) -> PyResult<ObjectId> {
    ObjectId::from_hex(hex.as_bytes()).map_err(|_| PyKeyError::new_err(hex.to_owned()))
}
