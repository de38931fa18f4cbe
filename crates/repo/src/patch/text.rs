//! The bytes of a patch, in memory or in a file, read as lines at any offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bstr::ByteSlice;
use bytes::Bytes;

use super::PatchError;

/// The longest line of a header that is read: two paths in quotes, each byte as four characters, and some more.
pub(super) const MAX_HEADER_BYTES: u64 = 64 << 10;

/// Bytes of a file that are read at a time.
const WINDOW_BYTES: usize = 128 << 10;

/// A patch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PatchText {
    bytes: Place,
    len: u64,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Bytes),
    File(Arc<File>),
}

impl PatchText {
    /// A patch in memory.
    pub fn memory(bytes: Bytes) -> PatchText {
        let len = bytes.len() as u64;
        PatchText {
            bytes: Place::Memory(bytes),
            len,
        }
    }

    /// The first `len` bytes of a file that nobody changes.
    pub fn file(file: File, len: u64) -> PatchText {
        PatchText {
            bytes: Place::File(Arc::new(file)),
            len,
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it, which ends with the patch at the latest.
    pub(super) fn read(&self, at: u64, len: u64) -> io::Result<Bytes> {
        let len = usize::try_from(len.min(self.len.saturating_sub(at)))
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        match &self.bytes {
            Place::Memory(bytes) => {
                let at = usize::try_from(at).unwrap_or(bytes.len()).min(bytes.len());
                Ok(bytes.slice(at..at + len))
            }
            Place::File(file) => {
                let mut part = vec![0; len];
                file.read_exact_at(&mut part, at)?;
                Ok(part.into())
            }
        }
    }
}

/// One line of a patch, by what can be told without holding it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// Where it begins.
    pub at: u64,
    /// How long it is, with its newline.
    pub len: u64,
    /// Its first bytes, then zeros.
    pub start: [u8; 4],
    /// Whether it ends in a newline, as all but the last do.
    pub is_ended: bool,
}

impl Line {
    /// Where the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.at + self.len
    }
}

/// Reads the lines of a patch, one after the other, with a look at any other one on the way.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a PatchText,
    window: Bytes,
    window_at: u64,
    /// Where the next line begins.
    pub at: u64,
    /// Its number, counted from 1.
    pub number: u64,
}

impl<'a> Lines<'a> {
    /// The lines from `at` on, the first of which has this number.
    pub(super) fn new(text: &'a PatchText, at: u64, number: u64) -> Lines<'a> {
        Lines {
            text,
            window: Bytes::new(),
            window_at: 0,
            at,
            number,
        }
    }

    /// The next line, which stays the next one.
    pub(super) fn peek(&mut self) -> io::Result<Option<Line>> {
        self.line_at(self.at)
    }

    /// Goes on behind `line`, which was the next one.
    pub(super) fn pass(&mut self, line: &Line) {
        self.at = line.end();
        self.number += 1;
    }

    /// The line that begins at `at`; `None` at the end of the patch.
    pub(super) fn line_at(&mut self, at: u64) -> io::Result<Option<Line>> {
        if at >= self.text.len {
            return Ok(None);
        }
        let mut start = [0; 4];
        let first = self.window(at, 4)?;
        let known = first.len().min(4);
        start[..known].copy_from_slice(&first[..known]);
        let mut end = at;
        loop {
            let piece = self.window(end, 1)?;
            if let Some(newline) = piece.find_byte(b'\n') {
                let len = end + newline as u64 + 1 - at;
                return Ok(Some(Line {
                    at,
                    len,
                    start,
                    is_ended: true,
                }));
            }
            end += piece.len() as u64;
            if end >= self.text.len {
                let len = end - at;
                return Ok(Some(Line {
                    at,
                    len,
                    start,
                    is_ended: false,
                }));
            }
        }
    }

    /// What a line of a header says, with its newline.
    pub(super) fn content(&mut self, line: &Line) -> Result<Bytes, PatchError> {
        if line.len > MAX_HEADER_BYTES {
            return Err(PatchError::malformed(
                self.number,
                format!("a line of a header has more than {MAX_HEADER_BYTES} bytes"),
            ));
        }
        self.window(line.at, line.len)?;
        let from = (line.at - self.window_at) as usize;
        Ok(self.window.slice(from..from + line.len as usize))
    }

    /// The bytes from `at` on, at least `least` of them if there are so many, without a copy where they are at hand.
    fn window(&mut self, at: u64, least: u64) -> io::Result<&[u8]> {
        let window_end = self.window_at + self.window.len() as u64;
        let wanted = (at + least).min(self.text.len);
        if at < self.window_at || wanted > window_end {
            let len = match &self.text.bytes {
                Place::Memory(_) => self.text.len - at,
                Place::File(_) => least.max(WINDOW_BYTES as u64),
            };
            self.window = self.text.read(at, len)?;
            self.window_at = at;
        }
        Ok(&self.window[(at - self.window_at) as usize..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(text: &PatchText) -> Vec<(u64, u64, bool)> {
        let mut lines = Lines::new(text, 0, 1);
        let mut found = Vec::new();
        while let Some(line) = lines.peek().unwrap() {
            found.push((line.at, line.len, line.is_ended));
            lines.pass(&line);
        }
        assert_eq!(lines.number, found.len() as u64 + 1);
        found
    }

    #[test]
    fn a_file_has_the_lines_that_memory_has() {
        let mut bytes = b"a\n\nlong ".to_vec();
        bytes.extend(vec![b'x'; 3 * WINDOW_BYTES]);
        bytes.extend_from_slice(b"\n\xff\n+++\nno end");
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let len = bytes.len() as u64;
        let in_file = PatchText::file(file, len);
        let in_memory = PatchText::memory(bytes.into());
        let lines = all(&in_memory);
        assert_eq!(all(&in_file), lines);
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[5], (len - 6, 6, false));
        let mut lines = Lines::new(&in_file, 0, 1);
        let again = lines.line_at(2).unwrap().unwrap();
        assert_eq!((again.len, again.start), (1, *b"\nlon"));
        assert!(all(&PatchText::memory(Bytes::new())).is_empty());
    }
}
