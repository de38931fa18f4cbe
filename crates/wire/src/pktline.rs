//! Pkt-lines: the framing of the Git protocol, read with hard limits and written through one buffer.
//!
//! A line is four hexadecimal digits that count themselves and the data behind them, at most
//! [`MAX_LINE`] in all; `0000`, `0001` and `0002` are marks without data.

use std::fmt;
use std::io::{self, BufReader, BufWriter, Read, Write};

use packhouse_object::{HashKind, ObjectId};

/// The longest line in bytes, its four digits included (gitprotocol-common).
pub const MAX_LINE: usize = 65520;
/// The most data one line carries, in bytes.
pub const MAX_DATA: usize = MAX_LINE - 4;

/// One line, or a mark between lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Data, with its line feed if it had one.
    Data(&'a [u8]),
    /// `0000`: the end of a section or message.
    Flush,
    /// `0001`: between sections of a message (version 2).
    Delim,
    /// `0002`: the end of a response over a stateless connection (version 2).
    ResponseEnd,
}

impl<'a> Packet<'a> {
    /// The data without a line feed at its end; `None` for a mark.
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Packet::Data(data) => Some(data.strip_suffix(b"\n").unwrap_or(data)),
            _ => None,
        }
    }
}

/// Why a line could not be read. The messages are git's.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The input ended inside a line, or where one had to follow.
    #[error("the remote end hung up unexpectedly")]
    Truncated,
    /// The length is not four hexadecimal digits.
    #[error("protocol error: bad line length character: {}", String::from_utf8_lossy(.0).escape_debug())]
    BadDigits([u8; 4]),
    /// The length is one that no line has.
    #[error("protocol error: bad line length {0}")]
    BadLength(usize),
    /// The input could not be read.
    #[error("could not read from the other side")]
    Io(#[from] io::Error),
}

/// Reads pkt-lines, and what follows them unframed.
pub struct PacketReader<'a> {
    input: BufReader<Box<dyn Read + Send + 'a>>,
    line: Vec<u8>,
}

impl fmt::Debug for PacketReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketReader").finish_non_exhaustive()
    }
}

impl<'a> PacketReader<'a> {
    /// Reads lines from `input`, buffering ahead.
    pub fn new(input: impl Read + Send + 'a) -> PacketReader<'a> {
        PacketReader {
            input: BufReader::with_capacity(64 * 1024, Box::new(input)),
            line: Vec::new(),
        }
    }

    /// The next line or mark; `None` where the input ends before one.
    pub fn read(&mut self) -> Result<Option<Packet<'_>>, PacketError> {
        let mut digits = [0; 4];
        let mut filled = 0;
        while filled < digits.len() {
            match self.input.read(&mut digits[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(PacketError::Truncated),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        match parse_length(digits)? {
            0 => Ok(Some(Packet::Flush)),
            1 => Ok(Some(Packet::Delim)),
            2 => Ok(Some(Packet::ResponseEnd)),
            length if !(4..=MAX_LINE).contains(&length) => Err(PacketError::BadLength(length)),
            length => {
                self.line.resize(length - 4, 0);
                self.input
                    .read_exact(&mut self.line)
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => PacketError::Truncated,
                        _ => PacketError::Io(error),
                    })?;
                Ok(Some(Packet::Data(&self.line)))
            }
        }
    }

    /// The next line or mark, where the protocol says that one follows.
    pub fn require(&mut self) -> Result<Packet<'_>, PacketError> {
        self.read()?.ok_or(PacketError::Truncated)
    }

    /// What follows the lines read so far, unframed.
    pub fn rest(&mut self) -> &mut (dyn Read + Send) {
        &mut self.input
    }
}

fn parse_length(digits: [u8; 4]) -> Result<usize, PacketError> {
    digits.iter().try_fold(0, |length, &digit| {
        let value = char::from(digit)
            .to_digit(16)
            .ok_or(PacketError::BadDigits(digits))?;
        Ok(length * 16 + value as usize)
    })
}

/// Writes pkt-lines through a buffer. Call [`PacketWriter::send`] where the client should see them.
pub struct PacketWriter<'a> {
    out: BufWriter<&'a mut (dyn Write + Send)>,
    line: Vec<u8>,
    band: Option<u8>,
}

impl fmt::Debug for PacketWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketWriter").finish_non_exhaustive()
    }
}

impl<'a> PacketWriter<'a> {
    /// Writes lines to `out`.
    pub fn new(out: &'a mut (dyn Write + Send)) -> PacketWriter<'a> {
        PacketWriter {
            out: BufWriter::with_capacity(64 * 1024, out),
            line: Vec::new(),
            band: None,
        }
    }

    /// Writes each further line in this band: its number stands before the data (`sideband-all`).
    pub(crate) fn set_band(&mut self, band: Option<u8>) {
        self.band = band;
    }

    /// Sends a line of `band` with nothing in it, and what was written before it.
    pub(crate) fn keep_alive(&mut self, band: u8) -> io::Result<()> {
        let before = self.band.replace(band);
        let written = self.data(&[]);
        self.band = before;
        written.and_then(|()| self.send())
    }

    /// Writes one line made of `parts`. Together they must fit in [`MAX_DATA`].
    pub fn data(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let band = self.band;
        let band = band.as_slice();
        let length = 4 + band.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        if length > MAX_LINE {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "line longer than a pkt-line can be",
            ));
        }
        self.out.write_all(&digits(length))?;
        self.out.write_all(band)?;
        parts.iter().try_for_each(|part| self.out.write_all(part))
    }

    /// Writes one formatted line; the line feed, where one is due, is part of `text`.
    pub fn text(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.write_fmt(text)?;
        let written = self.data(&[&line]);
        self.line = line;
        written
    }

    /// Writes one line about an object: its id in hex, then `parts`.
    pub(crate) fn about(&mut self, id: &ObjectId, parts: &[&[u8]]) -> io::Result<()> {
        let mut hex = HashKind::hex_buf();
        let hex = id.hex_to_buf(&mut hex).as_bytes();
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        line.extend_from_slice(hex);
        parts.iter().for_each(|part| line.extend_from_slice(part));
        let written = self.data(&[&line]);
        self.line = line;
        written
    }

    /// Writes `0000`.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(b"0000")
    }

    /// Writes `0001`.
    pub fn delim(&mut self) -> io::Result<()> {
        self.out.write_all(b"0001")
    }

    /// Writes bytes without framing.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Hands everything written so far to the output.
    pub fn send(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The length of a line as it stands before it. There are many lines in a list of refs, and formatting takes much longer.
fn digits(length: usize) -> [u8; 4] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    [12, 8, 4, 0].map(|shift| HEX[length >> shift & 15])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<String>, PacketError> {
        let mut reader = PacketReader::new(bytes);
        let mut seen = Vec::new();
        while let Some(packet) = reader.read()? {
            seen.push(match packet {
                Packet::Data(data) => String::from_utf8_lossy(data).into_owned(),
                mark => format!("{mark:?}"),
            });
        }
        Ok(seen)
    }

    #[test]
    fn lines_and_marks_are_told_apart() {
        let seen = read_all(b"0006a\n0005b0004000000010002").unwrap();
        assert_eq!(seen, ["a\n", "b", "", "Flush", "Delim", "ResponseEnd"]);
    }

    #[test]
    fn bad_lengths_are_refused_in_gits_words() {
        let message = |bytes: &[u8]| read_all(bytes).unwrap_err().to_string();
        assert_eq!(
            message(b"zzzz"),
            "protocol error: bad line length character: zzzz"
        );
        assert_eq!(
            message(b"+123"),
            "protocol error: bad line length character: +123"
        );
        assert_eq!(message(b"0003"), "protocol error: bad line length 3");
        assert_eq!(message(b"fff1"), "protocol error: bad line length 65521");
        assert_eq!(message(b"00"), "the remote end hung up unexpectedly");
        assert_eq!(message(b"0009abc"), "the remote end hung up unexpectedly");
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_is_not_written() {
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::new(&mut bytes);
        writer.data(&[&vec![b'x'; MAX_DATA]]).unwrap();
        assert!(writer.data(&[&vec![b'x'; MAX_DATA], b"y"]).is_err());
        writer.send().unwrap();
        drop(writer);
        assert_eq!(read_all(&bytes).unwrap(), ["x".repeat(MAX_DATA)]);
    }

    #[test]
    fn what_follows_the_lines_is_read_unframed() {
        let bytes: &[u8] = b"0006a\n0000PACK";
        let mut reader = PacketReader::new(bytes);
        assert_eq!(reader.require().unwrap().text(), Some(&b"a"[..]));
        assert_eq!(reader.require().unwrap(), Packet::Flush);
        let mut rest = String::new();
        reader.rest().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "PACK");
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(lines: Vec<Vec<u8>>) {
            let mut bytes = Vec::new();
            let mut writer = PacketWriter::new(&mut bytes);
            for line in &lines {
                writer.data(&[line]).unwrap();
            }
            writer.send().unwrap();
            drop(writer);
            let input = &bytes[..];
            let mut reader = PacketReader::new(input);
            for line in &lines {
                prop_assert_eq!(reader.read().unwrap(), Some(Packet::Data(line)));
            }
            prop_assert_eq!(reader.read().unwrap(), None);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read_all(&bytes);
        }
    }
}
