//! Requests of fetches: none may panic, go on for ever, or have an answer that is out of all proportion.
//!
//! Lines come framed, as `pktline` looks after the frames; a byte below 32 stands for the id of an object, so that ids are
//! met that mean something.
#![no_main]

use std::io;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use packhouse_object::{
    Commit, Database, EntryMode, NewObject, ObjectCache, ObjectId, ObjectKind, RefName, Signature, Tag, Tree,
    TreeEntry,
};
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{FetchOptions, HiddenRefs, RefLine, Rounds, Source, Version, WantRules, upload_pack};

/// A short history with a tag.
struct Repository {
    database: Database,
    refs: Vec<(&'static str, ObjectId, Option<ObjectId>)>,
    shallow: Vec<ObjectId>,
    ids: Vec<ObjectId>,
}

static REPOSITORIES: LazyLock<[Repository; 2]> = LazyLock::new(|| [repository(false), repository(true)]);

fn repository(is_shallow: bool) -> Repository {
    let person = |seconds| Signature {
        name: "A".into(),
        email: "a@example.com".into(),
        seconds,
        offset_minutes: 0,
    };
    let mut objects = Vec::new();
    let mut commits: Vec<ObjectId> = Vec::new();
    let mut add = |kind, data| {
        let object = NewObject::new(kind, data).unwrap();
        objects.push(object.clone());
        object.id
    };
    for number in 0..4 {
        let entry = |mode, name: &str, id| TreeEntry {
            mode,
            name: name.into(),
            id,
        };
        let blob = add(ObjectKind::Blob, format!("{number}\n").repeat(9).into_bytes());
        let file = entry(EntryMode::Blob, "a", blob);
        let folder = Tree {
            entries: vec![file.clone()],
        };
        let folder = add(ObjectKind::Tree, folder.encode());
        let tree = Tree {
            entries: vec![file, entry(EntryMode::Tree, "b", folder)],
        };
        let tree = add(ObjectKind::Tree, tree.encode());
        let commit = Commit {
            tree,
            parents: commits.last().copied().into_iter().collect(),
            author: person(number),
            committer: person(number),
            extra_headers: Vec::new(),
            message: "m".into(),
        };
        commits.push(add(ObjectKind::Commit, commit.encode()));
    }
    let tag = Tag {
        target: commits[2],
        target_kind: ObjectKind::Commit,
        name: "v1".into(),
        tagger: Some(person(5)),
        message: "n".into(),
    };
    let tag = add(ObjectKind::Tag, tag.encode());
    let ids = objects.iter().map(|object| object.id).collect();
    // What a shallow repository was cut off from is not there.
    let gone = if is_shallow { &commits[..1] } else { &[] };
    objects.retain(|object| !gone.contains(&object.id));
    Repository {
        database: Database::new(Arc::new(ObjectCache::new(1 << 20)), 1).with_objects(objects),
        refs: vec![
            ("refs/heads/main", commits[3], None),
            ("refs/heads/old", commits[1], None),
            ("refs/tags/v1", tag, Some(commits[2])),
        ],
        ids,
        shallow: if is_shallow { vec![commits[1]] } else { Vec::new() },
    }
}

impl Source for Repository {
    fn head(&self) -> Option<RefName> {
        RefName::branch("main").ok()
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        let mut refs = self.refs.iter();
        refs.find(|(known, ..)| known.as_bytes() == name).map(|(_, id, _)| *id)
    }

    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for (name, id, peeled) in &self.refs {
            if name.as_bytes().starts_with(prefix) {
                visitor(RefLine {
                    name: name.as_bytes(),
                    id: *id,
                    peeled: *peeled,
                })?;
            }
        }
        Ok(())
    }

    fn database(&self) -> &Database {
        &self.database
    }

    fn shallow(&self) -> &[ObjectId] {
        &self.shallow
    }
}

/// The lines as they are sent: `\xff` is a flush, `\xfe` a delimiter.
fn framed(lines: &[&[u8]], ids: &[ObjectId]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    for line in lines {
        let written = match *line {
            b"\xff" => out.flush(),
            b"\xfe" => out.delim(),
            line => {
                let mut text = Vec::with_capacity(line.len());
                for byte in line {
                    match usize::from(*byte) {
                        at @ 0..32 => text.extend_from_slice(ids[at % ids.len()].to_string().as_bytes()),
                        _ => text.push(*byte),
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

fuzz_target!(|input: (u8, Vec<&[u8]>)| {
    let (how, lines) = input;
    let is = |bit: u8| how & (1 << bit) != 0;
    let version = match how & 3 {
        0 => Version::V0,
        1 => Version::V1,
        _ => Version::V2,
    };
    let options = FetchOptions {
        rounds: if is(2) { Rounds::Many } else { Rounds::One },
        sideband_all: is(3),
        hidden: HiddenRefs::new(if is(4) { &["refs/heads/old"][..] } else { &[] }),
        wants: WantRules { any: is(5), ..WantRules::default() },
        session_id: is(6).then(|| "x".to_owned()),
        ..FetchOptions::default()
    };
    let repository = &REPOSITORIES[usize::from(is(7))];
    let request = framed(&lines, &repository.ids);
    let mut answer = Vec::new();
    let _ = upload_pack(version, &mut &request[..], repository, &mut answer, &options);
    // Each line can ask for the whole of this small repository once.
    assert!(answer.len() <= (lines.len() + 1) * (1 << 14) + 64 * request.len());
});
