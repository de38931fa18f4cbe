//! Between asynchronous HTTP and code that blocks: a request body as a `Read`, a `Write` as a response body.
//!
//! Both sides wait for each other: a thread that writes faster than the client reads stops until the client has
//! caught up, and one whose client is gone, or takes nothing for too long, fails on its next write. A connection that
//! stands still is noticed further out; one of HTTP/2 goes on beside an answer that nobody takes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

/// Bytes gathered before they are handed over.
const PIECE_BYTES: usize = 64 << 10;

/// Pieces that may wait for the client.
const PIECES: usize = 4;

/// How long a thread waits for the client to take the next piece, as [`Limits::write_idle`](crate::config::Limits).
const PATIENCE: Duration = Duration::from_secs(120);

/// A request body for code that blocks. Only for threads that may block.
pub(crate) struct BlockingBody {
    /// What of the body was read already.
    early: VecDeque<Bytes>,
    has_ended: bool,
    body: Body,
    piece: Bytes,
    runtime: Handle,
}

impl BlockingBody {
    /// `body`, to be read outside of the current runtime's asynchronous threads.
    pub(crate) fn new(body: Body) -> BlockingBody {
        BlockingBody {
            early: VecDeque::new(),
            has_ended: false,
            body,
            piece: Bytes::new(),
            runtime: Handle::current(),
        }
    }
}

impl BlockingBody {
    /// Waits for `wanted`, and meanwhile for the beginning of the body: only so is it noticed that the client is gone, which
    /// is the error, while whoever will read the body does not yet.
    pub(crate) async fn while_waiting_for<T>(
        &mut self,
        wanted: impl Future<Output = T>,
    ) -> io::Result<T> {
        let mut wanted = std::pin::pin!(wanted);
        let mut bytes = 0;
        loop {
            tokio::select! {
                biased;
                found = wanted.as_mut() => return Ok(found),
                frame = self.body.frame(), if !self.has_ended && bytes < PIECE_BYTES => match frame {
                    Some(Ok(frame)) => {
                        let piece = frame.into_data().unwrap_or_default();
                        bytes += piece.len();
                        self.early.push_back(piece);
                    }
                    Some(Err(error)) => return Err(broke_off(error)),
                    None => self.has_ended = true,
                },
            }
        }
    }
}

fn broke_off(error: axum::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, error)
}

impl Read for BlockingBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if let Some(piece) = self.early.pop_front() {
                self.piece = piece;
                continue;
            }
            if self.has_ended {
                return Ok(0);
            }
            match self.runtime.block_on(self.body.frame()) {
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(broke_off(error)),
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
    has_sent: bool,
    sender: mpsc::Sender<Bytes>,
    runtime: Handle,
    patience: Duration,
}

impl BodyWriter {
    /// Says whether the client is gone, for code that does not write for a while.
    pub fn watch(&self) -> impl Fn() -> bool + use<> {
        let sender = self.sender.clone();
        move || sender.is_closed()
    }

    fn hand_over(&self, piece: Bytes) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone");
        let piece = match self.sender.try_send(piece) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(gone()),
            Err(TrySendError::Full(piece)) => piece,
        };
        let taken = async { tokio::time::timeout(self.patience, self.sender.send(piece)).await };
        match self.runtime.block_on(taken) {
            Ok(taken) => taken.map_err(|_| gone()),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client takes nothing",
            )),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = self.gathered.split().freeze();
        self.has_sent = true;
        self.hand_over(piece)
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

/// Runs `write` on a thread that may block; what it writes is the body. An error ends the body early.
pub fn written_by(write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static) -> Body {
    written_within(PATIENCE, write)
}

/// As [`written_by`], but waits until something is sent, so that an error before that can be answered as such.
pub(crate) async fn begun_by<E: std::error::Error + Send + Sync + 'static>(
    write: impl FnOnce(&mut BodyWriter) -> Result<(), E> + Send + 'static,
) -> Result<Body, E> {
    let (told, mut failed) = oneshot::channel();
    let mut body = written_by(move |out| match write(out) {
        Err(error) if !out.has_sent => {
            out.gathered.clear();
            // Nobody hears it whose client is gone.
            let _ = told.send(error);
            Ok(())
        }
        written => written.map_err(io::Error::other),
    });
    let first = body.frame().await;
    match failed.try_recv() {
        Ok(error) => Err(error),
        Err(_) => {
            let first = stream::iter(
                first.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())),
            );
            Ok(Body::from_stream(first.chain(body.into_data_stream())))
        }
    }
}

fn written_within(
    patience: Duration,
    write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(PIECES);
    let runtime = Handle::current();
    // What came so far must not look like the whole if it is not, whatever it was that ended it.
    let is_whole = Arc::new(AtomicBool::new(false));
    let whole = is_whole.clone();
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || {
        let _entered = span.enter();
        let mut writer = BodyWriter {
            gathered: BytesMut::new(),
            has_sent: false,
            sender,
            runtime,
            patience,
        };
        match write(&mut writer).and_then(|()| writer.flush()) {
            Ok(()) => is_whole.store(true, Ordering::Release),
            // The client can be told no more than that the answer is not whole.
            Err(error) if !writer.sender.is_closed() => {
                tracing::warn!(error = crate::error::chain(&error), "answer broke off");
            }
            Err(_) => {}
        }
    });
    let pieces = ReceiverStream::new(receiver).map(Ok);
    let end = stream::once(async move {
        if whole.load(Ordering::Acquire) {
            return None;
        }
        // Whoever sends the answer drops what it has not sent when it meets an error, be it the head of the answer. It
        // sends what it has when there is nothing more to take for now.
        tokio::task::yield_now().await;
        Some(Err(io::Error::other("the answer broke off")))
    });
    let end = end.filter_map(std::future::ready);
    Body::from_stream(pieces.chain(end).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
    async fn a_thread_does_not_wait_for_ever() {
        let (told, failed) = tokio::sync::oneshot::channel();
        let body = written_within(Duration::from_millis(50), move |out| {
            let failed = loop {
                if let Err(error) = out.write_all(&[0; 1024]) {
                    break error;
                }
            };
            let _ = told.send(failed.kind());
            Err(failed)
        });
        assert_eq!(failed.await.unwrap(), io::ErrorKind::TimedOut);
        assert!(body.collect().await.is_err());
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
    async fn an_error_before_anything_is_sent_is_told() {
        let failed = begun_by(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("broken"))
        });
        assert_eq!(failed.await.unwrap_err().to_string(), "broken");
        let body = begun_by(|out| {
            out.write_all(b"half")?;
            out.flush()?;
            Err(io::Error::other("broken"))
        });
        assert!(body.await.unwrap().collect().await.is_err());
        let body = begun_by(|out| out.write_all(b"who").and_then(|()| out.flush()));
        assert_eq!(
            body.await.unwrap().collect().await.unwrap().to_bytes(),
            "who"
        );
        let body = begun_by(|_| io::Result::Ok(()));
        assert!(
            body.await
                .unwrap()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn the_head_of_an_answer_that_breaks_off_is_sent() {
        let answer = || async { written_by(|_| Err(io::Error::other("broken"))) };
        let app = axum::Router::new().route("/", axum::routing::get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        for _ in 0..50 {
            let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let mut told = String::new();
            client.read_to_string(&mut told).await.unwrap();
            assert!(told.starts_with("HTTP/1.1 200 "), "{told:?}");
            assert!(!told.ends_with("0\r\n\r\n"), "{told:?}");
        }
        server.abort();
    }

    #[tokio::test]
    async fn who_waits_with_a_body_notices_that_its_client_goes_and_loses_nothing() {
        let (sender, receiver) = mpsc::channel(4);
        let mut body = BlockingBody::new(Body::from_stream(ReceiverStream::new(receiver)));
        sender.send(Ok(Bytes::from("ab"))).await.unwrap();
        sender.send(Ok(Bytes::from("cd"))).await.unwrap();
        let waited = body.while_waiting_for(tokio::time::sleep(Duration::from_millis(50)));
        waited.await.unwrap();
        let gone = io::Error::other("gone");
        sender.send(Err::<Bytes, _>(gone)).await.unwrap();
        let waited = body.while_waiting_for(std::future::pending::<()>()).await;
        assert_eq!(waited.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        let reading = tokio::task::spawn_blocking(move || {
            let mut text = [0; 4];
            body.read_exact(&mut text).map(|()| text)
        });
        assert_eq!(&reading.await.unwrap().unwrap(), b"abcd");
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
