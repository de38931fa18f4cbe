//! Requests of pushes, signed ones among them: none may panic or have an answer out of all proportion, and of a signed
//! push nothing is done that was not signed.
//!
//! The first byte says what is offered, lines lie between bytes 254, and 255 alone is a flush. Bytes 1 to 4 stand for ids,
//! the first of them for that of nothing.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use packhouse_object::{ObjectId, Progress, RefName};
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{
    Command, CommandStatus, Messages, ReceiveOptions, ReceiveRequest, Sink, SinkError, UnpackError, parse_target,
    receive_pack,
};

/// Takes every push there may be, and remembers what was asked for.
#[derive(Default)]
struct Taken {
    request: Option<ReceiveRequest>,
    published: Vec<Command>,
    refuses_packs: bool,
}

impl Sink for Taken {
    fn begin(&mut self, request: &ReceiveRequest) {
        self.request = Some(request.clone());
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        (name == b"refs/heads/main").then(|| id(2))
    }

    fn contains(&self, wanted: ObjectId) -> bool {
        wanted == id(2) || wanted == id(3)
    }

    fn unpack(
        &mut self,
        input: &mut dyn Read,
        _shallow: &[ObjectId],
        _progress: &dyn Progress,
    ) -> Result<(), UnpackError> {
        std::io::copy(input, &mut std::io::sink()).unwrap();
        match self.refuses_packs {
            true => Err(UnpackError::Bad("no".to_owned())),
            false => Ok(()),
        }
    }

    fn publish(
        &mut self,
        commands: Vec<Command>,
        _atomic: bool,
        messages: &dyn Messages,
    ) -> Result<Vec<CommandStatus>, SinkError> {
        messages.show(b"taken\n");
        let statuses = commands.iter().map(|_| CommandStatus::Ok).collect();
        self.published.extend(commands);
        Ok(statuses)
    }
}

fn hex(byte: u8) -> [u8; 40] {
    [b'0' + byte - 1; 40]
}

fn id(byte: u8) -> ObjectId {
    ObjectId::from_hex(&hex(byte)).unwrap()
}

fn framed(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    for line in text.split(|byte| *byte == 254) {
        let written = match line {
            [255] => out.flush(),
            line => {
                let mut text = Vec::with_capacity(line.len());
                for byte in line {
                    match byte {
                        1..=4 => text.extend_from_slice(&hex(*byte)),
                        byte => text.push(*byte),
                    }
                }
                text.truncate(60_000);
                out.data(&[&text])
            }
        };
        written.unwrap();
    }
    out.send().unwrap();
    drop(out);
    bytes
}

/// Whether a line is the command.
fn is_command(line: &[u8], old: Option<ObjectId>, new: Option<ObjectId>, name: &[u8]) -> bool {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut word = || words.next().unwrap_or_default();
    let (line_old, line_new, line_name) = (word(), word(), word());
    parse_target(line_old) == Some(old) && parse_target(line_new) == Some(new) && line_name == name
}

fuzz_target!(|input: &[u8]| {
    let Some((how, text)) = input.split_first() else {
        return;
    };
    let is = |bit: u8| how & (1 << bit) != 0;
    let mut options = ReceiveOptions {
        max_command_bytes: 1 << 18,
        ..ReceiveOptions::default()
    };
    options.offer.push_options = is(0);
    options.offer.certificate_nonce = is(1).then(|| "1-x".to_owned());
    let mut sink = Taken {
        refuses_packs: is(2),
        ..Taken::default()
    };
    let request = framed(text);
    let mut answer = Vec::new();
    let _ = receive_pack(&mut &request[..], &mut sink, &mut answer, &options);
    assert!(answer.len() <= 64 * request.len() + (1 << 12));
    let Some(request) = sink.request else {
        assert!(sink.published.is_empty());
        return;
    };
    for command in &sink.published {
        let asked = request.commands.iter().any(|asked| {
            (asked.old, asked.new) == (command.old, command.new) && asked.name == command.name.as_bytes()
        });
        assert!(asked);
        assert!(RefName::parse(command.name.as_bytes()).is_ok());
    }
    assert!(is(0) || request.push_options.is_empty());
    let Some(certificate) = &request.certificate else {
        return;
    };
    assert!(is(1));
    let signed = certificate.payload();
    assert_eq!([signed, certificate.signature()].concat(), certificate.text());
    for command in &request.commands {
        let mut lines = signed.split(|byte| *byte == b'\n');
        assert!(lines.any(|line| is_command(line, command.old, command.new, &command.name)));
    }
    for nonce in certificate.headers("nonce") {
        let line = [b"nonce ", nonce].concat();
        assert!(signed.split(|byte| *byte == b'\n').any(|signed| signed == line));
    }
    if !sink.published.is_empty() {
        let told: Vec<&[u8]> = certificate.headers("push-option").collect();
        assert!(told.iter().eq(request.push_options.iter()));
    }
});
