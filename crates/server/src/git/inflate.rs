//! Request bodies that Git compresses.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use packhouse_api::ErrorCode;

use crate::error::ApiError;
use crate::stream::BlockingBody;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encoding {
    /// As it is.
    Identity,
    /// gzip.
    Gzip,
}

impl Encoding {
    /// What the headers say.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Encoding, ApiError> {
        match headers
            .get(CONTENT_ENCODING)
            .map(|value| value.as_bytes().to_ascii_lowercase())
            .as_deref()
        {
            None | Some(b"identity") => Ok(Encoding::Identity),
            Some(b"gzip" | b"x-gzip") => Ok(Encoding::Gzip),
            Some(_) => Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                "the body's encoding is none but gzip",
            )),
        }
    }

    /// The decoded bytes of `body`. Reading more than `limit` of them fails: a small body may stand for a huge one.
    pub(super) fn decode(self, body: BlockingBody, limit: u64) -> Limited<Box<dyn Read + Send>> {
        let inner: Box<dyn Read + Send> = match self {
            Encoding::Identity => Box::new(body),
            Encoding::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(body))),
        };
        Limited { inner, left: limit }
    }
}

/// A reader that fails when more than a number of bytes is read.
pub(crate) struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R> Limited<R> {
    /// `inner`, of which `limit` bytes may be read.
    pub(crate) fn new(inner: R, limit: u64) -> Limited<R> {
        Limited { inner, left: limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "the request is too large",
                ));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_at_the_limit() {
        let mut out = Vec::new();
        assert!(
            Limited {
                inner: &[1u8; 100][..],
                left: 100
            }
            .read_to_end(&mut out)
            .is_ok()
        );
        let error = Limited {
            inner: io::repeat(1),
            left: 1 << 20,
        }
        .read_to_end(&mut out)
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
