//! Bodies of newline-delimited JSON: a first line that says what is to be done, then lines that carry content.

mod base64_pieces;
mod chunk;
mod lines;

use bytes::Bytes;

pub(super) use self::base64_pieces::{NotBase64, Pieces};
pub(super) use self::chunk::{
    Carries, Chunk, DataSplitter, Head, MAX_CHUNK_BYTES, parse, parse_tail, too_large,
};
pub(super) use self::lines::LineReader;

use self::chunk::{MAX_ENCODED_BYTES, MAX_LINE_BYTES, parse_head};
use self::lines::Next;
use crate::error::ApiError;

/// The next line that carries content.
#[derive(Debug)]
pub(super) enum NextChunk {
    /// All of it.
    Whole(Bytes),
    /// A long one whose data is to be read with [`LineReader::rest`]; the bytes are its beginning.
    Long(Head, Bytes),
    /// The end of the body.
    End,
}

/// Reads the next line of content, held whole if it has no more than `free_bytes` or is written in an unusual way.
pub(super) async fn next_chunk(
    lines: &mut LineReader,
    carries: Carries,
    free_bytes: usize,
) -> Result<NextChunk, ApiError> {
    loop {
        let start = match lines.next(free_bytes).await? {
            Next::End => return Ok(NextChunk::End),
            Next::Line(line) => return Ok(NextChunk::Whole(line)),
            Next::Start(start) => start,
        };
        if let Some(head) = parse_head(carries, &start) {
            return Ok(NextChunk::Long(head, start));
        }
        // A long run of blanks: one blank line, or the beginning of a line after all.
        let line = lines.finish(start, MAX_LINE_BYTES).await?;
        if !line.iter().all(u8::is_ascii_whitespace) {
            return Ok(NextChunk::Whole(line));
        }
    }
}

/// The data of a chunk that was received whole; `None`: it is not base64.
pub(super) fn decode(chunk: &Chunk<'_>) -> Result<Option<Vec<u8>>, ApiError> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    // Refused before it is decoded: four characters carry at most three bytes.
    if chunk.data.len() > MAX_ENCODED_BYTES {
        return Err(too_large());
    }
    let Ok(data) = STANDARD.decode(chunk.data.as_bytes()) else {
        return Ok(None);
    };
    if data.len() > MAX_CHUNK_BYTES {
        return Err(too_large());
    }
    Ok(Some(data))
}
