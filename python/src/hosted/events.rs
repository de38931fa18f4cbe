//! Events as they happen.

use std::sync::Arc;

use futures::StreamExt;
use packhouse_client::hosted::EventStream;
use pyo3::prelude::*;
use tokio::sync::Mutex;

use super::running::{Json, spawn};

/// A stream of events.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct HostedEvents(Arc<Mutex<Option<EventStream>>>);

impl HostedEvents {
    pub(super) fn new(events: EventStream) -> HostedEvents {
        HostedEvents(Arc::new(Mutex::new(Some(events))))
    }
}

#[pymethods]
impl HostedEvents {
    /// Id, kind and body of the next event; `None`: the stream is closed.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let events = Arc::clone(&self.0);
        spawn(py, async move {
            let mut open = events.lock().await;
            let event = match open.as_mut() {
                Some(events) => events.next().await.transpose()?,
                None => None,
            };
            Ok(event.map(|event| (event.id, event.kind, Json(event.data))))
        })
    }

    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let events = Arc::clone(&self.0);
        spawn(py, async move {
            *events.lock().await = None;
            Ok(())
        })
    }
}
