//! A connection that can be ended from outside, and whose bytes are counted.
//!
//! Whoever serves a connection in a task of its own cannot be told to stop; it ends when its stream fails.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A stream that fails from the moment on at which a token is cancelled.
pub(super) struct Severed<S> {
    stream: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    is_cut: bool,
    received: IntCounter,
    sent: IntCounter,
}

impl<S> Severed<S> {
    /// `stream`, until `cut` is cancelled; the counters get what goes through.
    pub(super) fn new(
        stream: S,
        cut: CancellationToken,
        received: IntCounter,
        sent: IntCounter,
    ) -> Severed<S> {
        Severed {
            stream,
            cut: Box::pin(cut.cancelled_owned()),
            is_cut: false,
            received,
            sent,
        }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.is_cut && self.cut.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        // A future that is ready is not asked again.
        self.is_cut = true;
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the server ended the connection",
        ))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Severed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let before = out.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, out);
        self.received.inc_by((out.filled().len() - before) as u64);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Severed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, data);
        if let Poll::Ready(Ok(count)) = polled {
            self.sent.inc_by(count as u64);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_cut_ends_a_read_that_waits_and_every_later_call() {
        let counter = || IntCounter::new("name", "help").unwrap();
        let (received, sent, cut) = (counter(), counter(), CancellationToken::new());
        let (mut there, here) = tokio::io::duplex(64);
        let mut here = Severed::new(here, cut.clone(), received.clone(), sent.clone());
        there.write_all(b"abc").await.unwrap();
        let mut read = [0; 3];
        here.read_exact(&mut read).await.unwrap();
        here.write_all(b"xy").await.unwrap();
        assert_eq!((received.get(), sent.get()), (3, 2));
        let cutting = async {
            tokio::task::yield_now().await;
            cut.cancel();
        };
        let (failed, ()) = tokio::join!(here.read(&mut read), cutting);
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(here.write(b"z").await.is_err() && here.read(&mut read).await.is_err());
    }
}
