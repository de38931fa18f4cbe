//! Bodies of `commit-pack` and `diff-commit`: a line means in pieces what it means whole, and nothing panics.
//!
//! The parser is taken from the server's own source files: building the whole server for two of them would take longer
//! than fuzzing them.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use packhouse_api::MetadataLine;

#[allow(dead_code)]
#[path = "../../crates/server/src/rest/ndjson/base64_pieces.rs"]
mod base64_pieces;
#[allow(dead_code)]
#[path = "../../crates/server/src/rest/ndjson/chunk.rs"]
mod chunk;

#[path = "../../crates/server/src/rest/json_object.rs"]
mod json_object;

/// The parser finds it there.
mod rest {
    pub(crate) use crate::json_object;
}

mod error {
    /// What the parser needs of the server's error type.
    #[derive(Debug)]
    pub struct ApiError;

    impl ApiError {
        pub fn invalid(_: impl Into<String>) -> ApiError {
            ApiError
        }
    }
}

fuzz_target!(|input: (&[u8], Vec<u8>, bool)| {
    let (line, cuts, is_diff) = input;
    let carries = if is_diff { chunk::Carries::Diff } else { chunk::Carries::Blobs };
    let _ = serde_json::from_slice::<MetadataLine>(line);
    let Some(head) = chunk::parse_head(carries, line) else { return };
    let mut splitter = chunk::DataSplitter::default();
    let mut pieces = base64_pieces::Pieces::default();
    let (mut encoded, mut decoded) = (Vec::new(), Vec::new());
    let mut rest = &line[head.data_at..];
    let mut cuts = cuts.into_iter();
    while !rest.is_empty() {
        let cut = usize::from(cuts.next().unwrap_or(u8::MAX)).clamp(1, rest.len());
        let mut piece = Bytes::copy_from_slice(&rest[..cut]);
        rest = &rest[cut..];
        loop {
            match splitter.next(&mut piece) {
                Ok(Some(part)) => {
                    encoded.extend_from_slice(&part);
                    if pieces.decode(&part, &mut decoded).is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    if let Ok(eof) = chunk::parse_tail(carries, &splitter.tail) {
        let whole = chunk::parse(carries, line).expect("a line that is read in pieces can be read whole");
        assert_eq!(encoded, whole.data.as_bytes());
        assert_eq!(eof, whole.eof);
    }
});
