//! Long work that Python watches: a callback told how far it is, and Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use packhouse_repo::given_up::for_caller;
use packhouse_repo::store::{StoreError, StoreProgress};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::errors::exception;

/// How often the interpreter is asked whether a signal has come.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// Whether a signal has come for the thread that made this. What its handler raises ends the work.
pub(crate) struct Signals {
    raised: Mutex<Option<PyErr>>,
    /// Whose call it is. Python tells of signals in its first thread alone, and never in those that help.
    caller: ThreadId,
    asked: Mutex<Instant>,
}

impl Signals {
    fn new() -> Signals {
        Signals {
            raised: Mutex::new(None),
            caller: thread::current().id(),
            asked: Mutex::new(Instant::now()),
        }
    }

    /// Runs `work` while other Python threads go on; what it waits for or reads ends with a signal.
    pub(crate) fn heeded<T: Send, E: Send>(
        py: Python<'_>,
        work: impl FnOnce(&Signals) -> Result<T, E> + Send,
        exception: impl FnOnce(E) -> PyErr,
    ) -> PyResult<T> {
        let signals = Arc::new(Signals::new());
        let result = py.detach(|| {
            let asked = signals.clone();
            for_caller(Arc::new(move || asked.have_raised()), || work(&signals))
        });
        let raised = signals.raised.lock().take();
        match raised {
            Some(raised) => Err(raised),
            None => result.map_err(exception),
        }
    }

    fn keep(&self, result: PyResult<()>) {
        if let Err(error) = result {
            self.raised.lock().get_or_insert(error);
        }
    }

    fn have_raised(&self) -> bool {
        if self.is_due() {
            self.keep(Python::attach(|py| py.check_signals()));
        }
        self.raised.lock().is_some()
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

/// Calls back with what is done and the total, if that is known. An exception of the callback ends the work.
pub(crate) struct Progress<'a> {
    callback: Option<Py<PyAny>>,
    signals: &'a Signals,
}

impl Progress<'_> {
    /// Runs `work` while other Python threads go on, with a progress that calls `callback`.
    pub(crate) fn watch<T: Send>(
        py: Python<'_>,
        callback: Option<Py<PyAny>>,
        work: impl FnOnce(&Progress<'_>) -> Result<T, StoreError> + Send,
    ) -> PyResult<T> {
        Progress::watch_any(py, callback, work, exception)
    }

    /// The same for work with errors of its own.
    pub(crate) fn watch_any<T: Send, E: Send>(
        py: Python<'_>,
        callback: Option<Py<PyAny>>,
        work: impl FnOnce(&Progress<'_>) -> Result<T, E> + Send,
        exception: impl FnOnce(E) -> PyErr,
    ) -> PyResult<T> {
        let watched = |signals: &Signals| work(&Progress { callback, signals });
        Signals::heeded(py, watched, exception)
    }
}

impl StoreProgress for Progress<'_> {
    fn step(&self, done: u64, total: Option<u64>) {
        if let Some(callback) = &self.callback
            && self.signals.raised.lock().is_none()
        {
            let called = Python::attach(|py| callback.call1(py, (done, total)).map(drop));
            self.signals.keep(called);
        }
    }

    fn cancelled(&self) -> bool {
        self.signals.have_raised()
    }
}

/// Ends a call from another thread.
#[pyclass(frozen, module = "packhouse._native")]
#[derive(Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

#[pymethods]
impl Stop {
    #[new]
    fn new() -> Stop {
        Stop::default()
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Calls `work`, which ends where it only waits, or reads of local files, once this is set.
    fn heeded(&self, py: Python<'_>, work: Py<PyAny>) -> PyResult<Py<PyAny>> {
        let stop = self.0.clone();
        let is_set = move || stop.load(Ordering::Relaxed);
        for_caller(Arc::new(is_set), || work.call0(py))
    }
}
