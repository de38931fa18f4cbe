//! What a push asks for: the lines before its pack.

use packhouse_object::{IdSet, ObjectId};

use crate::capabilities::{Capabilities, OBJECT_FORMAT};
use crate::error::{WireError, quote};
use crate::ids::{parse_id, parse_target};
use crate::pktline::{Packet, PacketReader};
use crate::push_certificate::PushCertificate;
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
    /// Commits whose parents the client does not have, each once.
    pub shallow: Vec<ObjectId>,
    /// Move all refs or none.
    pub atomic: bool,
    /// Show no progress.
    pub quiet: bool,
    /// What hooks are to be told, if the client was offered to say something.
    pub push_options: Vec<Vec<u8>>,
    /// What the client signed; its commands are those of the push.
    pub certificate: Option<PushCertificate>,
    pub(crate) has_push_options: bool,
    pub(crate) report: bool,
    /// Whether the report may say what was done on other refs.
    pub(crate) reports_others: bool,
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
        let mut seen = IdSet::default();
        let mut room = options.max_command_bytes;
        loop {
            let Some(data) = next_line(input, &mut room)? else {
                let Some(request) = request else {
                    return Ok(None);
                };
                let mut request = ReceiveRequest { shallow, ..request };
                if request.has_push_options {
                    while let Some(data) = next_line(input, &mut room)? {
                        // An empty one takes memory too.
                        room = room.checked_sub(OPTION_BYTES).ok_or_else(|| {
                            WireError::refused("too many push options in one push")
                        })?;
                        let option = data.strip_suffix(b"\n").unwrap_or(data);
                        request.push_options.push(option.to_vec());
                    }
                }
                return Ok(Some(request));
            };
            let (line, capabilities) = split_capabilities(data);
            if let Some(hex) = line.strip_prefix(b"shallow ") {
                let id = parse_id(hex).ok_or_else(|| {
                    WireError::refused(format!(
                        "protocol error: expected shallow sha, got {}",
                        quote(hex)
                    ))
                })?;
                if seen.insert(id) {
                    shallow.push(id);
                }
            } else if line == b"push-cert" {
                if options.offer.certificate_nonce.is_none() {
                    return Err(WireError::refused("signed pushes are not supported"));
                }
                if request.is_some() {
                    return Err(WireError::refused(
                        "protocol error: unexpected push certificate",
                    ));
                }
                let capabilities = capabilities.to_vec();
                let capabilities = Capabilities::new(&capabilities);
                let text = read_certificate(input, &mut room)?;
                let certificate = PushCertificate::parse(text)?;
                let mut signed = with_capabilities(capabilities, options)?;
                for line in certificate.commands() {
                    signed.commands.push(parse_command(line)?);
                }
                signed.certificate = Some(certificate);
                request = Some(signed);
            } else {
                let command = parse_command(line)?;
                match &mut request {
                    Some(request) if request.certificate.is_some() => {
                        return Err(WireError::refused(
                            "protocol error: a command beside a push certificate",
                        ));
                    }
                    Some(request) => request.commands.push(command),
                    None => {
                        let capabilities = Capabilities::new(capabilities);
                        let mut first = with_capabilities(capabilities, options)?;
                        first.commands.push(command);
                        request = Some(first);
                    }
                }
            }
        }
    }

    /// Whether the client says something to hooks, be it nothing.
    pub fn takes_push_options(&self) -> bool {
        self.has_push_options
    }

    /// Whether the certificate, if there is one, was signed with the very options that came with the push.
    pub(crate) fn certificate_agrees(&self) -> bool {
        let Some(certificate) = &self.certificate else {
            return true;
        };
        certificate
            .headers("push-option")
            .eq(self.push_options.iter().map(Vec::as_slice))
    }

    /// Whether a pack follows the lines: deletions need none.
    pub fn has_pack(&self) -> bool {
        self.commands.iter().any(|command| command.new.is_some())
    }
}

/// About what an option takes beside its text, here and as a variable of hooks.
const OPTION_BYTES: usize = 128;

/// The next line, which takes its length of the `room` for all of them; `None` for a flush.
fn next_line<'i>(
    input: &'i mut PacketReader<'_>,
    room: &mut usize,
) -> Result<Option<&'i [u8]>, WireError> {
    match input.require()? {
        Packet::Flush => Ok(None),
        Packet::Data(data) => {
            *room = room
                .checked_sub(data.len())
                .ok_or_else(|| WireError::refused("too many ref updates in one push"))?;
            Ok(Some(data))
        }
        _ => Err(WireError::refused("unexpected delimiter packet")),
    }
}

/// The lines of a certificate, up to the one that ends it.
fn read_certificate(input: &mut PacketReader<'_>, room: &mut usize) -> Result<Vec<u8>, WireError> {
    let mut text = Vec::new();
    loop {
        match next_line(input, room)? {
            Some(b"push-cert-end\n") => return Ok(text),
            Some(line) => text.extend_from_slice(line),
            None => {
                return Err(WireError::refused(
                    "protocol error: got an unexpected packet",
                ));
            }
        }
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

/// A push without commands yet, by a client of these capabilities.
fn with_capabilities(
    capabilities: Capabilities<'_>,
    options: &ReceiveOptions,
) -> Result<ReceiveRequest, WireError> {
    if let Some(format) = capabilities.value("object-format")
        && format != OBJECT_FORMAT.as_bytes()
    {
        return Err(WireError::refused(format!(
            "unsupported object format {}",
            quote(format)
        )));
    }
    // Their section stands between commands and pack: read as a pack it would make no sense.
    let has_push_options = capabilities.has("push-options");
    if has_push_options && !options.offer.push_options {
        return Err(WireError::refused("push options are not supported"));
    }
    Ok(ReceiveRequest {
        commands: Vec::new(),
        shallow: Vec::new(),
        push_options: Vec::new(),
        certificate: None,
        has_push_options,
        atomic: capabilities.has("atomic"),
        quiet: capabilities.has("quiet"),
        report: capabilities.has("report-status") || capabilities.has("report-status-v2"),
        reports_others: capabilities.has("report-status-v2"),
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

    /// Reads for a server that offers everything.
    fn read_all(bytes: &[u8]) -> Result<Option<ReceiveRequest>, WireError> {
        let mut options = ReceiveOptions::default();
        options.offer.push_options = true;
        options.offer.certificate_nonce = Some("1-x".to_owned());
        ReceiveRequest::read(&mut PacketReader::new(bytes), &options)
    }

    #[test]
    fn options_follow_the_commands() {
        let command = format!("{ZERO} {A} refs/heads/new\0push-options");
        let mut bytes = body(&[&command]);
        bytes.extend(body(&["one=1\n", "two"]));
        let request = read_all(&bytes).unwrap().unwrap();
        assert_eq!(request.push_options, [&b"one=1"[..], b"two"]);
        let request = read_all(&body(&[&format!("{ZERO} {A} refs/heads/new")]))
            .unwrap()
            .unwrap();
        assert!(request.push_options.is_empty());
    }

    #[test]
    fn a_certificate_brings_the_commands_and_must_name_the_options() {
        let signed = |option: &str| {
            let command = format!("{ZERO} {A} refs/heads/new\n");
            let mut bytes = body(&[
                "push-cert\0push-options atomic",
                "certificate version 0.1\n",
                "nonce 1-x\n",
                &format!("push-option {option}\n"),
                "\n",
                &command,
                "-----BEGIN PGP SIGNATURE-----\n",
                "x\n",
                "push-cert-end\n",
            ]);
            bytes.extend(body(&["one"]));
            read_all(&bytes).unwrap().unwrap()
        };
        let request = signed("one");
        assert_eq!(request.commands.len(), 1);
        assert_eq!(request.commands[0].name, b"refs/heads/new");
        assert!(request.atomic && request.certificate_agrees());
        let certificate = request.certificate.unwrap();
        assert_eq!(certificate.headers("nonce").next(), Some(&b"1-x"[..]));
        assert!(certificate.signature().starts_with(b"-----BEGIN PGP"));
        assert!(!signed("two").certificate_agrees());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_by_a_server_that_offers_all(bytes: Vec<u8>) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
