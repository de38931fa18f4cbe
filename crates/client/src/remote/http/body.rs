//! A request body of any size, written by one thread and sent by another.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::remote::conversation::gone;
use crate::remote::edge::Edge;

/// Sent at once.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces on their way.
const PIECES: usize = 4;

type Piece = Result<Bytes, io::Error>;

/// Writes the body. The server sees its end only after [`BodyWriter::end`] says that it is whole.
pub(crate) struct BodyWriter<'p> {
    pieces: mpsc::Sender<Piece>,
    held: BytesMut,
    edge: Edge<'p>,
}

pub(super) fn channel<'p>(edge: &Edge<'p>) -> (BodyWriter<'p>, reqwest::Body) {
    let (pieces, receiver) = mpsc::channel::<Piece>(PIECES);
    let body = reqwest::Body::wrap_stream(ReceiverStream::new(receiver));
    let writer = BodyWriter {
        pieces,
        held: BytesMut::with_capacity(PIECE_BYTES),
        edge: edge.clone(),
    };
    (writer, body)
}

impl BodyWriter<'_> {
    fn hand_on(&mut self, piece: Piece) -> io::Result<()> {
        let sent = self.edge.wait(self.pieces.send(piece))?;
        sent.map_err(|_| gone())
    }

    /// Ends the body: whole, or so that the server takes it for broken off.
    pub(crate) fn end(mut self, whole: bool) {
        // Whoever does not listen any more does not mind.
        let _ = match whole {
            true => self.flush(),
            false => self.hand_on(Err(gone())),
        };
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.held.len());
        self.held.extend_from_slice(&bytes[..taken]);
        if self.held.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.held.is_empty() {
            true => Ok(()),
            false => {
                let piece = self.held.split().freeze();
                self.held.reserve(PIECE_BYTES);
                self.hand_on(Ok(piece))
            }
        }
    }
}
