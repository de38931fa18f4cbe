//! How calls run: on threads of their own, while Python's event loop goes on. A cancelled awaitable ends its request.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

use packhouse_client::hosted::HostedError;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pythonize::{depythonize, pythonize};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failures::failure;

/// The process whose threads run the calls; 0 until there is one.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// An answer that becomes a dictionary.
pub(super) struct Json<T>(pub(super) T);

impl<'py, T: Serialize> IntoPyObject<'py> for Json<T> {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(pythonize(py, &self.0)?)
    }
}

/// The request in a dictionary.
pub(super) fn request_of<T: DeserializeOwned>(request: &Bound<'_, PyAny>) -> PyResult<T> {
    depythonize(request).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// An awaitable of the answer of `call`, as a dictionary.
pub(super) fn answer<'py, T: Serialize + Send + 'static>(
    py: Python<'py>,
    call: impl Future<Output = Result<T, HostedError>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    spawn(py, async move { call.await.map(Json) })
}

/// An awaitable of what `call` returns.
pub(super) fn spawn<'py, T>(
    py: Python<'py>,
    call: impl Future<Output = Result<T, HostedError>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'any> IntoPyObject<'any> + Send + 'static,
{
    let here = std::process::id();
    let owner = PROCESS
        .compare_exchange(0, here, Ordering::Relaxed, Ordering::Relaxed)
        .unwrap_or_else(|owner| owner);
    // A forked process has the memory of the threads and not the threads: a call would wait for ever.
    if owner != 0 && owner != here {
        return Err(PyRuntimeError::new_err(
            "packhouse.hosted was used before this process was forked; start processes by spawning them, or call it in \
             the children only",
        ));
    }
    pyo3_async_runtimes::tokio::future_into_py(py, async move {
        call.await.map_err(|error| failure(&error))
    })
}
