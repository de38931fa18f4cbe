//! Bodies that are read while they are sent: lines of JSON, files in pieces of 4 MiB. Memory holds a piece at a time.

use std::collections::VecDeque;
use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use packhouse_api::{BlobChunk, BlobChunkLine, DiffChunk, DiffChunkLine};
use serde::Serialize;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::call::Progress;

/// The most bytes in one line, before base64: the limit of the API.
pub const CHUNK_BYTES: usize = 4 << 20;
/// How much of a reader is read at a time.
const READ_BYTES: usize = 256 << 10;

/// Where the bytes of a file come from.
pub enum FileSource {
    /// From memory. A commit of nothing else can be sent again.
    Bytes(Bytes),
    /// From a stream, read once and while it is sent.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

impl FileSource {
    /// What `reader` reads.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> FileSource {
        FileSource::Stream(ReaderStream::with_capacity(reader, READ_BYTES).boxed())
    }

    /// What `stream` yields.
    pub fn stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> FileSource {
        FileSource::Stream(stream.boxed())
    }

    fn again(&self) -> Option<FileSource> {
        match self {
            FileSource::Bytes(bytes) => Some(FileSource::Bytes(bytes.clone())),
            FileSource::Stream(_) => None,
        }
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self {
            FileSource::Bytes(bytes) if bytes.is_empty() => Ok(None),
            FileSource::Bytes(bytes) => Ok(Some(std::mem::take(bytes))),
            FileSource::Stream(stream) => stream.next().await.transpose(),
        }
    }
}

/// A body of lines.
pub(super) struct Upload {
    /// The first line.
    metadata: Bytes,
    contents: VecDeque<(Content, FileSource)>,
    open: Option<Chunks>,
}

/// What the lines after the first carry.
#[derive(Clone)]
pub(super) enum Content {
    /// A file, by its content id.
    Blob(String),
    /// The diff.
    Diff,
}

impl Upload {
    pub(super) fn new(
        metadata: &impl Serialize,
        contents: impl IntoIterator<Item = (Content, FileSource)>,
    ) -> serde_json::Result<Upload> {
        Ok(Upload {
            metadata: line(metadata)?,
            contents: contents.into_iter().collect(),
            open: None,
        })
    }

    /// The same once more, if all of it is in memory.
    pub(super) fn again(&self) -> Option<Upload> {
        let contents = self.contents.iter();
        let contents: Option<_> = contents
            .map(|(content, source)| Some((content.clone(), source.again()?)))
            .collect();
        Some(Upload {
            metadata: self.metadata.clone(),
            contents: contents?,
            open: None,
        })
    }

    /// The lines. Tells `progress` of each, and of what could not be read.
    pub(super) fn into_stream(
        self,
        progress: Progress,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::unfold(Some(self), move |upload| {
            let progress = progress.clone();
            async move {
                let mut upload = upload?;
                match upload.next_line().await {
                    Ok(Some(line)) => {
                        progress.went_on();
                        Some((Ok(line), Some(upload)))
                    }
                    Ok(None) => None,
                    Err(error) => {
                        progress.fail(error);
                        // Ends the connection, so that the server does not take what it has for all.
                        Some((Err(io::Error::other("the content could not be read")), None))
                    }
                }
            }
        })
    }

    async fn next_line(&mut self) -> io::Result<Option<Bytes>> {
        if !self.metadata.is_empty() {
            return Ok(Some(std::mem::take(&mut self.metadata)));
        }
        let chunks = match &mut self.open {
            Some(chunks) => chunks,
            none => match self.contents.pop_front() {
                Some((content, source)) => none.insert(Chunks::new(content, source)),
                None => return Ok(None),
            },
        };
        let (data, eof) = chunks.next().await?;
        let data = STANDARD.encode(&data).into();
        let line = match &chunks.content {
            Content::Blob(content_id) => line(&BlobChunkLine {
                blob_chunk: BlobChunk {
                    content_id: content_id.as_str().into(),
                    data,
                    eof,
                },
            }),
            Content::Diff => line(&DiffChunkLine {
                diff_chunk: DiffChunk { data, eof },
            }),
        };
        if eof {
            self.open = None;
        }
        Ok(Some(line?))
    }
}

fn line(value: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line.into())
}

/// A content, cut: every chunk but the last is of [`CHUNK_BYTES`], and there is at least one.
struct Chunks {
    content: Content,
    source: FileSource,
    /// What the source gave and no chunk holds yet.
    rest: Bytes,
    buffer: BytesMut,
}

impl Chunks {
    fn new(content: Content, source: FileSource) -> Chunks {
        Chunks {
            content,
            source,
            rest: Bytes::new(),
            buffer: BytesMut::new(),
        }
    }

    /// The next chunk, and whether it is the last.
    async fn next(&mut self) -> io::Result<(Bytes, bool)> {
        loop {
            if self.rest.is_empty() {
                match self.source.next().await? {
                    Some(piece) => self.rest = piece,
                    None => return Ok((self.buffer.split().freeze(), true)),
                }
            } else if self.buffer.len() == CHUNK_BYTES {
                return Ok((self.buffer.split().freeze(), false));
            } else {
                let room = CHUNK_BYTES - self.buffer.len();
                let taken = self.rest.split_to(room.min(self.rest.len()));
                self.buffer.extend_from_slice(&taken);
            }
        }
    }
}

impl<T: Into<Bytes>> From<T> for FileSource {
    fn from(bytes: T) -> FileSource {
        FileSource::Bytes(bytes.into())
    }
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSource::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            FileSource::Stream(_) => f.write_str("Stream"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    async fn cut(pieces: Vec<usize>) -> Vec<(usize, bool)> {
        let pieces = pieces
            .into_iter()
            .map(|size| Ok(Bytes::from(vec![7; size])));
        let mut chunks = Chunks::new(Content::Diff, FileSource::stream(stream::iter(pieces)));
        let mut cut = Vec::new();
        loop {
            let (data, eof) = chunks.next().await.unwrap();
            cut.push((data.len(), eof));
            if eof {
                return cut;
            }
        }
    }

    #[tokio::test]
    async fn every_chunk_but_the_last_is_full_however_the_source_is_cut() {
        const FULL: usize = CHUNK_BYTES;
        assert_eq!(cut(vec![]).await, [(0, true)]);
        assert_eq!(cut(vec![0, 0]).await, [(0, true)]);
        assert_eq!(cut(vec![FULL]).await, [(FULL, true)]);
        assert_eq!(cut(vec![FULL, 0]).await, [(FULL, true)]);
        assert_eq!(cut(vec![2 * FULL]).await, [(FULL, false), (FULL, true)]);
        assert_eq!(cut(vec![FULL + 1]).await, [(FULL, false), (1, true)]);
        assert_eq!(cut(vec![1, FULL, 5]).await, [(FULL, false), (6, true)]);
        assert_eq!(
            cut(vec![1000; 5000]).await,
            [(FULL, false), (5_000_000 - FULL, true)]
        );
    }

    #[tokio::test]
    async fn lines_come_in_order_and_an_upload_from_memory_can_be_made_again() {
        let contents = [
            (Content::Blob("c1".to_owned()), FileSource::from("one")),
            (Content::Blob("c2".to_owned()), FileSource::from("")),
            (Content::Diff, FileSource::from(vec![0xff])),
        ];
        let upload = Upload::new(&json!({ "metadata": {} }), contents).unwrap();
        for upload in [upload.again().unwrap(), upload] {
            let lines: Vec<_> = upload.into_stream(Progress::default()).collect().await;
            let lines: Vec<Value> = lines
                .iter()
                .map(|line| {
                    let line = line.as_ref().unwrap();
                    assert_eq!(
                        line.iter().position(|&byte| byte == b'\n'),
                        Some(line.len() - 1)
                    );
                    serde_json::from_slice(line).unwrap()
                })
                .collect();
            assert_eq!(
                lines,
                [
                    json!({ "metadata": {} }),
                    json!({ "blob_chunk": { "content_id": "c1", "data": "b25l", "eof": true } }),
                    json!({ "blob_chunk": { "content_id": "c2", "data": "", "eof": true } }),
                    json!({ "diff_chunk": { "data": "/w==", "eof": true } }),
                ]
            );
        }
    }

    #[tokio::test]
    async fn a_source_that_fails_ends_the_body_by_an_error() {
        let pieces = [Ok(Bytes::from_static(b"x")), Err(io::Error::other("gone"))];
        let source = FileSource::stream(stream::iter(pieces));
        let upload = Upload::new(&json!({}), [(Content::Diff, source)]).unwrap();
        assert!(upload.again().is_none());
        let lines: Vec<_> = upload.into_stream(Progress::default()).collect().await;
        assert_eq!(lines.len(), 2);
        assert!(lines[1].is_err());
    }
}
