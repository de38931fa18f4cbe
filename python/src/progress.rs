//! Long work that Python watches: a callback told how far it is, and Ctrl-C.

use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use packhouse_repo::store::{StoreError, StoreProgress};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::errors::exception;

/// How often the interpreter is asked whether a signal has come.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// Calls back with what is done and the total, if that is known. An exception of the callback ends the work.
pub(crate) struct Progress {
    callback: Option<Py<PyAny>>,
    raised: Mutex<Option<PyErr>>,
    /// Whose call it is. Python tells of signals in its first thread alone, and never in those that help.
    caller: ThreadId,
    asked: Mutex<Instant>,
}

impl Progress {
    /// Runs `work` while other Python threads go on, with a progress that calls `callback`.
    pub(crate) fn watch<T: Send>(
        py: Python<'_>,
        callback: Option<Py<PyAny>>,
        work: impl FnOnce(&Progress) -> Result<T, StoreError> + Send,
    ) -> PyResult<T> {
        Progress::watch_any(py, callback, work, exception)
    }

    /// The same for work with errors of its own.
    pub(crate) fn watch_any<T: Send, E: Send>(
        py: Python<'_>,
        callback: Option<Py<PyAny>>,
        work: impl FnOnce(&Progress) -> Result<T, E> + Send,
        exception: impl FnOnce(E) -> PyErr,
    ) -> PyResult<T> {
        let progress = Progress {
            callback,
            raised: Mutex::new(None),
            caller: thread::current().id(),
            asked: Mutex::new(Instant::now()),
        };
        let result = py.detach(|| work(&progress));
        match progress.raised.into_inner() {
            Some(raised) => Err(raised),
            None => result.map_err(exception),
        }
    }

    fn keep(&self, result: PyResult<()>) {
        if let Err(error) = result {
            self.raised.lock().get_or_insert(error);
        }
    }

    /// Whether it is time to ask for signals again.
    fn is_due(&self) -> bool {
        if thread::current().id() != self.caller {
            return false;
        }
        let Some(mut asked) = self.asked.try_lock() else {
            return false;
        };
        let due = asked.elapsed() >= SIGNALS_EVERY;
        if due {
            *asked = Instant::now();
        }
        due
    }
}

impl StoreProgress for Progress {
    fn step(&self, done: u64, total: Option<u64>) {
        if let Some(callback) = &self.callback
            && self.raised.lock().is_none()
        {
            let called = Python::attach(|py| callback.call1(py, (done, total)).map(drop));
            self.keep(called);
        }
    }

    fn cancelled(&self) -> bool {
        if self.is_due() {
            self.keep(Python::attach(|py| py.check_signals()));
        }
        self.raised.lock().is_some()
    }
}
