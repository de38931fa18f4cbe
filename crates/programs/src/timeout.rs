//! Input that must come within some time.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// Read in one go.
const PIECE_BYTES: usize = 64 << 10;

/// Reads from something that may be silent: a read that waits for longer than it may fails.
pub(crate) struct Patient {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
    longest: Duration,
}

impl Patient {
    /// Reads `input` on a thread of its own, which ends with the input: a read that never returns keeps it until the
    /// process ends.
    pub(crate) fn new(mut input: Box<dyn Read + Send>, longest: Duration) -> Patient {
        let (send, pieces) = sync_channel(1);
        thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let read = input.read(&mut piece).map(|count| {
                    piece.truncate(count);
                    piece
                });
                let is_last = !matches!(&read, Ok(piece) if !piece.is_empty());
                if send.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        Patient {
            pieces,
            piece: Vec::new(),
            taken: 0,
            longest,
        }
    }
}

impl Read for Patient {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            self.piece = match self.pieces.recv_timeout(self.longest) {
                Ok(read) => read?,
                Err(RecvTimeoutError::Timeout) => return Err(ErrorKind::TimedOut.into()),
                Err(RecvTimeoutError::Disconnected) => Vec::new(),
            };
            self.taken = 0;
        }
        let count = out.len().min(self.piece.len() - self.taken);
        out[..count].copy_from_slice(&self.piece[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_read_and_silence_ends_it() {
        let mut text = String::new();
        let mut patient = Patient::new(Box::new(&b"all of it"[..]), Duration::from_secs(60));
        patient.read_to_string(&mut text).unwrap();
        assert_eq!(text, "all of it");
        let (silent, _kept) = io::pipe().unwrap();
        let mut patient = Patient::new(Box::new(silent), Duration::from_millis(1));
        let error = patient.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
