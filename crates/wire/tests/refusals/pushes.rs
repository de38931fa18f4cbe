//! Pushes that claim what is not so, or are in a wrong form.

use packhouse_wire::pktline::{Packet, PacketReader};

use super::{NONE, ZERO, published};
use crate::backends::{OURS, World};
use crate::git::Git;
use crate::raw::{Line, decode, encode, gits, ours, text};

/// What a push by hand is answered: messages for a person, then the report.
fn push(world: &World, remote: &str, lines: &[Line], pack: &[u8]) -> (String, Vec<String>) {
    let mut body = encode(lines);
    body.extend_from_slice(pack);
    let answer = match remote {
        "stock" => gits(
            world,
            "stock",
            &["receive-pack", "--stateless-rpc"],
            0,
            &body,
        ),
        _ => ours(
            world,
            &format!("{remote}.git/git-receive-pack"),
            0,
            Some(&body),
        ),
    };
    let bytes = &answer[..];
    let mut reader = PacketReader::new(bytes);
    let (mut messages, mut report) = (String::new(), Vec::new());
    while let Some(packet) = reader.read().unwrap() {
        match packet {
            Packet::Data([1, data @ ..]) => report.extend_from_slice(data),
            Packet::Data([2, text @ ..]) => messages.push_str(&String::from_utf8_lossy(text)),
            Packet::Data(other) => messages.push_str(&String::from_utf8_lossy(other)),
            _ => {}
        }
    }
    (messages, decode(&report))
}

const FEATURES: &str = "\0 report-status-v2 side-band-64k quiet object-format=sha1";
const ATOMIC: &str = "\0 report-status-v2 side-band-64k quiet atomic object-format=sha1";

/// A pack of no objects, which is what a push without new objects sends.
fn empty_pack(work: &Git) -> Vec<u8> {
    let folder = work.dir.join("empty");
    work.feed(&["pack-objects", "-q", folder.to_str().unwrap()], b"");
    let name = std::fs::read_dir(&work.dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pack")
        });
    match name {
        Some(path) => std::fs::read(path).unwrap(),
        // Git writes no file for it: header and checksum are known.
        None => b"PACK\0\0\0\x02\0\0\0\0\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e".to_vec(),
    }
}

#[test]
fn pushes_that_claim_what_is_not_so_are_answered_as_by_git() {
    let world = World::new();
    let (work, commit) = published(&world);
    let pack = empty_pack(&work);
    let cases: Vec<Vec<String>> = vec![
        vec![format!("{commit} {ZERO} refs/heads/main{FEATURES}")],
        vec![format!("{NONE} {ZERO} refs/heads/none{FEATURES}")],
        vec![format!("{commit} {ZERO} refs/heads/none{FEATURES}")],
        vec![format!("{ZERO} {ZERO} refs/heads/none{FEATURES}")],
        vec![format!("{ZERO} {commit} refs/heads/feat{FEATURES}")],
        vec![format!("{NONE} {commit} refs/heads/feat{FEATURES}")],
        vec![format!("{NONE} {commit} refs/heads/absent{FEATURES}")],
        vec![format!("{ZERO} {NONE} refs/heads/new{FEATURES}")],
        vec![
            format!("{ZERO} {commit} refs/heads/a..b{FEATURES}"),
            format!("{ZERO} {commit} foo"),
            format!("{ZERO} {commit} refs/heads/fine"),
        ],
        vec![
            format!("{ZERO} {commit} refs/one{FEATURES}"),
            format!("{ZERO} {commit} HEAD"),
        ],
        vec![
            format!("{ZERO} {commit} refs/heads/a..b{ATOMIC}"),
            format!("{ZERO} {commit} refs/heads/fine2"),
        ],
        vec![
            format!("{commit} {ZERO} refs/heads/main{ATOMIC}"),
            format!("{ZERO} {commit} refs/heads/fine3"),
        ],
        vec![format!("{ZERO} {commit} refs/heads/feat/below{FEATURES}")],
    ];
    for lines in cases {
        let mut request: Vec<Line> = lines.iter().map(|line| text(line.clone())).collect();
        request.push(Line::Flush);
        let deletes_only = lines
            .iter()
            .all(|line| line.split(' ').nth(1) == Some(ZERO));
        let pack: &[u8] = if deletes_only { b"" } else { &pack };
        let (expected_messages, expected) = push(&world, "stock", &request, pack);
        for remote in OURS {
            let (messages, report) = push(&world, remote, &request, pack);
            assert_eq!(report, expected, "{remote} {lines:?} {messages}");
            // Git's page about its configuration and its connectivity program's own words are not ours.
            for line in expected_messages.lines().filter(|line| {
                line.contains("lock ref")
                    || line.contains("refusing")
                    || line.starts_with("warning")
            }) {
                assert!(
                    messages.lines().any(|ours| ours == line),
                    "{remote} {lines:?}\n{messages}\nlacks {line}"
                );
            }
        }
    }
    let names = work.run(&["ls-remote", &world.url("directory")]);
    assert_eq!(names, work.run(&["ls-remote", &world.url("stock")]));
    assert_eq!(names, work.run(&["ls-remote", &world.url("hosted")]));
}

#[test]
fn a_stale_deletion_is_refused() {
    let world = World::new();
    let (_, commit) = published(&world);
    for remote in OURS {
        // Git lets this pass when it does not know the object; the branch may have been moved by someone else.
        let (messages, report) = push(
            &world,
            remote,
            &[
                text(format!("{NONE} {ZERO} refs/heads/feat{FEATURES}")),
                Line::Flush,
            ],
            b"",
        );
        assert_eq!(
            report,
            [
                "unpack ok\n",
                "ng refs/heads/feat failed to update ref\n",
                "Flush"
            ]
        );
        assert_eq!(
            messages,
            format!(
                "error: cannot lock ref 'refs/heads/feat': is at {commit} but expected {NONE}\n"
            )
        );
        let (_, report) = push(
            &world,
            remote,
            &[
                text(format!("{ZERO} {ZERO} refs/heads/feat{FEATURES}")),
                Line::Flush,
            ],
            b"",
        );
        assert_eq!(report[1], "ng refs/heads/feat failed to update ref\n");
    }
}

#[test]
fn one_ref_is_moved_once_in_a_push() {
    let world = World::new();
    let (work, commit) = published(&world);
    let pack = empty_pack(&work);
    for remote in OURS {
        let lines = [
            text(format!("{ZERO} {commit} refs/heads/twice{FEATURES}")),
            text(format!("{ZERO} {commit} refs/heads/twice")),
            text(format!("{ZERO} {commit} refs/heads/once-{remote}")),
            Line::Flush,
        ];
        let (messages, report) = push(&world, remote, &lines, &pack);
        let refused = "ng refs/heads/twice failed to update ref\n";
        assert_eq!(
            report,
            [
                "unpack ok\n",
                refused,
                refused,
                &format!("ok refs/heads/once-{remote}\n"),
                "Flush"
            ]
        );
        assert!(
            messages.contains("error: multiple updates for ref 'refs/heads/twice' not allowed\n")
        );
    }
}

#[test]
fn a_bad_pack_moves_nothing_and_is_named() {
    let world = World::new();
    let (work, commit) = published(&world);
    let refs = work.run(&["ls-remote", &world.url("hosted")]);
    let child = work.commit_file("b", "new\n");
    let ids = work.run(&["rev-list", "--objects", &child, &format!("^{commit}")]);
    let ids: Vec<&str> = ids.lines().map(|line| &line[..40]).collect();
    let pack = |name: &str, ids: &[&str]| {
        let sum = work.feed(&["pack-objects", "-q", name], ids.join("\n").as_bytes());
        std::fs::read(work.dir.join(format!("{name}-{}.pack", sum.trim()))).unwrap()
    };
    let (whole, lone) = (pack("whole", &ids), pack("lone", &ids[..1]));
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let mut wrong_sum = whole.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;

    let bad: [&[u8]; 7] = [
        b"",
        b"PACK",
        b"hello, this is no pack at all......",
        &whole[..whole.len() - 30],
        &flipped,
        &wrong_sum,
        &lone,
    ];
    for remote in OURS {
        for pack in bad {
            let request = [
                text(format!("{commit} {child} refs/heads/main{FEATURES}")),
                text(format!("{commit} {ZERO} refs/heads/feat")),
                Line::Flush,
            ];
            let (messages, report) = push(&world, remote, &request, pack);
            assert_ne!(report[0], "unpack ok\n", "{messages}");
            assert!(report[0].starts_with("unpack "), "{report:?}");
            assert_eq!(
                report[1..],
                [
                    "ng refs/heads/main unpacker error\n",
                    "ng refs/heads/feat unpacker error\n",
                    "Flush"
                ]
            );
        }
        assert_eq!(work.run(&["ls-remote", &world.url(remote)]), refs);
        let request = [
            text(format!("{commit} {child} refs/heads/main{FEATURES}")),
            Line::Flush,
        ];
        let (_, report) = push(&world, remote, &request, &whole);
        assert_eq!(report, ["unpack ok\n", "ok refs/heads/main\n", "Flush"]);
    }
}

#[test]
fn a_push_from_a_cut_history_is_accepted_where_nothing_is_missing() {
    let world = World::new();
    let (work, commit) = published(&world);
    work.commit_file("a", "two\n");
    work.commit_file("a", "three\n");
    world.root().run(&[
        "clone",
        "-q",
        "--depth=1",
        &format!("file://{}", work.dir.display()),
        "cut",
    ]);
    let cut = Git::at(world.path("cut"));
    let boundary = cut.run(&["rev-parse", "HEAD"]);
    for remote in OURS {
        let outcome = cut.try_run(&["push", &world.url(remote), "main:refs/heads/cut"]);
        assert!(!outcome.ok);
        assert!(
            outcome
                .stderr
                .contains("[remote rejected] main -> cut (shallow update not allowed)"),
            "{}",
            outcome.stderr
        );
    }
    for remote in OURS {
        work.run(&["push", "-q", &world.url(remote), "main"]);
    }
    cut.commit_file("b", "on top\n");
    for remote in OURS {
        cut.run(&["push", "-q", &world.url(remote), "main:refs/heads/cut"]);
        let log = work.run(&["ls-remote", &world.url(remote), "refs/heads/cut"]);
        assert!(log.starts_with(&cut.run(&["rev-parse", "HEAD"])));
    }
    assert_ne!(boundary, commit);
    world.bare("directory").fsck();
}

#[test]
fn pushes_in_a_wrong_form_are_refused() {
    let world = World::new();
    let (_, commit) = published(&world);
    for remote in OURS {
        let answer = |line: String| push(&world, remote, &[text(line), Line::Flush], b"").0;
        assert_eq!(
            answer("hello".to_owned()),
            "ERR receive-pack: protocol error: expected old/new/ref, got 'hello'"
        );
        assert_eq!(
            answer(format!("{ZERO} {commit} refs/heads/x\0push-options")),
            "ERR receive-pack: push options are not supported"
        );
        assert_eq!(
            answer(format!(
                "{ZERO} {commit} refs/heads/x\0object-format=sha256"
            )),
            "ERR receive-pack: unsupported object format 'sha256'"
        );
        assert_eq!(
            answer("push-cert\0 report-status".to_owned()),
            "ERR receive-pack: signed pushes are not supported"
        );
    }
}
