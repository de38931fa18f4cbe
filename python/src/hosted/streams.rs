//! Bodies that are read while they come.

use std::sync::Arc;

use futures::StreamExt;
use packhouse_client::hosted::Download;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::sync::Mutex;

use super::failures::headers;
use super::running::spawn;

/// A download. Its pieces come in order, also where several tasks ask for them.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct HostedDownload {
    status: u16,
    headers: Vec<(String, String)>,
    /// `None` once it is closed, or at its end.
    pieces: Arc<Mutex<Option<Download>>>,
}

impl HostedDownload {
    pub(super) fn new(download: Download) -> HostedDownload {
        HostedDownload {
            status: download.status(),
            headers: headers(download.headers()),
            pieces: Arc::new(Mutex::new(Some(download))),
        }
    }
}

#[pymethods]
impl HostedDownload {
    #[getter]
    fn status(&self) -> u16 {
        self.status
    }

    #[getter]
    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    /// The next piece; `None`: there is none.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pieces = Arc::clone(&self.pieces);
        spawn(py, async move {
            let mut open = pieces.lock().await;
            let piece = match open.as_mut() {
                Some(download) => download.next().await.transpose()?,
                None => None,
            };
            if piece.is_none() {
                // The connection is free for the next request.
                *open = None;
            }
            Ok(piece.map(Piece))
        })
    }

    /// Ends the download, once nobody waits for a piece.
    fn close<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pieces = Arc::clone(&self.pieces);
        spawn(py, async move {
            *pieces.lock().await = None;
            Ok(())
        })
    }
}

/// Bytes that become Python's.
struct Piece(bytes::Bytes);

impl<'py> IntoPyObject<'py> for Piece {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(PyBytes::new(py, &self.0))
    }
}
