//! The body of a request: as long as it is said to be, inflated where it was deflated.

use std::io::{self, Cursor, Read};

use flate2::read::GzDecoder;

use crate::config::number;
use crate::environment::Environment;
use crate::error::ProgramError;
use crate::serve::Input;

/// The body of a request, up to its length and inflated.
pub(super) fn body(environment: &Environment, input: Input) -> Result<Input, ProgramError> {
    let input: Input = match environment.bytes("CONTENT_LENGTH") {
        Some(length) => {
            let length = number(length).ok_or_else(|| {
                ProgramError::Config(format!("failed to parse CONTENT_LENGTH: {length}"))
            })?;
            match u64::try_from(length) {
                Ok(length) => Box::new(input.take(length)),
                // Less than nothing: nobody knows.
                Err(_) => input,
            }
        }
        None => input,
    };
    let encoding = environment.get("HTTP_CONTENT_ENCODING");
    let is_deflated = encoding.is_some_and(|name| name == "gzip" || name == "x-gzip");
    Ok(match is_deflated {
        true => Box::new(GzDecoder::new(input)),
        false => input,
    })
}

/// All of a body that may not be large: some web servers write nothing before they have been read from to the end.
pub(super) fn whole(limit: u64, input: Input) -> Result<Input, ProgramError> {
    let mut bytes = Vec::new();
    let read = input.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(ProgramError::io("read", "the request".as_ref()))?;
    if bytes.len() as u64 > limit {
        return Err(ProgramError::Config(format!(
            "request was larger than our maximum size ({limit}); try setting GIT_HTTP_MAX_REQUEST_BUFFER"
        )));
    }
    Ok(Box::new(Cursor::new(bytes)))
}

/// Nothing to read.
pub(super) fn nothing() -> Input {
    Box::new(io::empty())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(variables: &[(&str, &str)], limit: u64, input: &[u8]) -> Result<String, ProgramError> {
        let mut environment = Environment::default();
        for (name, value) in variables {
            environment.set(name, *value);
        }
        let body = body(&environment, Box::new(Cursor::new(input.to_vec())))?;
        let mut text = String::new();
        whole(limit, body)?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn a_body_ends_where_its_length_says_and_is_inflated() {
        assert_eq!(read(&[], 9, b"all of it").unwrap(), "all of it");
        for (length, found) in [
            ("3", "all"),
            ("+0x3", "all"),
            ("1k", "all of it"),
            ("-1", "all of it"),
            ("", "all of it"),
        ] {
            let length = ("CONTENT_LENGTH", length);
            assert_eq!(read(&[length], 9, b"all of it").unwrap(), found);
        }
        assert!(read(&[("CONTENT_LENGTH", "3x")], 9, b"").is_err());
        let mut deflater = GzEncoder::new(Vec::new(), Compression::fast());
        deflater.write_all(&[b'x'; 5000]).unwrap();
        let deflated = deflater.finish().unwrap();
        let gzip = ("HTTP_CONTENT_ENCODING", "gzip");
        assert_eq!(read(&[gzip], 5000, &deflated).unwrap().len(), 5000);
        assert!(read(&[gzip], 4999, &deflated).is_err());
    }
}
