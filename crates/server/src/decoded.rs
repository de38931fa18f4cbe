//! Bodies of the API's requests that come compressed.
//!
//! A body is taken apart while it is read, a little at a time: what is read of it has the limits that every body has, and
//! what is not read costs nothing.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use hyper::body::{Body as HttpBody, Frame};
use packhouse_api::ErrorCode;

use crate::body::BodyError;
use crate::error::ApiError;

/// Compressed bytes that are decoded at a time; they become a thousand times as many at most.
const STEP_BYTES: usize = 256;

/// Has a handler read what was compressed. Encodings that are not known are refused, for nothing else says what the
/// body is.
pub(crate) async fn decode(mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if !headers.contains_key(CONTENT_ENCODING) || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let named: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().collect();
    let named: Option<Vec<_>> = named.into_iter().map(|value| value.to_str().ok()).collect();
    let named = named.map(|named| named.join(",").to_ascii_lowercase());
    match named.as_deref().map(str::trim) {
        Some("" | "identity") => {}
        Some("gzip" | "x-gzip") => {
            request.headers_mut().remove(CONTENT_LENGTH);
            request = request.map(|body| Body::new(Decoded::new(body)));
        }
        named => {
            let named = crate::rest::shown(named.unwrap_or("no text"));
            return ApiError::new(
                ErrorCode::UnsupportedMediaType,
                format!("`Content-Encoding` is `{named}`; only `gzip` is read, or none"),
            )
            .into_response();
        }
    }
    next.run(request).await
}

/// What a compressed body holds.
struct Decoded {
    inner: Body,
    /// Received and not decoded yet.
    input: Bytes,
    /// `None` after the end.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    any: bool,
}

impl Decoded {
    fn new(inner: Body) -> Decoded {
        Decoded {
            inner,
            input: Bytes::new(),
            decoder: Some(MultiGzDecoder::new(Vec::new())),
            any: false,
        }
    }

    /// Decodes a little; empty if nothing came of it yet.
    fn step(&mut self) -> std::io::Result<Bytes> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(Bytes::new());
        };
        let end = self.input.len().min(STEP_BYTES);
        decoder.write_all(&self.input[..end])?;
        decoder.flush()?;
        self.input.advance(end);
        Ok(std::mem::take(decoder.get_mut()).into())
    }

    fn finish(&mut self) -> std::io::Result<Bytes> {
        match self.decoder.take() {
            // Nothing at all is an empty body.
            Some(decoder) if self.any => decoder.finish().map(Bytes::from),
            _ => Ok(Bytes::new()),
        }
    }
}

impl HttpBody for Decoded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let broken = |error| Some(Err(BodyError::NotGzip(error).into()));
        while this.decoder.is_some() {
            while this.input.has_remaining() {
                match this.step() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(error) => {
                        this.decoder = None;
                        return Poll::Ready(broken(error));
                    }
                }
            }
            match std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // What follows the data are trailers, which nobody reads.
                    this.input = frame.into_data().unwrap_or_default();
                    this.any |= this.input.has_remaining();
                }
                Some(Err(error)) => {
                    this.decoder = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => match this.finish() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    Err(error) => return Poll::Ready(broken(error)),
                },
            }
        }
        Poll::Ready(None)
    }
}
