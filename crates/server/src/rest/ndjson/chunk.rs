//! Lines that carry content.
//!
//! A short line is parsed as the JSON it is. A long one is taken apart while it arrives: what stands before its data,
//! the data, and what stands after it, so that a chunk of 4 MiB is never held whole. Both ends are still parsed as
//! JSON, by completing them to a whole line.

use std::borrow::Cow;

use bstr::ByteSlice;
use bytes::{Buf, Bytes};
use packhouse_api::{BlobChunkLine, DiffChunkLine};

use crate::error::ApiError;
use crate::rest::json_object::expect_object;

/// Largest decoded chunk, in bytes: a limit of the wire contract.
pub(crate) const MAX_CHUNK_BYTES: usize = 4 << 20;

/// A chunk of that size in base64, in bytes.
pub(crate) const MAX_ENCODED_BYTES: usize = MAX_CHUNK_BYTES.div_ceil(3) * 4;

/// Largest line that is held whole because its parts come in another order than usual: a chunk and what is around
/// it, with room for slashes that are written `\/`.
pub(crate) const MAX_LINE_BYTES: usize = MAX_ENCODED_BYTES + (256 << 10);

/// What may stand after the data of a long line, in bytes.
pub(crate) const MAX_TAIL_BYTES: usize = 1024;

/// What the chunks of a body are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// Files, each of which has a name: `blob_chunk` lines.
    Blobs,
    /// One diff: `diff_chunk` lines.
    Diff,
}

/// A chunk line, parsed.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    /// Which content; empty for a diff.
    pub content_id: Cow<'a, str>,
    /// Its data, still in base64.
    pub data: Cow<'a, str>,
    /// Whether this is the last chunk of the content.
    pub eof: bool,
}

/// Parses a whole line.
pub(crate) fn parse(carries: Carries, line: &[u8]) -> Result<Chunk<'_>, ApiError> {
    match carries {
        Carries::Blobs => {
            expect_object("a `blob_chunk` line", line)?;
            let BlobChunkLine { blob_chunk } =
                serde_json::from_slice(line).map_err(|error| malformed("blob_chunk", &error))?;
            Ok(Chunk {
                content_id: blob_chunk.content_id,
                data: blob_chunk.data,
                eof: blob_chunk.eof,
            })
        }
        Carries::Diff => {
            expect_object("a `diff_chunk` line", line)?;
            let DiffChunkLine { diff_chunk } =
                serde_json::from_slice(line).map_err(|error| malformed("diff_chunk", &error))?;
            Ok(Chunk {
                content_id: Cow::Borrowed(""),
                data: diff_chunk.data,
                eof: diff_chunk.eof,
            })
        }
    }
}

/// The beginning of a long line.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// Which content.
    pub content_id: String,
    /// Where in the line its data begins.
    pub data_at: usize,
}

/// Recognises the beginning of a line whose data stands last but for `eof`, as every SDK writes it. `None`: the line
/// is written in another way, or not at all as it should be, and has to be looked at whole.
pub(crate) fn parse_head(carries: Carries, start: &[u8]) -> Option<Head> {
    const KEY: &[u8] = b"\"data\"";
    let mut from = 0;
    loop {
        let key_at = from + start[from..].find(KEY)?;
        from = key_at + KEY.len();
        let Some(data_at) = after_colon_and_quote(start, from) else {
            continue;
        };
        let mut line = start[..data_at].to_vec();
        line.extend_from_slice(b"\",\"eof\":false}}");
        // A `"data":"` inside of a string cannot be completed this way, so what parses is the data.
        if let Ok(chunk) = parse(carries, &line)
            && chunk.data.is_empty()
        {
            return Some(Head {
                content_id: chunk.content_id.into_owned(),
                data_at,
            });
        }
    }
}

fn after_colon_and_quote(line: &[u8], from: usize) -> Option<usize> {
    let skip = |from: usize| {
        from + line[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count()
    };
    let colon = skip(from);
    if line.get(colon) != Some(&b':') {
        return None;
    }
    let quote = skip(colon + 1);
    (line.get(quote) == Some(&b'"')).then_some(quote + 1)
}

/// Splits what follows a [`Head`] into its data and what stands after it.
#[derive(Debug, Default)]
pub(crate) struct DataSplitter {
    /// From the closing quote on.
    pub tail: Vec<u8>,
    encoded_bytes: usize,
    /// A backslash was the last byte seen.
    is_escaped: bool,
}

impl DataSplitter {
    /// Takes data from the beginning of `rest`; `None` when there is none left in it.
    pub(crate) fn next(&mut self, rest: &mut Bytes) -> Result<Option<Bytes>, ApiError> {
        loop {
            if !self.tail.is_empty() {
                self.tail.extend_from_slice(&std::mem::take(rest));
                if self.tail.len() > MAX_TAIL_BYTES {
                    return Err(ApiError::invalid(
                        "a line goes on for too long after its data",
                    ));
                }
            }
            if rest.is_empty() {
                return Ok(None);
            }
            // Some writers of JSON escape the slash, the one character of base64 that may be.
            let from = usize::from(std::mem::take(&mut self.is_escaped));
            if from == 1 && rest[0] != b'/' {
                return Err(ApiError::invalid("the data of a chunk is not valid base64"));
            }
            let data = match rest[from..].find_byteset(b"\"\\") {
                None => std::mem::take(rest),
                Some(at) => {
                    let data = rest.split_to(from + at);
                    if rest[0] == b'\\' {
                        rest.advance(1);
                        self.is_escaped = true;
                    } else {
                        self.tail.extend_from_slice(&rest.split_to(1));
                    }
                    data
                }
            };
            self.encoded_bytes += data.len();
            if self.encoded_bytes > MAX_ENCODED_BYTES {
                return Err(too_large());
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }
}

/// The failure of a chunk over [`MAX_CHUNK_BYTES`].
pub(crate) fn too_large() -> ApiError {
    ApiError::invalid(format!("a chunk has more than {MAX_CHUNK_BYTES} bytes"))
}

/// Reads what stands after the data of a long line, from its closing quote on, and says whether it was the last chunk.
pub(crate) fn parse_tail(carries: Carries, tail: &[u8]) -> Result<bool, ApiError> {
    let head: &[u8] = match carries {
        Carries::Blobs => b"{\"blob_chunk\":{\"content_id\":\"\",\"data\":\"",
        Carries::Diff => b"{\"diff_chunk\":{\"data\":\"",
    };
    Ok(parse(carries, &[head, tail].concat())?.eof)
}

fn malformed(what: &str, error: &serde_json::Error) -> ApiError {
    ApiError::invalid(format!("a line is not a `{what}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_line_is_recognised_by_its_beginning() {
        for (start, id) in [
            (r#"{"blob_chunk":{"content_id":"a","data":"AAAA"#, "a"),
            (
                r#"{"blob_chunk": {"content_id": "a b", "data": "AAAA"#,
                "a b",
            ),
            (
                r#" { "blob_chunk" : { "content_id" : "\u0061" , "data" : "AAAA"#,
                "a",
            ),
            (
                r#"{"blob_chunk":{"content_id":"\"data\":\"","data":"AAAA"#,
                r#""data":""#,
            ),
        ] {
            let head = parse_head(Carries::Blobs, start.as_bytes()).unwrap();
            assert_eq!(head.content_id, id, "{start}");
            assert_eq!(&start[head.data_at..], "AAAA", "{start}");
        }
        for start in [
            r#"{"blob_chunk":{"data":"AAAA"#,
            r#"{"blob_chunk":{"eof":true,"content_id":"a","data":"AAAA"#,
            r#"{"metadata":{"content_id":"a","data":"AAAA"#,
            r#"{"blob_chunk":{"content_id":"a"AAAA"#,
            "",
        ] {
            assert_eq!(
                parse_head(Carries::Blobs, start.as_bytes()),
                None,
                "{start}"
            );
        }
    }

    #[test]
    fn lines_of_a_diff_need_no_id() {
        let start = br#"{"diff_chunk": {"data": "AAAA"#;
        let head = parse_head(Carries::Diff, start).unwrap();
        assert_eq!(
            (head.content_id.as_str(), &start[head.data_at..]),
            ("", &b"AAAA"[..])
        );
        assert_eq!(parse_head(Carries::Blobs, start), None);
        assert!(parse_tail(Carries::Diff, br#"", "eof": true}}"#).unwrap());
        let chunk = parse(
            Carries::Diff,
            br#"{"diff_chunk":{"data":"AA==","eof":false}}"#,
        )
        .unwrap();
        assert_eq!((&*chunk.data, chunk.eof), ("AA==", false));
        assert!(
            parse(
                Carries::Diff,
                br#"{"blob_chunk":{"content_id":"","data":"","eof":true}}"#
            )
            .is_err()
        );
    }

    fn split(text: &str, cuts: &[usize]) -> Result<(String, String), ApiError> {
        let mut split = DataSplitter::default();
        let mut found = Vec::new();
        let mut text = Bytes::from(text.to_owned());
        for cut in cuts.iter().chain([&usize::MAX]) {
            let mut rest = text.split_to(text.len().min(*cut));
            while let Some(data) = split.next(&mut rest)? {
                found.extend_from_slice(&data);
            }
        }
        Ok((
            String::from_utf8(found).unwrap(),
            String::from_utf8(split.tail).unwrap(),
        ))
    }

    proptest! {
        #[test]
        fn data_and_tail_do_not_depend_on_how_the_line_is_cut(
            data in "([A-C+]|\\\\/){0,20}",
            cuts in proptest::collection::vec(0usize..8, 0..12),
        ) {
            let line = format!("{data}\",\"eof\":true}}}}");
            let (found, tail) = split(&line, &cuts).unwrap();
            prop_assert_eq!(found, data.replace("\\/", "/"));
            prop_assert_eq!(tail, "\",\"eof\":true}}");
        }
    }

    #[test]
    fn other_escapes_and_endless_tails_are_refused() {
        assert!(split("AA\\u0041\"", &[]).is_err());
        assert!(split("AA\\", &[]).is_ok_and(|(data, tail)| data == "AA" && tail.is_empty()));
        assert!(split(&format!("AA\"{}", " ".repeat(MAX_TAIL_BYTES + 1)), &[]).is_err());
    }

    #[test]
    fn the_end_of_a_long_line_says_whether_it_is_the_last() {
        assert!(parse_tail(Carries::Blobs, br#"","eof":true}}"#).unwrap());
        assert!(!parse_tail(Carries::Blobs, b"\" , \"eof\" : false } } \r").unwrap());
        for tail in [
            r#""}}"#,
            r#"","eof":true}"#,
            r#"","eof":true}}x"#,
            r#"","eof":1}}"#,
            "",
        ] {
            assert!(
                parse_tail(Carries::Blobs, tail.as_bytes()).is_err(),
                "{tail}"
            );
        }
    }
}
