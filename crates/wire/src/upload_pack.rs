//! The body of `POST git-upload-pack`: one request, one answer.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::WireError;
use crate::pktline::{PacketReader, PacketWriter};
use crate::source::Source;
use crate::version::Version;
use crate::{fetch_v0, v2};

/// How fetches are answered.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// An empty packet is sent when nothing else was for this long, so that nobody between here and the
    /// client takes the connection for dead. Git's `uploadpack.keepAlive`, 5 seconds.
    pub keepalive: Duration,
    /// The most lines a request may have. An id takes some 50 bytes of memory while it is answered.
    pub max_lines: usize,
    /// Set from outside to end the work; a broken output ends it too.
    pub cancelled: Arc<AtomicBool>,
}

impl Default for FetchOptions {
    fn default() -> FetchOptions {
        FetchOptions {
            keepalive: Duration::from_secs(5),
            max_lines: 1_000_000,
            cancelled: Arc::default(),
        }
    }
}

impl FetchOptions {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Answers the request in `input` on `out`.
///
/// An error has been told to the client when this returns it, unless it is that the client went away.
pub fn upload_pack(
    version: Version,
    input: &mut (dyn Read + Send),
    source: &dyn Source,
    out: &mut (dyn Write + Send),
    options: &FetchOptions,
) -> Result<(), WireError> {
    let mut reader = PacketReader::new(input);
    let answered = match version {
        Version::V2 => v2::serve(&mut reader, source, PacketWriter::new(out), options),
        Version::V0 | Version::V1 => {
            fetch_v0::serve(&mut reader, source, PacketWriter::new(out), options)
        }
    };
    if let Err(error @ (WireError::Refused(_) | WireError::Packet(_) | WireError::Read(_))) =
        &answered
    {
        let mut writer = PacketWriter::new(out);
        writer.text(format_args!("ERR upload-pack: {}", error.message()))?;
        writer.send()?;
    }
    answered
}
