//! Between asynchronous HTTP and code that blocks: a request body as a `Read`, a `Write` as a response body.
//!
//! Both sides wait for each other: a thread that writes faster than the client reads stops until the client has
//! caught up, and one whose client is gone fails on its next write.

use std::io::{self, Read, Write};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes gathered before they are handed over.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces that may wait for the client.
const PIECES: usize = 4;

/// A request body for code that blocks. Only for threads that may block.
pub(crate) struct BlockingBody {
    body: Body,
    piece: Bytes,
    runtime: Handle,
}

impl BlockingBody {
    /// `body`, to be read outside of the current runtime's asynchronous threads.
    pub(crate) fn new(body: Body) -> BlockingBody {
        BlockingBody {
            body,
            piece: Bytes::new(),
            runtime: Handle::current(),
        }
    }
}

impl Read for BlockingBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, error));
                }
                None => return Ok(0),
            }
        }
        let len = out.len().min(self.piece.len());
        out[..len].copy_from_slice(&self.piece.split_to(len));
        Ok(len)
    }
}

/// A response body that a thread writes. What was written is sent when a piece is full, on `flush`, and at the end.
pub struct BodyWriter {
    gathered: BytesMut,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl BodyWriter {
    /// Says whether the client is gone, for code that does not write for a while.
    pub fn watch(&self) -> impl Fn() -> bool + use<> {
        let sender = self.sender.clone();
        move || sender.is_closed()
    }

    /// Ends the body with an error, so that the client does not take what came so far for the whole.
    fn abort(mut self, error: io::Error) {
        self.gathered.clear();
        // A client that is gone needs no error.
        let _ = self.sender.blocking_send(Err(error));
    }

    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = self.gathered.split().freeze();
        self.sender
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"))
    }
}

impl Write for BodyWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES.saturating_sub(self.gathered.len()).max(1);
        let len = data.len().min(room);
        self.gathered.extend_from_slice(&data[..len]);
        if self.gathered.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What came so far is not the whole, and must not look like it.
            let _ = self
                .sender
                .blocking_send(Err(io::Error::other("the answer broke off")));
        } else {
            let _ = self.send();
        }
    }
}

/// Runs `write` on a thread that may block; what it writes is the body. An error ends the body early.
pub fn written_by(write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        let _entered = span.enter();
        let mut writer = BodyWriter {
            gathered: BytesMut::new(),
            sender,
        };
        if let Err(error) = write(&mut writer) {
            // The client can be told no more than that the answer is not whole.
            if !writer.sender.is_closed() {
                tracing::warn!(error = crate::error::chain(&error), "answer broke off");
            }
            writer.abort(error);
        }
    });
    Body::from_stream(ReceiverStream::new(receiver).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn what_a_thread_writes_arrives_whole() {
        let data: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let sent = data.clone();
        let body = written_by(move |out| out.write_all(&sent));
        assert_eq!(body.collect().await.unwrap().to_bytes(), data);
    }

    #[tokio::test]
    async fn a_thread_waits_for_a_slow_client_and_ends_with_it() {
        let written = Arc::new(AtomicUsize::new(0));
        let count = written.clone();
        let body = written_by(move |out| {
            loop {
                out.write_all(&[0; 1024])?;
                count.fetch_add(1024, Ordering::SeqCst);
            }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(written.load(Ordering::SeqCst) <= (PIECES + 2) * PIECE_BYTES);
        drop(body);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let after = written.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(written.load(Ordering::SeqCst), after);
    }

    #[tokio::test]
    async fn a_panic_does_not_look_like_the_end() {
        let body = written_by(|out| {
            out.write_all(b"half")?;
            panic!("a decoder met something it did not expect");
        });
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn an_error_does_not_look_like_the_end() {
        let body = written_by(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("broken"))
        });
        assert!(body.collect().await.is_err());
    }

    #[tokio::test]
    async fn a_body_reads_as_bytes() {
        let body = Body::from_stream(futures::stream::iter(
            [b"ab".as_slice(), b"", b"cd"].map(Ok::<_, io::Error>),
        ));
        let mut body = BlockingBody::new(body);
        let text = tokio::task::spawn_blocking(move || io::read_to_string(&mut body).unwrap())
            .await
            .unwrap();
        assert_eq!(text, "abcd");
    }
}
