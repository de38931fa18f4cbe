//! A line per request, in the Common Log Format.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use jiff::Zoned;

use crate::commands::store::failure::Failure;
use crate::commands::store::session::warn;

/// Where lines go: stderr, a file, both or neither.
pub(super) struct AccessLog {
    shown: bool,
    file: Option<File>,
}

impl AccessLog {
    /// A log that appends to `path`, if there is one, and shows its lines unless it is quiet.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub(super) fn open(path: Option<&Path>, quiet: bool) -> Result<AccessLog, Failure> {
        let open = |path: &Path| {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.map_err(|error| Failure::local(path, &error))
        };
        Ok(AccessLog {
            shown: !quiet,
            file: path.map(open).transpose()?,
        })
    }

    /// Notes an answer: who asked, the request's first line, the status, and the bytes of the body if they are known.
    pub(super) fn note(
        &self,
        peer: Option<SocketAddr>,
        line: &str,
        status: u16,
        bytes: Option<u64>,
    ) {
        if !self.shown && self.file.is_none() {
            return;
        }
        let peer = peer.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
        let bytes = bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let time = Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z");
        // What a client sends must not begin lines of its own.
        let line = line.escape_debug();
        let text = format!("{peer} - - [{time}] \"{line}\" {status} {bytes}");
        if self.shown {
            warn(&text);
        }
        if let Some(mut file) = self.file.as_ref() {
            // One write per line, which appending keeps whole. A full disk must not end the service.
            let _ = file.write_all(format!("{text}\n").as_bytes());
        }
    }
}
