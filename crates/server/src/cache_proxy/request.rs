//! What a `POST git-upload-pack` wants, as far as it has to be known here.

use packhouse_object::ObjectId;
use packhouse_wire::pktline::{Packet, PacketReader};
use packhouse_wire::{Capabilities, OBJECT_FORMAT, Version, parse_id};

/// What a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Objects, in ways that `wire` knows.
    Objects(Objects),
    /// A list of refs, or nothing: to try the connection.
    Refs,
    /// Anything else: capabilities of others, what is no protocol at all.
    Other,
}

/// Objects that a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Objects {
    pub(super) wants: Vec<ObjectId>,
    /// Refs that are wanted by their names, wherever they are now.
    pub(super) want_refs: Vec<Vec<u8>>,
    /// What the client says that it has; where its history ends is among it.
    pub(super) haves: Vec<ObjectId>,
    /// Whether less is asked for than all that the wants reach: a part of history, some kinds of objects.
    pub(super) is_part: bool,
}

impl Objects {
    /// Takes a line about the part of history or the objects that are wanted. Returns whether it is one, and understood.
    fn take_part(&mut self, line: &[u8]) -> bool {
        let is_one = match split(line, b' ') {
            (b"shallow", Some(id)) => match parse_id(id) {
                Some(id) => {
                    self.haves.push(id);
                    true
                }
                None => false,
            },
            (b"deepen" | b"deepen-since" | b"deepen-not" | b"filter", Some(_)) => true,
            (b"deepen-relative", None) => true,
            _ => false,
        };
        self.is_part |= is_one;
        is_one
    }
}

impl Wish {
    /// Reads the body of a request. What is not understood in full is [`Wish::Other`].
    pub(super) fn of(version: Version, body: &[u8]) -> Wish {
        let read = match version {
            Version::V2 => v2(body),
            Version::V0 | Version::V1 => v0(body),
        };
        read.unwrap_or(Wish::Other)
    }
}

fn v2(body: &[u8]) -> Option<Wish> {
    let mut reader = PacketReader::new(body);
    let mut command: Option<Vec<u8>> = None;
    loop {
        match reader.read().ok()? {
            None | Some(Packet::Flush) => return Some(Wish::Refs),
            Some(Packet::Delim) => break,
            Some(Packet::ResponseEnd) => return None,
            Some(packet) => {
                let line = packet.text()?;
                let (key, value) = split(line, b'=');
                match key {
                    b"command" if command.is_none() => command = Some(value?.to_vec()),
                    b"agent" => {}
                    b"object-format" if value? == OBJECT_FORMAT.as_bytes() => {}
                    _ => return None,
                }
            }
        }
    }
    match command?.as_slice() {
        b"ls-refs" => return Some(Wish::Refs),
        b"fetch" => {}
        _ => return None,
    }
    let mut objects = Objects::default();
    loop {
        let packet = reader.read().ok()??;
        let Some(line) = packet.text() else {
            break matches!(packet, Packet::Flush).then_some(())?;
        };
        match split(line, b' ') {
            (b"want", Some(id)) => objects.wants.push(parse_id(id)?),
            (b"want-ref", Some(name)) => objects.want_refs.push(name.to_vec()),
            (b"have", Some(id)) => objects.haves.push(parse_id(id)?),
            (
                b"done" | b"wait-for-done" | b"thin-pack" | b"ofs-delta" | b"include-tag"
                | b"no-progress",
                None,
            ) => {}
            _ if objects.take_part(line) => {}
            _ => return None,
        }
    }
    let is_nothing = objects.wants.is_empty() && objects.want_refs.is_empty();
    (!is_nothing).then_some(Wish::Objects(objects))
}

fn v0(body: &[u8]) -> Option<Wish> {
    let mut reader = PacketReader::new(body);
    let mut objects = Objects::default();
    while let Some(packet) = reader.read().ok()? {
        let Some(line) = packet.text() else {
            match packet {
                Packet::Flush => continue,
                _ => return None,
            }
        };
        match split(line, b' ') {
            (b"want", Some(rest)) => {
                let (id, capabilities) = split(rest, b' ');
                let format = Capabilities::new(capabilities.unwrap_or_default());
                let format = format.value("object-format");
                if format.is_some_and(|format| format != OBJECT_FORMAT.as_bytes()) {
                    return None;
                }
                objects.wants.push(parse_id(id)?);
            }
            (b"have", Some(id)) => objects.haves.push(parse_id(id)?),
            (b"done", None) => {}
            _ if objects.take_part(line) => {}
            _ => return None,
        }
    }
    Some(match objects.wants.is_empty() {
        true => Wish::Refs,
        false => Wish::Objects(objects),
    })
}

fn split(line: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|byte| *byte == at) {
        Some(place) => (&line[..place], Some(&line[place + 1..])),
        None => (line, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    /// Lines with their lengths; `-` is a delimiter, an empty one a flush.
    fn body(lines: &[&str]) -> Vec<u8> {
        let mut text = String::new();
        for line in lines {
            match *line {
                "" => text.push_str("0000"),
                "-" => text.push_str("0001"),
                line => text.push_str(&format!("{:04x}{line}\n", line.len() + 5)),
            }
        }
        text.into_bytes()
    }

    #[test]
    fn fetches_that_are_understood_in_full_name_their_objects() {
        let (want, have) = (format!("want {ID}"), format!("have {ID}"));
        let id = parse_id(ID.as_bytes()).unwrap();
        let expected = Wish::Objects(Objects {
            wants: vec![id],
            haves: vec![id],
            ..Objects::default()
        });
        let new = [
            "command=fetch",
            "agent=git/2",
            "object-format=sha1",
            "-",
            "thin-pack",
            &want,
            &have,
            "done",
            "",
        ];
        assert_eq!(Wish::of(Version::V2, &body(&new)), expected);
        let first = format!("{want} multi_ack_detailed side-band-64k agent=git/2");
        let old = [first.as_str(), "", &have, "done"];
        assert_eq!(Wish::of(Version::V0, &body(&old)), expected);
    }

    #[test]
    fn parts_of_history_and_of_its_objects_are_understood() {
        let want = format!("want {ID}");
        let id = parse_id(ID.as_bytes()).unwrap();
        let ends = format!("shallow {ID}");
        for (line, haves) in [
            ("deepen 1", vec![]),
            ("deepen-since 1", vec![]),
            ("deepen-not main", vec![]),
            ("deepen-relative", vec![]),
            ("filter blob:none", vec![]),
            (ends.as_str(), vec![id]),
        ] {
            let expected = Wish::Objects(Objects {
                wants: vec![id],
                haves,
                is_part: true,
                ..Objects::default()
            });
            let new = body(&["command=fetch", "-", &want, line, "done", ""]);
            assert_eq!(Wish::of(Version::V2, &new), expected, "{line}");
            let old = body(&[&want, line, "", "done"]);
            assert_eq!(Wish::of(Version::V0, &old), expected, "{line}");
        }
    }

    #[test]
    fn lists_and_probes_are_told_apart_from_what_is_not_understood() {
        let want = format!("want {ID}");
        let v2 = |lines: &[&str]| Wish::of(Version::V2, &body(lines));
        assert_eq!(v2(&["command=ls-refs", "-", "peel", ""]), Wish::Refs);
        assert_eq!(v2(&[""]), Wish::Refs);
        assert_eq!(Wish::of(Version::V0, b"0000"), Wish::Refs);
        let named = Objects {
            want_refs: vec![b"refs/heads/main".to_vec()],
            ..Objects::default()
        };
        let line = "want-ref refs/heads/main";
        assert_eq!(
            v2(&["command=fetch", "-", line, "done", ""]),
            Wish::Objects(named)
        );
        assert_eq!(v2(&["command=fetch", "-", "done", ""]), Wish::Other);
        let old = [want.as_str(), line, "", "done"];
        assert_eq!(Wish::of(Version::V0, &body(&old)), Wish::Other);
        for line in ["shallow x", "sideband-all"] {
            assert_eq!(
                v2(&["command=fetch", "-", &want, line, "done", ""]),
                Wish::Other,
                "{line}"
            );
            let old = [want.as_str(), line, "", "done"];
            assert_eq!(Wish::of(Version::V0, &body(&old)), Wish::Other, "{line}");
        }
        assert_eq!(
            v2(&["command=fetch", "server-option=x", "-", &want, "done", ""]),
            Wish::Other
        );
        assert_eq!(v2(&["command=object-info", "-", ""]), Wish::Other);
        assert_eq!(v2(&["command=fetch", "-", &want, "done"]), Wish::Other);
        assert_eq!(v2(&["command=fetch", "-", "want 12", ""]), Wish::Other);
        for junk in [&b"zzzz"[..], b"0003", b"ffff", b"\xff\xff"] {
            assert_eq!(Wish::of(Version::V2, junk), Wish::Other);
            assert_eq!(Wish::of(Version::V0, junk), Wish::Other);
        }
    }
}
