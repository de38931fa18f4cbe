//! The diff as it arrives: decoded, in memory while it is small, in a file beyond.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use packhouse_api::ErrorCode;
use packhouse_repo::patch::PatchText;

use crate::error::ApiError;
use crate::rest::ndjson::{
    self, Carries, DataSplitter, LineReader, MAX_CHUNK_BYTES, NextChunk, Pieces, next_chunk,
};
use crate::state::AppState;
use crate::turns::{Turn, TurnFor};

/// A diff is held in memory up to this size, in bytes; of a larger one so much is written at a time.
const MEMORY_BYTES: usize = 256 << 10;

/// A diff that arrived whole.
pub(super) struct Diff {
    pub text: PatchText,
    /// Held as long as the file is there.
    _turn: Option<Turn>,
}

/// Reads all lines that follow the first.
pub(super) async fn receive(
    lines: &mut LineReader,
    state: &AppState,
    of: &TurnFor,
    folder: PathBuf,
) -> Result<Diff, ApiError> {
    let mut spool = Spool {
        state,
        of,
        folder,
        held: Vec::new(),
        file: None,
        written: 0,
        turn: None,
    };
    let mut is_ended = false;
    loop {
        let next = next_chunk(lines, Carries::Diff, state.limits.line_free_bytes).await?;
        if is_ended && !matches!(next, NextChunk::End) {
            return Err(ApiError::invalid("the diff goes on after its last chunk"));
        }
        is_ended = match next {
            NextChunk::End if is_ended => return spool.finish().await,
            NextChunk::End => {
                return Err(ApiError::invalid("the diff has no last chunk (`eof`)"));
            }
            NextChunk::Whole(line) => {
                let chunk = ndjson::parse(Carries::Diff, &line)?;
                let data = ndjson::decode(&chunk)?.ok_or_else(not_base64)?;
                spool.write(&data).await?;
                chunk.eof
            }
            NextChunk::Long(head, start) => {
                long_chunk(start.slice(head.data_at..), lines, &mut spool).await?
            }
        };
    }
}

/// A line that is taken apart as it arrives; says whether it was the last chunk.
async fn long_chunk(
    start: Bytes,
    lines: &mut LineReader,
    spool: &mut Spool<'_>,
) -> Result<bool, ApiError> {
    let (mut split, mut pieces) = (DataSplitter::default(), Pieces::default());
    let (mut decoded, mut chunk_bytes) = (Vec::new(), 0);
    let mut piece = Some(start);
    while let Some(mut rest) = piece {
        while let Some(data) = split.next(&mut rest)? {
            decoded.clear();
            pieces
                .decode(&data, &mut decoded)
                .map_err(|_| not_base64())?;
            chunk_bytes += decoded.len();
            if chunk_bytes > MAX_CHUNK_BYTES {
                return Err(ndjson::too_large());
            }
            spool.write(&decoded).await?;
        }
        piece = lines.rest().await?;
    }
    let eof = ndjson::parse_tail(Carries::Diff, &split.tail)?;
    pieces.finish().map_err(|_| not_base64())?;
    Ok(eof)
}

fn not_base64() -> ApiError {
    ApiError::invalid("the data of the diff is not valid base64")
}

struct Spool<'a> {
    state: &'a AppState,
    of: &'a TurnFor,
    folder: PathBuf,
    held: Vec<u8>,
    file: Option<File>,
    written: u64,
    turn: Option<Turn>,
}

impl Spool<'_> {
    async fn write(&mut self, data: &[u8]) -> Result<(), ApiError> {
        let limit = self.state.limits.diff_bytes;
        if self.written + (self.held.len() + data.len()) as u64 > limit {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!("the diff has more than {limit} bytes"),
            ));
        }
        self.held.extend_from_slice(data);
        if self.held.len() > MEMORY_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ApiError> {
        if self.turn.is_none() {
            self.turn = Some(self.state.spools.take(self.of).await?);
        }
        let (held, file) = (std::mem::take(&mut self.held), self.file.take());
        self.written += held.len() as u64;
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || append(file, &folder, held)).await?;
        let (file, held) = written.map_err(ApiError::internal)?;
        (self.file, self.held) = (Some(file), held);
        Ok(())
    }

    async fn finish(mut self) -> Result<Diff, ApiError> {
        if self.file.is_some() {
            self.flush().await?;
        }
        let text = match self.file {
            Some(file) => PatchText::file(file, self.written),
            None => PatchText::memory(self.held.into()),
        };
        Ok(Diff {
            text,
            _turn: self.turn,
        })
    }
}

/// Writes to the file, which is made if there is none and has no name. Returns it, and the emptied buffer.
fn append(file: Option<File>, folder: &Path, mut held: Vec<u8>) -> io::Result<(File, Vec<u8>)> {
    let mut file = match file {
        Some(file) => file,
        None => tempfile::tempfile_in(folder)?,
    };
    file.write_all(&held)?;
    held.clear();
    Ok((file, held))
}
