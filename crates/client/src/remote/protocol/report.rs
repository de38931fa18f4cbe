//! The end of a push: what the other side says became of the pack and of each ref.

use std::collections::BTreeMap;

use bstr::ByteSlice;
use packhouse_wire::pktline::{Packet, PacketReader};

use super::demux::Demux;
use super::push::{PushEdit, PushStatus};
use super::shown;
use crate::remote::RemoteError;
use crate::remote::error::Failures;
use crate::remote::options::Messages;

/// Reads the report; one status per edit, in their order.
pub(super) fn read_report(
    reader: &mut PacketReader<'_>,
    bands: bool,
    edits: &[PushEdit],
    messages: Option<Messages>,
    failures: &Failures,
) -> Result<Vec<PushStatus>, RemoteError> {
    match bands {
        true => {
            let mut inner = PacketReader::new(SendDemux(Demux::new(reader, messages)));
            let statuses = read_lines(&mut inner, edits, failures)?;
            // Words for a person may follow; whoever hangs up instead has said what matters.
            let _ = std::io::copy(inner.rest(), &mut std::io::sink());
            Ok(statuses)
        }
        false => read_lines(reader, edits, failures),
    }
}

/// A [`Demux`] by another name, to be read as pkt-lines of their own.
struct SendDemux<'r, 'p>(Demux<'r, 'p>);

impl std::io::Read for SendDemux<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

fn read_lines(
    reader: &mut PacketReader<'_>,
    edits: &[PushEdit],
    failures: &Failures,
) -> Result<Vec<PushStatus>, RemoteError> {
    let mut unpacked = None;
    let mut found: BTreeMap<Vec<u8>, PushStatus> = BTreeMap::new();
    loop {
        let packet = reader.require().map_err(|error| failures.packet(error))?;
        let line = match packet {
            Packet::Flush => break,
            packet => packet.text().unwrap_or_default(),
        };
        if let Some(message) = line.strip_prefix(b"ERR ") {
            return Err(failures.said(&String::from_utf8_lossy(message)));
        } else if let Some(result) = line.strip_prefix(b"unpack ") {
            unpacked = Some(shown(result));
        } else if let Some(name) = line.strip_prefix(b"ok ") {
            found.insert(name.into(), PushStatus::Ok);
        } else if let Some(rest) = line.strip_prefix(b"ng ") {
            let (name, reason) = rest.split_once_str(" ").unwrap_or((rest, b"failed"));
            found.insert(name.into(), PushStatus::Rejected(shown(reason)));
        } else if !line.starts_with(b"option ") {
            return Err(failures.not_git(format!("it reports '{}'", shown(line))));
        }
        // It has no more to say than there are refs.
        if found.len() > edits.len() {
            return Err(failures.not_git("it reports on refs that were not pushed"));
        }
    }
    let unpacked =
        unpacked.ok_or_else(|| failures.not_git("it does not say what became of the pack"))?;
    Ok(edits
        .iter()
        .map(|edit| match found.remove(edit.name.as_bytes()) {
            Some(PushStatus::Ok) if unpacked != "ok" => PushStatus::Rejected(unpacked.clone()),
            Some(status) => status,
            None if unpacked != "ok" => PushStatus::Rejected(unpacked.clone()),
            None => PushStatus::Rejected("the remote does not say what became of it".to_owned()),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use packhouse_object::RefName;

    use super::*;

    fn read(lines: &[&str]) -> Result<Vec<PushStatus>, RemoteError> {
        let bytes = super::super::lines(|out| {
            lines
                .iter()
                .try_for_each(|line| out.data(&[line.as_bytes(), b"\n"]))?;
            out.flush()
        })
        .unwrap();
        let edits = ["refs/heads/a", "refs/heads/b"].map(|name| PushEdit {
            name: RefName::parse(name).unwrap(),
            old: None,
            new: None,
        });
        let failures = Failures {
            url: "test".to_owned(),
        };
        read_report(
            &mut PacketReader::new(&bytes[..]),
            false,
            &edits,
            None,
            &failures,
        )
    }

    #[test]
    fn each_edit_gets_its_status() {
        let statuses = read(&["unpack ok", "ng refs/heads/b no way", "ok refs/heads/a"]).unwrap();
        assert_eq!(
            statuses,
            [PushStatus::Ok, PushStatus::Rejected("no way".to_owned())]
        );
    }

    #[test]
    fn nothing_counts_as_moved_that_was_not_reported_so() {
        let bad_pack = read(&["unpack index-pack failed", "ok refs/heads/a"]).unwrap();
        let unsaid = read(&["unpack ok"]).unwrap();
        for statuses in [bad_pack, unsaid] {
            assert!(statuses.iter().all(|status| *status != PushStatus::Ok));
        }
        for lines in [
            &["ok refs/heads/a"][..],
            &["unpack ok", "what"],
            &["ERR no"],
        ] {
            assert!(read(lines).is_err(), "{lines:?}");
        }
    }
}
