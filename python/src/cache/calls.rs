//! How calls run: other Python threads go on, and Ctrl-C or a token ends them.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use packhouse_client::cache::{self, CacheError, CallOptions};
use pyo3::prelude::*;

/// How often the interpreter is asked whether a signal has come.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// Ends calls from another thread.
#[pyclass(frozen, module = "packhouse._native")]
#[derive(Default)]
pub(crate) struct CancelToken(cache::CancelToken);

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> CancelToken {
        CancelToken::default()
    }

    fn cancel(&self) {
        self.0.cancel();
    }
}

/// Runs a short call while other Python threads go on.
pub(super) fn run<T: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> Result<T, CacheError> + Send,
) -> PyResult<T> {
    py.detach(call).map_err(exception)
}

/// Runs a call that may take long on a thread of its own, since only the caller's may take notice of signals.
pub(super) fn run_watched<T: Send>(
    py: Python<'_>,
    cancel: &CancelToken,
    call: impl FnOnce(&CallOptions<'_>) -> Result<T, CacheError> + Send,
) -> PyResult<T> {
    let token = &cancel.0;
    let (result, signal) = py.detach(|| {
        thread::scope(|scope| {
            let (done, finished) = mpsc::sync_channel::<()>(0);
            let worker = scope.spawn(move || {
                let _done = done;
                call(&CallOptions {
                    cancel: Some(token),
                    progress: None,
                })
            });
            let mut signal = None;
            // The channel closes with the work.
            while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(SIGNALS_EVERY) {
                if signal.is_none()
                    && let Err(raised) = Python::attach(|py| py.check_signals())
                {
                    token.cancel();
                    signal = Some(raised);
                }
            }
            (worker.join(), signal)
        })
    });
    match (result, signal) {
        (Err(panic), _) => std::panic::resume_unwind(panic),
        (Ok(_), Some(raised)) => Err(raised),
        (Ok(result), None) => result.map_err(exception),
    }
}

fn exception(error: CacheError) -> PyErr {
    super::CacheError::new_err(error.to_string())
}
