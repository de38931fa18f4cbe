//! Version 2: one command with its capabilities and arguments per request.

use std::io::{self, Write};

use crate::bundle_uri::bundle_uri;
use crate::capabilities::check_object_format;
use crate::error::{WireError, quote};
use crate::fetch_v2::fetch;
use crate::ls_refs::ls_refs;
use crate::object_info::object_info;
use crate::pktline::{Packet, PacketError, PacketReader, PacketWriter};
use crate::shown::Shown;
use crate::upload_pack::{FetchOptions, Rounds};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommandName {
    LsRefs,
    Fetch,
    ObjectInfo,
    BundleUri,
}

impl CommandName {
    fn as_str(self) -> &'static str {
        match self {
            CommandName::LsRefs => "ls-refs",
            CommandName::Fetch => "fetch",
            CommandName::ObjectInfo => "object-info",
            CommandName::BundleUri => "bundle-uri",
        }
    }

    fn parse(name: &[u8], options: &FetchOptions) -> Result<CommandName, WireError> {
        let mut offered = vec![CommandName::LsRefs, CommandName::Fetch];
        if options.object_info {
            offered.push(CommandName::ObjectInfo);
        }
        if options.bundles.is_some() {
            offered.push(CommandName::BundleUri);
        }
        offered
            .into_iter()
            .find(|command| command.as_str().as_bytes() == name)
            .ok_or_else(|| WireError::refused(format!("invalid command {}", quote(name))))
    }
}

/// Answers the command of a request, or of all requests of a connection. `sideband_all` is set when the client has asked
/// for all of the answer in bands, errors included.
pub(crate) fn serve(
    input: &mut PacketReader<'_>,
    shown: &Shown<'_>,
    out: &mut (dyn Write + Send),
    options: &FetchOptions,
    sideband_all: &mut bool,
) -> Result<(), WireError> {
    let mut is_first = true;
    loop {
        *sideband_all = false;
        let writer = PacketWriter::new(&mut *out);
        let had_one = serve_one(input, shown, writer, options, is_first, sideband_all)?;
        if !had_one || options.rounds == Rounds::One {
            return Ok(());
        }
        is_first = false;
    }
}

/// Answers one request. Returns whether there was one: one without a command, which clients send to try a connection or to
/// end it, has an empty answer; and a client that says nothing more after its first request has ended too. It holds the
/// connection while it works on what it got, and would take an error for one of that.
fn serve_one(
    input: &mut PacketReader<'_>,
    shown: &Shown<'_>,
    mut out: PacketWriter<'_>,
    options: &FetchOptions,
    is_first: bool,
    sideband_all: &mut bool,
) -> Result<bool, WireError> {
    let mut command = None;
    let mut lines = 0;
    let has_arguments = loop {
        let read = match input.read() {
            Err(PacketError::Io(error))
                if error.kind() == io::ErrorKind::TimedOut && lines == 0 && !is_first =>
            {
                return Ok(false);
            }
            read => read?,
        };
        let Some(packet) = read else {
            return match lines {
                0 => Ok(false),
                _ => Err(PacketError::Truncated.into()),
            };
        };
        match packet {
            Packet::Flush if lines == 0 => return Ok(false),
            Packet::Flush => break false,
            Packet::Delim => break true,
            Packet::ResponseEnd => {
                return Err(WireError::refused("unexpected response end packet"));
            }
            Packet::Data(_) => {
                lines += 1;
                if lines > options.max_lines {
                    return Err(WireError::refused("too many capabilities"));
                }
                read_capability(packet.text().unwrap_or_default(), &mut command, options)?;
            }
        }
    };
    let mut arguments = Arguments {
        input,
        left: options.max_lines,
        ended: !has_arguments,
        command,
    };
    match command {
        None => return Err(WireError::refused("no command requested")),
        Some(CommandName::LsRefs) => ls_refs(&mut arguments, shown, options.unborn, &mut out)?,
        Some(CommandName::ObjectInfo) => object_info(&mut arguments, shown, &mut out)?,
        Some(CommandName::BundleUri) => {
            let lines = options.bundles.as_deref().unwrap_or_default();
            bundle_uri(&mut arguments, lines, &mut out)?;
        }
        Some(CommandName::Fetch) => {
            fetch(&mut arguments, shown, out, options, sideband_all)?;
            return Ok(true);
        }
    }
    out.send()?;
    Ok(true)
}

fn read_capability(
    line: &[u8],
    command: &mut Option<CommandName>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    let (key, value) = match line.iter().position(|byte| *byte == b'=') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    match (key, value) {
        (b"command", Some(name)) => {
            let name = CommandName::parse(name, options)?;
            if let Some(earlier) = command.replace(name) {
                return Err(WireError::refused(format!(
                    "command '{}' requested after already requesting command '{}'",
                    name.as_str(),
                    earlier.as_str()
                )));
            }
            Ok(())
        }
        // Options are for servers that define some; they mean nothing here, as in git itself.
        (b"agent" | b"server-option", _) => Ok(()),
        // The client's name for the exchange; offered only if there is ours.
        (b"session-id", Some(_)) if options.session_id.is_some() => Ok(()),
        (b"object-format", Some(format)) => check_object_format(Some(format)),
        _ => Err(WireError::refused(format!(
            "unknown capability {}",
            quote(line)
        ))),
    }
}

/// The argument lines of a command, up to the flush that ends them.
pub(crate) struct Arguments<'a, 'b> {
    input: &'a mut PacketReader<'b>,
    left: usize,
    ended: bool,
    command: Option<CommandName>,
}

impl Arguments<'_, '_> {
    /// The next argument without its line feed; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, WireError> {
        if self.ended {
            return Ok(None);
        }
        let name = self.command.map_or("", CommandName::as_str);
        if self.left == 0 {
            return Err(WireError::refused(format!("too many {name} arguments")));
        }
        self.left -= 1;
        match self.input.require()? {
            Packet::Flush => {
                self.ended = true;
                Ok(None)
            }
            Packet::Data(data) => Ok(Some(data.strip_suffix(b"\n").unwrap_or(data))),
            Packet::Delim | Packet::ResponseEnd => Err(WireError::refused(format!(
                "expected flush after {name} arguments"
            ))),
        }
    }
}
