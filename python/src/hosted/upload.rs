//! Commits whose files come from Python, piece by piece, while they are sent.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures::stream;
use packhouse_api::{CommitMetadata, CommitSummary};
use packhouse_client::hosted::{FileSource, HostedError, HostedRepo, MadeCommit};
use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use serde::Serialize;
use tokio::sync::mpsc;

use super::running::{answer, spawn};

/// Content ids with their bytes; `None`: they are written to the upload while it is sent.
pub(super) type Contents = Vec<(String, Option<PyBackedBytes>)>;

type Sending = Pin<Box<dyn Future<Output = Result<MadeCommit, HostedError>> + Send>>;

/// What is written to one content.
enum Piece {
    Data(Bytes),
    /// All of it was written. A content that is given up without this is an error, not a shorter file.
    End,
}

/// A commit that is being sent. `send` is called once; meanwhile `write` and `finish` for each open content, in order.
#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct HostedUpload {
    sending: Mutex<Option<Sending>>,
    /// By content id, those that are not finished.
    open: Mutex<Vec<(String, mpsc::Sender<Piece>)>>,
}

/// A commit that was made, and what happened to its branch.
#[derive(Serialize)]
pub(super) struct Made {
    #[serde(flatten)]
    commit: CommitSummary,
    ref_update: Update,
}

#[derive(Serialize)]
struct Update {
    branch: String,
    old_sha: String,
    new_sha: String,
}

pub(super) fn made(made: MadeCommit) -> Made {
    let update = made.ref_update;
    Made {
        commit: made.commit,
        ref_update: Update {
            branch: update.branch,
            old_sha: update.old_sha,
            new_sha: update.new_sha,
        },
    }
}

impl HostedUpload {
    pub(super) fn commit(
        repo: &HostedRepo,
        metadata: CommitMetadata,
        contents: Contents,
    ) -> PyResult<HostedUpload> {
        let (sources, open) = sources(contents);
        let mut commit = repo.commit_of(metadata);
        for (content_id, source) in sources {
            commit = commit.content(content_id, source);
        }
        Ok(HostedUpload::new(commit.send(), open))
    }

    pub(super) fn patch(
        repo: &HostedRepo,
        metadata: CommitMetadata,
        contents: Contents,
    ) -> PyResult<HostedUpload> {
        let (mut sources, open) = sources(contents);
        let (Some((_, diff)), true) = (sources.pop(), sources.is_empty()) else {
            return Err(PyValueError::new_err("a patch is one content"));
        };
        let repo = repo.clone();
        let sending = async move { repo.commit_diff_stream(&metadata, diff).await };
        Ok(HostedUpload::new(sending, open))
    }

    fn new(
        sending: impl Future<Output = Result<MadeCommit, HostedError>> + Send + 'static,
        open: Vec<(String, mpsc::Sender<Piece>)>,
    ) -> HostedUpload {
        HostedUpload {
            sending: Mutex::new(Some(Box::pin(sending))),
            open: Mutex::new(open),
        }
    }

    fn writer(&self, content_id: &str) -> PyResult<mpsc::Sender<Piece>> {
        let open = self.open.lock();
        let found = open.iter().find(|(id, _)| id == content_id);
        let (_, writer) = found.ok_or_else(|| PyValueError::new_err("no such open content"))?;
        Ok(writer.clone())
    }
}

#[pymethods]
impl HostedUpload {
    /// The commit, as a dictionary.
    fn send<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let sending = self.sending.lock().take();
        let sending = sending.ok_or_else(|| PyRuntimeError::new_err("it is sent already"))?;
        answer(py, async move { sending.await.map(made) })
    }

    /// Writes the next piece of a content, once there is room for it. `False`: nobody wants any more of it.
    fn write<'py>(
        &self,
        py: Python<'py>,
        content_id: &str,
        data: PyBackedBytes,
    ) -> PyResult<Bound<'py, PyAny>> {
        let writer = self.writer(content_id)?;
        let data = Piece::Data(Bytes::from_owner(data));
        spawn(py, async move { Ok(writer.send(data).await.is_ok()) })
    }

    /// Says that all of a content was written.
    fn finish<'py>(&self, py: Python<'py>, content_id: &str) -> PyResult<Bound<'py, PyAny>> {
        let writer = self.writer(content_id)?;
        self.open.lock().retain(|(id, _)| id != content_id);
        spawn(py, async move { Ok(writer.send(Piece::End).await.is_ok()) })
    }
}

type Open = Vec<(String, mpsc::Sender<Piece>)>;

fn sources(contents: Contents) -> (Vec<(String, FileSource)>, Open) {
    let mut open = Vec::new();
    let sources = contents.into_iter().map(|(content_id, data)| match data {
        Some(data) => (content_id, FileSource::Bytes(Bytes::from_owner(data))),
        None => {
            // One piece waits while another is sent.
            let (writer, reader) = mpsc::channel(1);
            open.push((content_id.clone(), writer));
            (content_id, written(reader))
        }
    });
    let sources = sources.collect();
    (sources, open)
}

fn written(reader: mpsc::Receiver<Piece>) -> FileSource {
    FileSource::stream(stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        match reader.recv().await {
            Some(Piece::Data(data)) => Some((Ok(data), Some(reader))),
            Some(Piece::End) => None,
            None => {
                let error = std::io::Error::other("the content was given up before its end");
                Some((Err(error), None))
            }
        }
    }))
}
