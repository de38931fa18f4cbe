//! Taking sidebands apart: data for the reader, words for a person, and failure.

use std::io::{self, Read};

use packhouse_wire::pktline::{Packet, PacketError, PacketReader};

use super::shown;
use crate::remote::error::Said;
use crate::remote::options::Messages;

/// The longest line that is shown.
const LINE_BYTES: usize = 4096;

/// Reads band 1, up to the flush that ends the bands. What the other side says on band 3 becomes an error.
pub(crate) struct Demux<'r, 'p> {
    reader: &'r mut PacketReader<'p>,
    data: Vec<u8>,
    at: usize,
    line: Vec<u8>,
    messages: Option<Messages>,
    ended: bool,
}

impl<'r, 'p> Demux<'r, 'p> {
    pub(crate) fn new(
        reader: &'r mut PacketReader<'p>,
        messages: Option<Messages>,
    ) -> Demux<'r, 'p> {
        Demux {
            reader,
            data: Vec::new(),
            at: 0,
            line: Vec::new(),
            messages,
            ended: false,
        }
    }

    /// Reads up to the end of the bands, for words that come after the data. Data there is a mistake of the other
    /// side's.
    pub(crate) fn drain(mut self) -> io::Result<()> {
        match self.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "more data than announced",
            )),
        }
    }

    /// Fills `data` unless the bands end.
    fn fill(&mut self) -> io::Result<()> {
        while !self.ended && self.at == self.data.len() {
            let packet = self.reader.require().map_err(into_io)?;
            let (band, payload) = match packet {
                Packet::Data([band, payload @ ..]) => (*band, payload),
                Packet::Flush => {
                    self.ended = true;
                    continue;
                }
                _ => return Err(malformed()),
            };
            match band {
                1 => {
                    self.data.clear();
                    self.data.extend_from_slice(payload);
                    self.at = 0;
                }
                2 => {
                    if let Some(messages) = &self.messages {
                        show(&mut self.line, payload, messages);
                    }
                }
                3 => return Err(Said(String::from_utf8_lossy(payload).into_owned()).into()),
                _ => return Err(malformed()),
            }
        }
        if self.ended
            && !self.line.is_empty()
            && let Some(messages) = &self.messages
        {
            messages(&shown(&self.line));
            self.line.clear();
        }
        Ok(())
    }
}

impl Read for Demux<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        let held = &self.data[self.at..];
        let taken = held.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&held[..taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// Shows whole lines; a line that is drawn over again ends with a carriage return.
fn show(line: &mut Vec<u8>, payload: &[u8], messages: &Messages) {
    for &byte in payload {
        match byte {
            b'\n' | b'\r' => {
                if !line.is_empty() {
                    messages(&shown(line));
                }
                line.clear();
            }
            byte if line.len() < LINE_BYTES => line.push(byte),
            _ => {}
        }
    }
}

pub(super) fn into_io(error: PacketError) -> io::Error {
    match error {
        PacketError::Io(error) => error,
        PacketError::Truncated => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "bad band in the answer")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn read(bytes: &[u8]) -> (io::Result<String>, Vec<String>) {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let shown = seen.clone();
        let messages: Messages = Arc::new(move |line| shown.lock().unwrap().push(line.to_owned()));
        let mut reader = PacketReader::new(bytes);
        let mut text = String::new();
        let read = Demux::new(&mut reader, Some(messages)).read_to_string(&mut text);
        let lines = seen.lock().unwrap().clone();
        (read.map(|_| text), lines)
    }

    #[test]
    fn bands_are_told_apart_and_lines_put_together() {
        let (data, lines) =
            read(b"0008\x01abc0005\x010009\x0250%\r0007\x02do000c\x02ne\x1b[2J\n0006\x01d0000rest");
        assert_eq!(data.unwrap(), "abcd");
        assert_eq!(lines, ["50%", "done [2J"]);
    }

    #[test]
    fn failure_of_the_other_side_is_told_in_its_words() {
        let (data, _) = read(b"0008\x01abc000a\x03no go0000");
        assert_eq!(data.unwrap_err().to_string(), "no go");
    }

    #[test]
    fn a_cut_answer_is_no_end() {
        for bytes in [
            &b"0008\x01abc"[..],
            b"0008\x01a",
            b"0006\x09x0000",
            b"00040000",
        ] {
            assert!(read(bytes).0.is_err(), "{bytes:?}");
        }
    }
}
