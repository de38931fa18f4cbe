//! What goes wrong while a request is answered.

use std::io;

use packhouse_object::{ReadError, WritePackError};

use crate::pktline::PacketError;
use crate::sink::SinkError;

/// Why a request was not answered in full. What the client may know of it has been written already.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The request asks for something it may not have, or does not follow the protocol.
    #[error("{0}")]
    Refused(String),
    /// The same, in words that clients get as they are, without the name of the program.
    #[error("{0}")]
    Verbatim(String),
    /// The request is not made of pkt-lines, or stopped halfway.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The client no longer takes the answer, or the caller cancelled the work.
    #[error("the client went away")]
    Gone(#[source] io::Error),
    /// The repository could not be read.
    #[error("could not read the repository")]
    Read(#[from] ReadError),
    /// The pack could not be made; the client was told on the error band.
    #[error("could not send the pack")]
    Pack(#[source] WritePackError),
    /// What a filter names is not there, or not what it has to be, or asks for more than is looked at; the client was told on
    /// the error band.
    #[error("{0}")]
    Filter(String),
    /// The refs could not be updated; the client was told so for each of them.
    #[error("could not update the refs")]
    Sink(#[from] SinkError),
}

impl WireError {
    pub(crate) fn refused(message: impl Into<String>) -> WireError {
        WireError::Refused(message.into())
    }

    /// What a client is told, which says nothing about the inside of the server.
    pub(crate) fn message(&self) -> String {
        match self {
            WireError::Refused(message) | WireError::Verbatim(message) => message.clone(),
            WireError::Packet(error) => error.to_string(),
            WireError::Read(error @ ReadError::TooLarge { .. }) => error.to_string(),
            _ => "internal error while reading the repository".to_owned(),
        }
    }
}

impl WireError {
    /// The line that tells a fetching client, if it has not been told already.
    pub(crate) fn told_by_upload_pack(&self) -> Option<String> {
        match self {
            WireError::Verbatim(message) => Some(message.clone()),
            WireError::Refused(_) | WireError::Packet(_) | WireError::Read(_) => {
                Some(format!("upload-pack: {}", self.message()))
            }
            WireError::Gone(_) | WireError::Pack(_) | WireError::Filter(_) | WireError::Sink(_) => {
                None
            }
        }
    }
}

/// Every `io::Error` of this crate that is not a [`PacketError`] comes from writing the answer.
impl From<io::Error> for WireError {
    fn from(error: io::Error) -> WireError {
        WireError::Gone(error)
    }
}

/// A line of the client as it is quoted back to it, cut where it is long.
pub(crate) fn quote(line: &[u8]) -> String {
    const MOST: usize = 200;
    let cut = &line[..line.len().min(MOST)];
    let more = if cut.len() < line.len() { "..." } else { "" };
    format!("'{}{more}'", String::from_utf8_lossy(cut))
}
