//! What a crash has left at the end of a reflog: half a line, or one for a move that was not made.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bstr::{BStr, ByteSlice};

use super::line::{LINE_BYTES_MAX, Move, line, parse_line};

/// What the line says that takes back a move which was logged but not made.
const TAKEN_BACK: &str = "the move above was interrupted";

/// How much of a log's end is read first: mostly its last line is in it.
const TAIL_BYTES: u64 = 1 << 10;

/// Cuts off a line that a crash has torn, and gives the line that joins the log to `next`, if it needs one.
pub(super) fn repair(file: &mut File, length: u64, next: &Move<'_>) -> io::Result<Vec<u8>> {
    let read_tail = |bytes: u64| {
        let mut tail = vec![0; bytes.min(length) as usize];
        file.read_exact_at(&mut tail, length - bytes.min(length))
            .map(|()| tail)
    };
    let mut tail = read_tail(TAIL_BYTES)?;
    // Complete, and more than one line: then the last one is whole.
    if tail.last() != Some(&b'\n') || tail[..tail.len() - 1].find_byte(b'\n').is_none() {
        tail = read_tail(2 * LINE_BYTES_MAX as u64)?;
    }
    let start = length - tail.len() as u64;
    let whole = tail.rfind_byte(b'\n').map_or(0, |at| at + 1);
    if whole < tail.len() && (whole > 0 || start == 0) {
        file.set_len(start + whole as u64)?;
    }
    let last = tail[..whole]
        .trim_end_with(|c| c == '\n')
        .rsplit(|&byte| byte == b'\n')
        .next();
    let Some(last) = last.and_then(|last| parse_line(last, BStr::new(""))) else {
        return Ok(Vec::new());
    };
    if last.new == next.old {
        return Ok(Vec::new());
    }
    Ok(line(&Move {
        old: last.new,
        new: next.old,
        message: TAKEN_BACK,
        ..*next
    }))
}
