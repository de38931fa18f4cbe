//! Version 2: one command with its capabilities and arguments per request.

use crate::capabilities::check_object_format;
use crate::error::{WireError, quote};
use crate::fetch_v2::fetch;
use crate::ls_refs::ls_refs;
use crate::pktline::{Packet, PacketReader, PacketWriter};
use crate::source::Source;
use crate::upload_pack::FetchOptions;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CommandName {
    LsRefs,
    Fetch,
}

impl CommandName {
    fn as_str(self) -> &'static str {
        match self {
            CommandName::LsRefs => "ls-refs",
            CommandName::Fetch => "fetch",
        }
    }

    fn parse(name: &[u8]) -> Result<CommandName, WireError> {
        [CommandName::LsRefs, CommandName::Fetch]
            .into_iter()
            .find(|command| command.as_str().as_bytes() == name)
            .ok_or_else(|| WireError::refused(format!("invalid command {}", quote(name))))
    }
}

/// Answers the one command of a request. A request without any, which clients send to try a connection,
/// has an empty answer.
pub(crate) fn serve(
    input: &mut PacketReader<'_>,
    source: &dyn Source,
    mut out: PacketWriter<'_>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    let mut command = None;
    let mut lines = 0;
    let has_arguments = loop {
        let Some(packet) = input.read()? else {
            return match lines {
                0 => Ok(()),
                _ => Err(crate::pktline::PacketError::Truncated.into()),
            };
        };
        match packet {
            Packet::Flush if lines == 0 => return Ok(()),
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
                read_capability(packet.text().unwrap_or_default(), &mut command)?;
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
        None => Err(WireError::refused("no command requested")),
        Some(CommandName::LsRefs) => {
            ls_refs(&mut arguments, source, &mut out)?;
            Ok(out.send()?)
        }
        Some(CommandName::Fetch) => fetch(&mut arguments, source, out, options),
    }
}

fn read_capability(line: &[u8], command: &mut Option<CommandName>) -> Result<(), WireError> {
    let (key, value) = match line.iter().position(|byte| *byte == b'=') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    };
    match (key, value) {
        (b"command", Some(name)) => {
            let name = CommandName::parse(name)?;
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
