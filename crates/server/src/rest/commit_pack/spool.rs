//! Contents on their way into a pack file, on a thread of their own.

use std::collections::HashMap;
use std::path::PathBuf;

use bytes::Bytes;
use packhouse_object::{
    BlobSpool, FinishedPack, NewObject, ObjectId, PackFileWriter, SpoolError, WritePackFileError,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::contents::check_size;
use crate::error::ApiError;
use crate::rest::ndjson::{MAX_CHUNK_BYTES, Pieces};
use crate::state::AppState;
use crate::turns::{Turn, TurnFor};

/// Pieces that wait for the thread. Each is at most as large as what one read from the connection gives, or a line
/// that was held whole.
const WAITING: usize = 4;

/// A blob is held in memory up to this size and deflated to a file beyond, in bytes.
const BLOB_MEMORY_BYTES: usize = 128 << 10;

/// What the thread is told. Contents go by their number.
enum Work {
    Add(NewObject),
    Open(usize),
    Data(usize, Bytes),
    Base64(usize, Bytes),
    EndBase64(usize),
    Close(usize),
    Finish,
}

/// The contents that went through the spool.
pub(super) struct Spooled {
    /// The blobs they have become.
    pub ids: Vec<(usize, ObjectId)>,
    /// Where those are.
    pub pack: FinishedPack,
}

/// A thread that writes a pack file.
pub(super) struct Spool {
    sender: mpsc::Sender<Work>,
    thread: JoinHandle<Result<Spooled, Failure>>,
    _turn: Turn,
}

impl Spool {
    /// Starts one that writes to `folder`, when it is this request's turn.
    pub(super) async fn start(
        state: &AppState,
        of: &TurnFor,
        folder: PathBuf,
    ) -> Result<Spool, ApiError> {
        let turn = state.spools.take(of).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        let limit = state.limits.file_bytes;
        let thread = tokio::task::spawn_blocking(move || run(receiver, folder, limit));
        Ok(Spool {
            sender,
            thread,
            _turn: turn,
        })
    }

    /// Adds a blob that is complete.
    pub(super) async fn add(&mut self, blob: NewObject) -> Result<(), ApiError> {
        self.send(Work::Add(blob)).await
    }

    /// Begins a content.
    pub(super) async fn open(&mut self, content: usize) -> Result<(), ApiError> {
        self.send(Work::Open(content)).await
    }

    /// Adds to a content.
    pub(super) async fn write(&mut self, content: usize, data: Bytes) -> Result<(), ApiError> {
        self.send(Work::Data(content, data)).await
    }

    /// A piece of a chunk in base64.
    pub(super) async fn base64(&mut self, content: usize, data: Bytes) -> Result<(), ApiError> {
        self.send(Work::Base64(content, data)).await
    }

    /// The end of such a chunk.
    pub(super) async fn end_base64(&mut self, content: usize) -> Result<(), ApiError> {
        self.send(Work::EndBase64(content)).await
    }

    /// Ends a content.
    pub(super) async fn close(&mut self, content: usize) -> Result<(), ApiError> {
        self.send(Work::Close(content)).await
    }

    /// Writes the pack to its end.
    pub(super) async fn finish(mut self) -> Result<Spooled, ApiError> {
        self.send(Work::Finish).await?;
        Ok(self.thread.await??)
    }

    async fn send(&mut self, work: Work) -> Result<(), ApiError> {
        if self.sender.send(work).await.is_ok() {
            return Ok(());
        }
        // The thread has ended early, and says why.
        match (&mut self.thread).await? {
            Ok(_) => Err(ApiError::internal("the spool ended early")),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Why the thread ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the request ended before its contents did")]
    Abandoned,
    #[error("content is not valid base64")]
    NotBase64,
    #[error("a chunk has more than {MAX_CHUNK_BYTES} bytes")]
    TooLarge,
    #[error("a file has over {limit} bytes")]
    FileTooLarge { size: u64, limit: u64 },
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Pack(#[from] WritePackFileError),
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotBase64
            | Failure::TooLarge
            | Failure::Spool(SpoolError::Collision(_))
            | Failure::Pack(WritePackFileError::Collision(_)) => {
                ApiError::invalid(failure.to_string())
            }
            Failure::FileTooLarge { size, limit } => match check_size(size, limit) {
                Err(error) => error,
                Ok(()) => ApiError::failed(&failure),
            },
            failure => ApiError::failed(&failure),
        }
    }
}

/// A content under way.
struct Open {
    blob: BlobSpool,
    chunk: Pieces,
    chunk_bytes: usize,
    bytes: u64,
}

impl Open {
    /// Adds to the blob, which may have `limit` bytes.
    fn write(&mut self, data: &[u8], limit: u64) -> Result<(), Failure> {
        self.bytes += data.len() as u64;
        if self.bytes > limit {
            let size = self.bytes;
            return Err(Failure::FileTooLarge { size, limit });
        }
        Ok(self.blob.write(data)?)
    }
}

/// Writes the pack. A blob may have `limit` bytes.
fn run(
    mut receiver: mpsc::Receiver<Work>,
    folder: PathBuf,
    limit: u64,
) -> Result<Spooled, Failure> {
    let mut writer = PackFileWriter::create(&folder)?;
    let mut open: HashMap<usize, Open> = HashMap::new();
    let mut ids = Vec::new();
    let mut decoded = Vec::new();
    while let Some(work) = receiver.blocking_recv() {
        match work {
            Work::Add(blob) => writer.add_new(&blob)?,
            Work::Open(content) => {
                let blob = BlobSpool::new(&folder, BLOB_MEMORY_BYTES);
                open.insert(
                    content,
                    Open {
                        blob,
                        chunk: Pieces::default(),
                        chunk_bytes: 0,
                        bytes: 0,
                    },
                );
            }
            Work::Data(content, data) => {
                if let Some(open) = open.get_mut(&content) {
                    open.write(&data, limit)?;
                }
            }
            Work::Base64(content, data) => {
                if let Some(open) = open.get_mut(&content) {
                    decoded.clear();
                    open.chunk
                        .decode(&data, &mut decoded)
                        .map_err(|_| Failure::NotBase64)?;
                    open.chunk_bytes += decoded.len();
                    if open.chunk_bytes > MAX_CHUNK_BYTES {
                        return Err(Failure::TooLarge);
                    }
                    open.write(&decoded, limit)?;
                }
            }
            Work::EndBase64(content) => {
                if let Some(open) = open.get_mut(&content) {
                    std::mem::take(&mut open.chunk)
                        .finish()
                        .map_err(|_| Failure::NotBase64)?;
                    open.chunk_bytes = 0;
                }
            }
            Work::Close(content) => {
                if let Some(open) = open.remove(&content) {
                    let blob = open.blob.finish()?;
                    writer.add_spooled(&blob)?;
                    ids.push((content, blob.id));
                }
            }
            Work::Finish => {
                return Ok(Spooled {
                    ids,
                    pack: writer.finish()?,
                });
            }
        }
    }
    // The request is gone; so are the temporary files.
    Err(Failure::Abandoned)
}
