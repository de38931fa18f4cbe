//! Bodies of requests, whole and in memory: they are read before anything is asked, and may be sent on.
//!
//! What always holds:
//! - memory is taken as a body arrives, never for what may still come, and all bodies together have a fixed amount of it;
//! - a body for which there is none waits, for so long as any request waits for its turn;
//! - a client that sends nothing for [`STALL`], or for longer less than [`BYTES_PER_SECOND`], loses its request, and what that
//!   held is free again.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt;
use packhouse_api::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::git::Encoding;

/// What all bodies together may hold, in KiB.
const POOL_KIB: usize = 256 << 10;
/// No body is larger. A fetch names some thousand commits at most; a want or a have takes about 50 bytes.
const MOST_BYTES: u64 = 4 << 20;
/// A body of which nothing came for so long is given up.
const STALL: Duration = Duration::from_secs(30);
/// So much of a body has to come, once the time of a stall is used up. Half of what the slowest of modems sends.
const BYTES_PER_SECOND: u32 = 4 << 10;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Memory for bodies.
#[derive(Debug)]
pub(super) struct Bodies {
    pool: Arc<Semaphore>,
    most_bytes: u64,
    wait: Duration,
    stall: Duration,
}

/// A body, and its part of the memory.
#[derive(Debug)]
pub(super) struct HeldBody {
    pub(super) bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

/// A body that is growing.
struct Growing<'b> {
    bodies: &'b Bodies,
    bytes: Vec<u8>,
    held: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// No body is larger than `most_bytes`, compressed or not, nor than [`MOST_BYTES`]. One that finds no memory waits
    /// for some so long.
    pub(super) fn new(most_bytes: u64, wait: Duration) -> Bodies {
        Bodies {
            pool: Arc::new(Semaphore::new(POOL_KIB)),
            most_bytes: most_bytes.min(MOST_BYTES),
            wait,
            stall: STALL,
        }
    }

    /// Reads a body, and decompresses it.
    pub(super) async fn read(
        &self,
        mut body: Body,
        encoding: Encoding,
    ) -> Result<HeldBody, ApiError> {
        let mut sent = self.growing();
        let stalled = |_| ApiError::new(ErrorCode::Timeout, "nothing more of the request came");
        // Used up by waiting, earned by what comes. Waiting for memory is not the client's.
        let mut patience = self.stall;
        loop {
            let began = Instant::now();
            let frame = tokio::time::timeout(patience, body.frame()).await;
            let Some(frame) = frame.map_err(stalled)? else {
                break;
            };
            patience = patience.saturating_sub(began.elapsed());
            let broken = |_| ApiError::new(ErrorCode::Timeout, "the request broke off");
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
                let earned = Duration::from_secs(1) * bytes / BYTES_PER_SECOND;
                patience = patience.saturating_add(earned).min(self.stall);
                sent.push(&data).await?;
            }
        }
        if encoding == Encoding::Identity {
            return Ok(sent.end());
        }
        let mut decoder = MultiGzDecoder::new(sent.bytes.as_slice());
        let mut decoded = self.growing();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let broken = |_| ApiError::invalid("the body is no gzip");
            match decoder.read(&mut piece).map_err(broken)? {
                0 => return Ok(decoded.end()),
                count => decoded.push(&piece[..count]).await?,
            }
        }
    }

    fn growing(&self) -> Growing<'_> {
        Growing {
            bodies: self,
            bytes: Vec::new(),
            held: None,
        }
    }
}

impl Growing<'_> {
    async fn push(&mut self, data: &[u8]) -> Result<(), ApiError> {
        let bytes = self.bytes.len() + data.len();
        if bytes as u64 > self.bodies.most_bytes {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!("a fetch request may have {} bytes", self.bodies.most_bytes),
            ));
        }
        let held = self
            .held
            .as_ref()
            .map_or(0, OwnedSemaphorePermit::num_permits);
        // A vector that grows has up to twice the room.
        let more = (bytes.div_ceil(512)).saturating_sub(held);
        if more > 0 {
            let more = u32::try_from(more).unwrap_or(u32::MAX);
            let pool = self.bodies.pool.clone();
            let taken = tokio::time::timeout(self.bodies.wait, pool.acquire_many_owned(more));
            let Ok(Ok(taken)) = taken.await else {
                return Err(ApiError::unavailable("too many large requests at once"));
            };
            match &mut self.held {
                Some(held) => held.merge(taken),
                None => self.held = Some(taken),
            }
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn end(self) -> HeldBody {
        HeldBody {
            bytes: self.bytes.into(),
            _held: self.held,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[tokio::test]
    async fn a_small_body_that_stands_for_a_huge_one_is_refused() {
        let bodies = Bodies::new(1 << 20, Duration::ZERO);
        let zip = |bytes: usize| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&vec![b'a'; bytes]).unwrap();
            Body::from(encoder.finish().unwrap())
        };
        let held = bodies.read(zip(1 << 20), Encoding::Gzip).await.unwrap();
        assert_eq!(held.bytes.len(), 1 << 20);
        assert!(bodies.pool.available_permits() < POOL_KIB);
        drop(held);
        let refused = bodies.read(zip((1 << 20) + 1), Encoding::Gzip).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::TooLarge);
        let plain = Body::from(vec![0; (1 << 20) + 1]);
        let refused = bodies.read(plain, Encoding::Identity).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::TooLarge);
        assert_eq!(bodies.pool.available_permits(), POOL_KIB);
    }

    #[tokio::test]
    async fn all_bodies_together_have_so_much_memory() {
        let bodies = Bodies::new(u64::MAX, Duration::from_millis(20));
        let all = Arc::clone(&bodies.pool)
            .try_acquire_many_owned(POOL_KIB as u32 - 10)
            .unwrap();
        let body = || Body::from(vec![0; 20 << 10]);
        let refused = bodies.read(body(), Encoding::Identity).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Unavailable);
        // One that has to wait gets in when there is memory again.
        let bodies = Bodies {
            wait: Duration::from_secs(20),
            ..bodies
        };
        let free = async {
            tokio::task::yield_now().await;
            drop(all);
        };
        let (read, ()) = tokio::join!(bodies.read(body(), Encoding::Identity), free);
        read.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_stalls_gives_back_what_it_held() {
        let bodies = Bodies {
            stall: Duration::from_millis(10),
            ..Bodies::new(u64::MAX, Duration::ZERO)
        };
        let begin = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 1 << 20]))]);
        let stalled = futures::StreamExt::chain(begin, futures::stream::pending());
        let read = bodies.read(Body::from_stream(stalled), Encoding::Identity);
        let refused = tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .unwrap();
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Timeout);
        assert_eq!(bodies.pool.available_permits(), POOL_KIB);
    }

    #[tokio::test]
    async fn a_body_that_comes_drop_by_drop_gives_back_what_it_held() {
        let bodies = Bodies {
            stall: Duration::from_millis(50),
            ..Bodies::new(u64::MAX, Duration::ZERO)
        };
        let drops = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let read = bodies.read(Body::from_stream(drops), Encoding::Identity);
        let refused = tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .unwrap();
        assert_eq!(refused.unwrap_err().code(), ErrorCode::Timeout);
        assert_eq!(bodies.pool.available_permits(), POOL_KIB);
    }

    #[tokio::test]
    async fn no_limit_allows_a_body_that_no_fetch_has() {
        let bodies = Bodies::new(64 << 20, Duration::ZERO);
        let large = Body::from(vec![0; (MOST_BYTES + 1) as usize]);
        let refused = bodies.read(large, Encoding::Identity).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::TooLarge);
    }
}
