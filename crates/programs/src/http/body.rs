//! The body of a request: as long as it is said to be, inflated where it was deflated.

use std::io::{self, Cursor, Read};

use flate2::read::GzDecoder;

use crate::environment::Environment;
use crate::error::ProgramError;
use crate::serve::Input;

/// The largest request of a fetch unless `GIT_HTTP_MAX_REQUEST_BUFFER` says otherwise, in bytes.
const MAX_REQUEST_BYTES: u64 = 10 << 20;

/// The body of a request, up to its length and inflated.
pub(super) fn body(environment: &Environment, input: Input) -> Result<Input, ProgramError> {
    let input: Input = match environment.text("CONTENT_LENGTH") {
        Some(length) => {
            let length = length.parse::<u64>().map_err(|_| {
                ProgramError::Config(format!("failed to parse CONTENT_LENGTH: {length}"))
            })?;
            Box::new(input.take(length))
        }
        None => input,
    };
    Ok(match environment.text("HTTP_CONTENT_ENCODING") {
        Some("gzip" | "x-gzip") => Box::new(GzDecoder::new(input)),
        _ => input,
    })
}

/// All of a body that may not be large: some web servers write nothing before they have been read from to the end.
pub(super) fn whole(environment: &Environment, input: Input) -> Result<Input, ProgramError> {
    let limit = match environment.text("GIT_HTTP_MAX_REQUEST_BUFFER") {
        Some(limit) => limit.parse::<u64>().map_err(|_| {
            ProgramError::Config("failed to parse GIT_HTTP_MAX_REQUEST_BUFFER".to_owned())
        })?,
        None => MAX_REQUEST_BYTES,
    };
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

    fn read(variables: &[(&str, &str)], input: &[u8]) -> Result<String, ProgramError> {
        let mut environment = Environment::default();
        for (name, value) in variables {
            environment.set(name, *value);
        }
        let body = body(&environment, Box::new(Cursor::new(input.to_vec())))?;
        let mut text = String::new();
        whole(&environment, body)?
            .read_to_string(&mut text)
            .unwrap();
        Ok(text)
    }

    #[test]
    fn a_body_ends_where_its_length_says_and_is_inflated() {
        assert_eq!(read(&[], b"all of it").unwrap(), "all of it");
        assert_eq!(
            read(&[("CONTENT_LENGTH", "3")], b"all of it").unwrap(),
            "all"
        );
        assert!(read(&[("CONTENT_LENGTH", "-1")], b"").is_err());
        let mut deflater = GzEncoder::new(Vec::new(), Compression::fast());
        deflater.write_all(&[b'x'; 5000]).unwrap();
        let deflated = deflater.finish().unwrap();
        let gzip = ("HTTP_CONTENT_ENCODING", "gzip");
        assert_eq!(read(&[gzip], &deflated).unwrap().len(), 5000);
        let small = ("GIT_HTTP_MAX_REQUEST_BUFFER", "4999");
        assert!(read(&[gzip, small], &deflated).is_err());
    }
}
