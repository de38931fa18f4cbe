//! A body as lines, without holding more of it than its reader asks for.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bstr::ByteSlice;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use packhouse_api::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::ApiError;
use crate::rest::input::body_error;

/// Bytes that are taken from the pool of long lines at a time.
const POOL_STEP_BYTES: usize = 1 << 20;

/// The next line, or the beginning of one that is long.
#[derive(Debug)]
pub(crate) enum Next {
    /// A whole line without its newline, not blank.
    Line(Bytes),
    /// The first bytes of a longer line; [`LineReader::rest`] gives the others.
    Start(Bytes),
    /// The end of the body.
    End,
}

/// Reads the lines of a body. Blank lines are passed over; the last line need not end in a newline.
pub(crate) struct LineReader {
    body: Body,
    /// Received and not yet read.
    piece: Bytes,
    pool: Arc<Semaphore>,
    wait: Duration,
    free_bytes: usize,
    /// How much more of the body may come.
    left_bytes: u64,
    most_bytes: u64,
    /// Held until the reader is dropped: what was parsed from a long line is about as large as the line.
    held: Vec<OwnedSemaphorePermit>,
}

impl LineReader {
    /// A reader over `body`. Lines that have to be held whole and are long are paid for from `pool`, in KiB.
    pub(crate) fn new(body: Body, pool: Arc<Semaphore>, limits: &Limits) -> LineReader {
        LineReader {
            body,
            piece: Bytes::new(),
            pool,
            wait: limits.queue_wait,
            free_bytes: limits.line_free_bytes,
            left_bytes: limits.commit_bytes,
            most_bytes: limits.commit_bytes,
            held: Vec::new(),
        }
    }

    /// The next line whole, `limit` bytes at most; `None` at the end of the body.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Option<Bytes>, ApiError> {
        match self.next(self.free_bytes).await? {
            Next::End => Ok(None),
            Next::Line(line) if line.len() <= limit => Ok(Some(line)),
            Next::Line(_) => Err(too_long(limit)),
            Next::Start(start) => self.finish(start, limit).await.map(Some),
        }
    }

    /// The next line, if it has no more than about `limit` bytes, or the beginning of it.
    pub(crate) async fn next(&mut self, limit: usize) -> Result<Next, ApiError> {
        let mut start = BytesMut::new();
        loop {
            if let Some(at) = self.piece.find_byte(b'\n') {
                let end = self.piece.split_to(at);
                self.piece.advance(1);
                // The usual small line lies in one piece and is not copied.
                let line = if start.is_empty() {
                    end
                } else {
                    joined(&mut start, &end)
                };
                if !is_blank(&line) {
                    return Ok(Next::Line(line));
                }
                start.clear();
                continue;
            }
            start.extend_from_slice(&std::mem::take(&mut self.piece));
            if start.len() > limit {
                return Ok(Next::Start(start.freeze()));
            }
            if !self.fill().await? {
                let line = start.freeze();
                return Ok(if is_blank(&line) {
                    Next::End
                } else {
                    Next::Line(line)
                });
            }
        }
    }

    /// More of the line that [`Next::Start`] began; `None` at its end.
    pub(crate) async fn rest(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.piece.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        match self.piece.find_byte(b'\n') {
            Some(0) => {
                self.piece.advance(1);
                Ok(None)
            }
            Some(at) => Ok(Some(self.piece.split_to(at))),
            None => Ok(Some(std::mem::take(&mut self.piece))),
        }
    }

    /// The whole of the line that began with `start`.
    pub(crate) async fn finish(&mut self, start: Bytes, limit: usize) -> Result<Bytes, ApiError> {
        let mut line = BytesMut::from(start);
        let mut paid = self.free_bytes.max(line.len());
        while let Some(more) = self.rest().await? {
            if line.len() + more.len() > limit {
                return Err(too_long(limit));
            }
            while line.len() + more.len() > paid {
                self.pay(POOL_STEP_BYTES).await?;
                paid += POOL_STEP_BYTES;
            }
            line.extend_from_slice(&more);
        }
        Ok(line.freeze())
    }

    async fn pay(&mut self, bytes: usize) -> Result<(), ApiError> {
        let turn = self.pool.clone().acquire_many_owned((bytes / 1024) as u32);
        // Requests that each hold a part and wait for more cannot wait for each other for ever.
        match tokio::time::timeout(self.wait, turn).await {
            Ok(Ok(permit)) => {
                self.held.push(permit);
                Ok(())
            }
            _ => Err(ApiError::unavailable(
                "too many large requests at once; try again",
            )),
        }
    }

    /// Receives more; false at the end of the body.
    async fn fill(&mut self) -> Result<bool, ApiError> {
        loop {
            match self.body.frame().await {
                None => return Ok(false),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        let left = self.left_bytes.checked_sub(data.len() as u64);
                        self.left_bytes = left.ok_or_else(|| {
                            ApiError::new(
                                ErrorCode::TooLarge,
                                format!("the body has more than {} bytes", self.most_bytes),
                            )
                        })?;
                        self.piece = data;
                        return Ok(true);
                    }
                    // Trailers and empty pieces hold no lines.
                    _ => {}
                },
                Some(Err(error)) => return Err(body_error(&error)),
            }
        }
    }
}

fn joined(start: &mut BytesMut, end: &[u8]) -> Bytes {
    start.extend_from_slice(end);
    start.split().freeze()
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn too_long(limit: usize) -> ApiError {
    ApiError::new(
        ErrorCode::TooLarge,
        format!("a line has more than {limit} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader(pieces: Vec<Vec<u8>>) -> LineReader {
        let limits = Limits {
            line_free_bytes: 16,
            queue_wait: Duration::from_millis(20),
            ..Limits::default()
        };
        let body = Body::from_stream(futures::stream::iter(
            pieces.into_iter().map(Ok::<_, std::io::Error>),
        ));
        LineReader::new(
            body,
            Arc::new(Semaphore::new(POOL_STEP_BYTES / 1024)),
            &limits,
        )
    }

    async fn all(reader: &mut LineReader, limit: usize) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        loop {
            match reader.next(limit).await.unwrap() {
                Next::Line(line) => lines.push(line.to_vec()),
                Next::Start(start) => {
                    let mut line = start.to_vec();
                    while let Some(more) = reader.rest().await.unwrap() {
                        line.extend_from_slice(&more);
                    }
                    lines.push(line);
                }
                Next::End => return lines,
            }
        }
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_body_is_cut(
            text in "[a\n \r]{0,80}",
            cuts in proptest::collection::vec(1usize..12, 0..20),
            limit in 0usize..20,
        ) {
            let mut pieces = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece.to_vec());
                rest = after;
            }
            pieces.push(rest.to_vec());
            let expected: Vec<Vec<u8>> =
                text.split('\n').filter(|line| !is_blank(line.as_bytes())).map(|line| line.into()).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let found = runtime.block_on(async { all(&mut reader(pieces), limit).await });
            // A line handed out in parts is not known to be blank when it begins.
            let found: Vec<Vec<u8>> = found.into_iter().filter(|line| !is_blank(line)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn a_whole_line_has_a_limit() {
        let mut lines = reader(vec![vec![b'x'; 30], vec![b'x'; 30], b"\ny\n".to_vec()]);
        assert_eq!(lines.whole(60).await.unwrap().unwrap().len(), 60);
        assert_eq!(lines.whole(60).await.unwrap().unwrap(), "y");
        assert!(lines.whole(60).await.unwrap().is_none());
        let mut lines = reader(vec![vec![b'x'; 30], vec![b'x'; 31], b"\n".to_vec()]);
        assert_eq!(
            lines.whole(60).await.unwrap_err().code(),
            ErrorCode::TooLarge
        );
    }

    #[tokio::test]
    async fn long_lines_of_many_requests_share_one_pool() {
        let long = || vec![vec![b'x'; 1 << 20], vec![b'x'; 1 << 19], b"\n".to_vec()];
        let mut first = reader(long());
        let mut second = reader(long());
        second.pool = first.pool.clone();
        assert!(first.whole(4 << 20).await.is_ok());
        assert_eq!(
            second.whole(4 << 20).await.unwrap_err().code(),
            ErrorCode::Unavailable
        );
        drop(first);
        let mut third = reader(long());
        third.pool = second.pool.clone();
        drop(second);
        assert!(third.whole(4 << 20).await.is_ok());
    }
}
