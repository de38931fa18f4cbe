//! Every request gets an id, a span, and a place in the counters.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Frame, SizeHint};
use ipnet::IpNet;
use packhouse_catalog::Origin;
use tracing::Instrument;

use crate::client_address::client_address;
use crate::error::ApiError;
use crate::git;
use crate::metrics::Metrics;
use crate::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken over from a client or proxy.
const MAX_ID_BYTES: usize = 128;

/// Runs the rest of the server for one request. Nothing of the token, the query or the body is logged.
pub(crate) async fn observe(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = request_id(request.headers());
    let origin = Origin {
        address: address(&request, &state.trusted_proxies),
        request_id: id.to_str().unwrap_or_default().to_owned(),
    };
    request.extensions_mut().insert(Arc::new(origin));
    let method = request.method().clone();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(route) => route.as_str().to_owned(),
        None => git::route_label(request.uri().path()).to_owned(),
    };
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, route);
    let answered = AssertUnwindSafe(next.run(request))
        .catch_unwind()
        .instrument(span.clone())
        .await;
    let mut response = answered.unwrap_or_else(|_| {
        // The panic itself is in the log already; it ends this request and nothing else.
        span.in_scope(|| ApiError::internal("a handler panicked"))
            .into_response()
    });
    let (status, took) = (response.status(), began.elapsed());
    state
        .metrics
        .answered(&route, method.as_str(), status.as_str(), took);
    span.in_scope(|| {
        tracing::info!(
            status = status.as_u16(),
            took_us = took.as_micros() as u64,
            "answered"
        )
    });
    response.headers_mut().insert(REQUEST_ID, id);
    let metrics = state.metrics.clone();
    response.map(|body| Body::new(Counted { body, metrics }))
}

/// The client's address.
fn address(request: &Request, trusted_proxies: &[IpNet]) -> Option<String> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(client_address(peer.ip(), request.headers(), trusted_proxies).to_string())
}

/// The client's id if it is one, a new one otherwise.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| {
        let bytes = id.as_bytes();
        (1..=MAX_ID_BYTES).contains(&bytes.len())
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/'))
    });
    given.cloned().unwrap_or_else(new_id)
}

/// An id no other request has: random for the process, counted within it.
pub(crate) fn new_id() -> HeaderValue {
    static PROCESS: OnceLock<String> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process =
        PROCESS.get_or_init(|| uuid::Uuid::new_v4().simple().to_string()[..12].to_owned());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    HeaderValue::try_from(format!("{process}-{count:x}"))
        .unwrap_or(HeaderValue::from_static("unknown"))
}

/// A response body whose bytes are counted.
struct Counted {
    body: Body,
    metrics: Arc<Metrics>,
}

impl hyper::body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.metrics
                .bytes_out
                .inc_by(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
