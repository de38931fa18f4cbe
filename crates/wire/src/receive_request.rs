//! What a push asks for: the lines before its pack.

use packhouse_object::ObjectId;

use crate::capabilities::{Capabilities, OBJECT_FORMAT};
use crate::error::{WireError, quote};
use crate::ids::{parse_id, parse_target};
use crate::pktline::{Packet, PacketReader};
use crate::receive_pack::ReceiveOptions;
use crate::sideband::Bands;

/// One ref that a push wants moved, its name as yet unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefCommand {
    /// The name as it came.
    pub name: Vec<u8>,
    /// Where the client believes it is; `None`: it does not exist.
    pub old: Option<ObjectId>,
    /// Where it is to go; `None`: it is deleted.
    pub new: Option<ObjectId>,
}

/// The commands of a push and what the client can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveRequest {
    /// The refs to move, in the client's order. Never empty.
    pub commands: Vec<RefCommand>,
    /// Commits whose parents the client does not have.
    pub shallow: Vec<ObjectId>,
    /// Move all refs or none.
    pub atomic: bool,
    /// Show no progress.
    pub quiet: bool,
    pub(crate) report: bool,
    pub(crate) bands: Bands,
}

impl ReceiveRequest {
    /// Reads the lines up to the flush before the pack. `None`: the client has no commands, which it does
    /// to try a connection.
    pub fn read(
        input: &mut PacketReader<'_>,
        options: &ReceiveOptions,
    ) -> Result<Option<ReceiveRequest>, WireError> {
        let mut request: Option<ReceiveRequest> = None;
        let mut shallow = Vec::new();
        let mut bytes = 0;
        loop {
            let packet = input.require()?;
            let Packet::Data(data) = packet else {
                return match packet {
                    Packet::Flush => {
                        Ok(request.map(|request| ReceiveRequest { shallow, ..request }))
                    }
                    _ => Err(WireError::refused("unexpected delimiter packet")),
                };
            };
            bytes += data.len();
            if bytes > options.max_command_bytes {
                return Err(WireError::refused("too many ref updates in one push"));
            }
            let (line, capabilities) = split_capabilities(data);
            if let Some(hex) = line.strip_prefix(b"shallow ") {
                let id = parse_id(hex).ok_or_else(|| {
                    WireError::refused(format!(
                        "protocol error: expected shallow sha, got {}",
                        quote(hex)
                    ))
                })?;
                shallow.push(id);
            } else if line == b"push-cert" {
                return Err(WireError::refused("signed pushes are not supported"));
            } else {
                let command = parse_command(line)?;
                match &mut request {
                    Some(request) => request.commands.push(command),
                    None => {
                        request = Some(first_command(command, Capabilities::new(capabilities))?)
                    }
                }
            }
        }
    }

    /// Whether a pack follows the lines: deletions need none.
    pub fn has_pack(&self) -> bool {
        self.commands.iter().any(|command| command.new.is_some())
    }
}

/// The line and the capabilities behind its first NUL.
fn split_capabilities(data: &[u8]) -> (&[u8], &[u8]) {
    let chomp = |text| <[u8]>::strip_suffix(text, b"\n").unwrap_or(text);
    match data.iter().position(|byte| *byte == 0) {
        Some(at) => (chomp(&data[..at]), chomp(&data[at + 1..])),
        None => (chomp(data), b""),
    }
}

fn parse_command(line: &[u8]) -> Result<RefCommand, WireError> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let parsed = (|| {
        let old = parse_target(words.next()?)?;
        let new = parse_target(words.next()?)?;
        let name = words.next()?;
        (!name.is_empty()).then(|| RefCommand {
            name: name.to_vec(),
            old,
            new,
        })
    })();
    parsed.ok_or_else(|| {
        WireError::refused(format!(
            "protocol error: expected old/new/ref, got {}",
            quote(line)
        ))
    })
}

fn first_command(
    command: RefCommand,
    capabilities: Capabilities<'_>,
) -> Result<ReceiveRequest, WireError> {
    if let Some(format) = capabilities.value("object-format")
        && format != OBJECT_FORMAT.as_bytes()
    {
        return Err(WireError::refused(format!(
            "unsupported object format {}",
            quote(format)
        )));
    }
    // Their sections stand between commands and pack: read as a pack they would make no sense.
    if capabilities.has("push-options") {
        return Err(WireError::refused("push options are not supported"));
    }
    Ok(ReceiveRequest {
        commands: vec![command],
        shallow: Vec::new(),
        atomic: capabilities.has("atomic"),
        quiet: capabilities.has("quiet"),
        report: capabilities.has("report-status") || capabilities.has("report-status-v2"),
        bands: if capabilities.has("side-band-64k") {
            Bands::Large
        } else {
            Bands::None
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pktline::PacketWriter;

    const A: &str = "1111111111111111111111111111111111111111";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    fn body(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = PacketWriter::new(&mut bytes);
        for line in lines {
            writer.data(&[line.as_bytes()]).unwrap();
        }
        writer.flush().unwrap();
        writer.send().unwrap();
        drop(writer);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Option<ReceiveRequest>, WireError> {
        ReceiveRequest::read(&mut PacketReader::new(bytes), &ReceiveOptions::default())
    }

    #[test]
    fn commands_are_read_with_the_capabilities_of_the_first() {
        let request = read(&body(&[
            &format!("shallow {A}\n"),
            &format!(
                "{ZERO} {A} refs/heads/new\0 report-status-v2 side-band-64k atomic object-format=sha1"
            ),
            &format!("{A} {ZERO} refs/heads/old\n"),
        ]));
        let request = request.unwrap().unwrap();
        let id = parse_id(A.as_bytes());
        assert_eq!(
            request.commands,
            [
                RefCommand {
                    name: b"refs/heads/new".to_vec(),
                    old: None,
                    new: id
                },
                RefCommand {
                    name: b"refs/heads/old".to_vec(),
                    old: id,
                    new: None
                },
            ]
        );
        assert_eq!(request.shallow, [id.unwrap()]);
        assert!(request.atomic && request.report && !request.quiet && request.has_pack());
        assert_eq!(request.bands, Bands::Large);
    }

    #[test]
    fn deletions_alone_have_no_pack_and_nothing_is_nothing() {
        let request = read(&body(&[&format!(
            "{A} {ZERO} refs/heads/old\0report-status"
        )]))
        .unwrap()
        .unwrap();
        assert!(!request.has_pack());
        assert_eq!(read(b"0000").unwrap(), None);
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        let message = |lines: &[&str]| read(&body(lines)).unwrap_err().to_string();
        let command = format!("{ZERO} {A} refs/heads/new");
        assert_eq!(
            message(&[&format!("{command}\0push-options")]),
            "push options are not supported"
        );
        assert_eq!(
            message(&[&format!("{command}\0object-format=sha256")]),
            "unsupported object format 'sha256'"
        );
        assert_eq!(
            message(&["push-cert\0push-cert=x"]),
            "signed pushes are not supported"
        );
        assert_eq!(
            message(&["hello"]),
            "protocol error: expected old/new/ref, got 'hello'"
        );
        assert_eq!(
            message(&[&format!("{ZERO} {A} ")]),
            format!("protocol error: expected old/new/ref, got '{ZERO} {A} '")
        );
        assert_eq!(
            message(&["shallow 12"]),
            "protocol error: expected shallow sha, got '12'"
        );
        assert_eq!(
            read(&body(&[&command])[..20]).unwrap_err().to_string(),
            "the remote end hung up unexpectedly"
        );
    }

    #[test]
    fn a_push_of_too_many_refs_is_refused() {
        let mut bytes = body(&[
            &format!("{ZERO} {A} refs/heads/new"),
            &format!("{ZERO} {A} refs/heads/more"),
        ]);
        let options = ReceiveOptions {
            max_command_bytes: 100,
            ..ReceiveOptions::default()
        };
        let input = &mut bytes[..] as &[u8];
        let error = ReceiveRequest::read(&mut PacketReader::new(input), &options).unwrap_err();
        assert_eq!(error.to_string(), "too many ref updates in one push");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
