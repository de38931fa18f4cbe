//! Bodies of requests, as every route gets them.
//!
//! A [`RequestBody`] gives up on a sender that falls silent or is hopelessly slow, counts what arrives, and, when it
//! is dropped before its end, has the rest read away in the background for a bounded time. The last point is why a
//! client that is still sending sees the answer to a request that was refused early: a connection closed over unread
//! bytes is reset, and the reset overtakes the answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};

use crate::config::Limits;
use crate::metrics::Metrics;
use crate::patience::{Pace, Patience};

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The sender fell silent or was too slow.
    #[error("the request body stopped arriving")]
    Slow,
    /// The connection broke.
    #[error("the request body broke off")]
    Broken(#[source] hyper::Error),
    /// It was not compressed as its head said.
    #[error("the request body is not valid gzip")]
    NotGzip(#[source] std::io::Error),
}

/// What all bodies of a server share.
#[derive(Debug)]
pub(crate) struct BodyRules {
    pace: Pace,
    drain_bytes: u64,
    drain_time: Duration,
    drains: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl BodyRules {
    /// The rules that `limits` ask for.
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> BodyRules {
        BodyRules {
            pace: Pace {
                idle: limits.body_idle,
                min_rate: limits.body_min_rate,
            },
            drain_bytes: limits.drain_bytes,
            drain_time: limits.drain_time,
            drains: Arc::new(Semaphore::new(limits.drains)),
            metrics,
        }
    }
}

/// The body of one request.
pub(crate) struct RequestBody {
    inner: Option<Incoming>,
    rules: Arc<BodyRules>,
    /// The client waits for `100 Continue`, which hyper sends when the body is first asked for. Until then there is
    /// nothing to read away, and asking would invite the body that is not wanted.
    awaits_continue: bool,
    patience: Patience,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl RequestBody {
    /// Wraps what hyper received; `awaits_continue` if the head said `Expect: 100-continue`.
    pub(crate) fn new(
        inner: Incoming,
        awaits_continue: bool,
        rules: Arc<BodyRules>,
    ) -> RequestBody {
        RequestBody {
            inner: Some(inner),
            patience: Patience::new(rules.pace),
            rules,
            awaits_continue,
            waiting: None,
        }
    }

    fn stop_waiting(&mut self) {
        if let Some((since, _)) = self.waiting.take() {
            self.patience.waited(since.elapsed());
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        this.awaits_continue = false;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.stop_waiting();
                if let Some(data) = frame.data_ref() {
                    this.patience.received(data.len());
                    this.rules.metrics.bytes_in.inc_by(data.len() as u64);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.inner = None;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            Poll::Ready(None) => {
                this.inner = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let patience = this.patience.left();
                let (_, sleep) = this.waiting.get_or_insert_with(|| {
                    (Instant::now(), Box::pin(tokio::time::sleep(patience)))
                });
                match sleep.as_mut().poll(cx) {
                    Poll::Ready(()) => {
                        // Dropped without draining: a sender that is too slow to be read is too slow to be drained.
                        this.inner = None;
                        Poll::Ready(Some(Err(BodyError::Slow)))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else {
            return;
        };
        if self.awaits_continue || inner.is_end_stream() {
            return;
        }
        let (Ok(permit), Ok(runtime)) = (
            self.rules.drains.clone().try_acquire_owned(),
            tokio::runtime::Handle::try_current(),
        ) else {
            return;
        };
        let (bytes, time) = (self.rules.drain_bytes, self.rules.drain_time);
        runtime.spawn(async move {
            // Timing out is as good an end as any: the answer has been sent long ago.
            let _ = tokio::time::timeout(time, drain(inner, bytes)).await;
            drop(permit);
        });
    }
}

async fn drain(mut body: Incoming, limit: u64) {
    let mut drained = 0;
    while let Some(Ok(frame)) = body.frame().await {
        drained += frame.data_ref().map_or(0, |data| data.len() as u64);
        if drained > limit {
            return;
        }
    }
}
