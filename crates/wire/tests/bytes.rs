//! The very bytes of advertisements, listings and acknowledgments, against those of git's programs.

use packhouse_wire::AGENT;

use crate::backends::{OURS, REF_IN_WANT, World};
use crate::git::init_bare;
use crate::history::History;
use crate::raw::{Line, decode, encode, gits, ours, text};

/// A random history, published everywhere.
fn publish(seed: u64) -> (World, History) {
    let world = World::new();
    let mut history = History::new(init_bare(&world.path("seed.git")), seed);
    history.grow(60);
    history.move_refs(30);
    for remote in ["directory", "hosted", "stock"] {
        history
            .git
            .run(&["push", "-q", "--mirror", &world.url(remote)]);
    }
    (world, history)
}

/// Git's bytes as they are with our name.
pub(crate) fn adapted(bytes: &[u8]) -> Vec<String> {
    let named = |word: &str| match word.split_once("agent=git/") {
        Some((before, _)) => format!("{before}agent={AGENT}\n"),
        None => word.to_owned(),
    };
    decode(bytes)
        .into_iter()
        .map(|line| line.split(' ').map(named).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn advertisements_are_gits() {
    let (world, _) = publish(1);
    world.bare("stock").configure(&[REF_IN_WANT]);
    for service in ["upload-pack", "receive-pack"] {
        for version in 0..=2 {
            let program = [service, "--http-backend-info-refs"];
            let expected = adapted(&gits(&world, "stock", &program, version, b""));
            for remote in OURS {
                let path = format!("{remote}.git/info/refs?service=git-{service}");
                let mut lines = decode(&ours(&world, &path, version, None));
                if version < 2 {
                    assert_eq!(
                        lines.drain(..2).collect::<Vec<_>>(),
                        [format!("# service=git-{service}\n"), "Flush".to_owned()]
                    );
                }
                assert_eq!(lines, expected, "{service} {version} {remote}");
            }
        }
    }
}

#[test]
fn an_empty_repository_says_what_it_can_do() {
    let world = World::new();
    for remote in OURS {
        for (version, more) in [(0, 0), (1, 1)] {
            let path = format!("{remote}.git/info/refs?service=git-upload-pack");
            let lines = decode(&ours(&world, &path, version, None));
            let line = &lines[2 + more];
            assert!(
                line.starts_with(&format!("{} capabilities^{{}}\0multi_ack ", "0".repeat(40))),
                "{lines:?}"
            );
            assert!(!line.contains("symref"), "{line}");
            assert_eq!(lines.last().unwrap(), "Flush");
        }
        let path = format!("{remote}.git/info/refs?service=git-receive-pack");
        let lines = decode(&ours(&world, &path, 0, None));
        assert_eq!(
            lines[2..],
            adapted(&gits(
                &world,
                "stock",
                &["receive-pack", "--http-backend-info-refs"],
                0,
                b""
            ))
        );
    }
}

#[test]
fn listings_are_gits() {
    let (world, _) = publish(2);
    let empty = World::new();
    let argument_lists: [&[&str]; 8] = [
        &[],
        &["peel"],
        &["symrefs\n", "peel\n"],
        &["symrefs", "unborn", "ref-prefix HEAD"],
        &[
            "peel",
            "ref-prefix refs/tags/",
            "ref-prefix refs/heads/b",
            "ref-prefix refs/tags/note1",
        ],
        &["ref-prefix refs/heads/none"],
        &[
            "ref-prefix refs/heads/",
            "ref-prefix HE",
            "ref-prefix refs/heads/",
            "symrefs",
        ],
        &["ref-prefix ", "unborn", "symrefs"],
    ];
    for arguments in argument_lists {
        let mut lines = vec![
            text("command=ls-refs\n"),
            text("agent=git/x"),
            text("object-format=sha1"),
            text("server-option=a"),
        ];
        lines.push(Line::Delim);
        lines.extend(arguments.iter().map(|argument| text(*argument)));
        lines.push(Line::Flush);
        let body = encode(&lines);
        for world in [&world, &empty] {
            let expected = gits(
                world,
                "stock",
                &["upload-pack", "--stateless-rpc"],
                2,
                &body,
            );
            for remote in OURS {
                let answer = ours(
                    world,
                    &format!("{remote}.git/git-upload-pack"),
                    2,
                    Some(&body),
                );
                assert_eq!(
                    String::from_utf8_lossy(&answer),
                    String::from_utf8_lossy(&expected),
                    "{remote} {arguments:?}"
                );
            }
        }
    }
}

/// Random haves: branches, old commits, and ids of nothing. Clients name no tags; where one is named, git
/// does not look at the commit behind it, and we do.
fn some_haves(history: &mut History, known: &[String], count: usize) -> Vec<String> {
    (0..count)
        .map(|_| match history.random.below(6) {
            0 => format!("{:040x}", history.random.below(1000) + 1),
            1 | 2 => history.random.pick(&history.commits.clone()).clone(),
            _ => history.random.pick(known).clone(),
        })
        .collect()
}

/// What the refs below `prefix` point to.
fn tips(history: &History, prefix: &str) -> Vec<String> {
    let refs = history
        .git
        .run(&["for-each-ref", "--format=%(objectname)", prefix]);
    let mut ids: Vec<_> = refs.lines().map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn acknowledgments_of_version_2_are_gits() {
    for seed in 10..14 {
        let (world, mut history) = publish(seed);
        let (branches, tips) = (tips(&history, "refs/heads/"), tips(&history, "refs/"));
        for round in 0..25 {
            let mut lines = vec![
                text("command=fetch"),
                Line::Delim,
                text("thin-pack"),
                text("ofs-delta"),
                text("no-progress"),
            ];
            for _ in 0..history.random.below(3) + 1 {
                lines.push(text(format!("want {}\n", history.random.pick(&tips))));
            }
            let count = history.random.below(12);
            lines.extend(
                some_haves(&mut history, &branches, count)
                    .iter()
                    .map(|id| text(format!("have {id}\n"))),
            );
            for flag in ["wait-for-done", "done", "include-tag"] {
                if history.random.once_in(5) {
                    lines.push(text(flag));
                }
            }
            lines.push(Line::Flush);
            let body = encode(&lines);
            let expected = decode(&gits(
                &world,
                "stock",
                &["upload-pack", "--stateless-rpc"],
                2,
                &body,
            ));
            for remote in OURS {
                let answer = decode(&ours(
                    &world,
                    &format!("{remote}.git/git-upload-pack"),
                    2,
                    Some(&body),
                ));
                assert_eq!(
                    answer, expected,
                    "seed {seed} round {round} {remote} {lines:?}"
                );
            }
        }
    }
}

#[test]
fn acknowledgments_of_version_0_are_gits() {
    for seed in 20..24 {
        let (world, mut history) = publish(seed);
        let (branches, tips) = (tips(&history, "refs/heads/"), tips(&history, "refs/"));
        for round in 0..25 {
            let ack = *history.random.pick(&[
                "multi_ack_detailed",
                "multi_ack_detailed no-done",
                "multi_ack",
            ]);
            let mut lines = vec![text(format!(
                "want {} {ack} side-band-64k ofs-delta no-progress\n",
                history.random.pick(&tips)
            ))];
            for _ in 0..history.random.below(3) {
                lines.push(text(format!("want {}\n", history.random.pick(&tips))));
            }
            lines.push(Line::Flush);
            let count = history.random.below(12);
            lines.extend(
                some_haves(&mut history, &branches, count)
                    .iter()
                    .map(|id| text(format!("have {id}\n"))),
            );
            lines.push(if history.random.once_in(2) {
                text("done\n")
            } else {
                Line::Flush
            });
            let body = encode(&lines);
            let expected = decode(&gits(
                &world,
                "stock",
                &["upload-pack", "--stateless-rpc"],
                0,
                &body,
            ));
            for remote in OURS {
                let answer = decode(&ours(
                    &world,
                    &format!("{remote}.git/git-upload-pack"),
                    0,
                    Some(&body),
                ));
                assert_eq!(
                    answer, expected,
                    "seed {seed} round {round} {remote} {lines:?}"
                );
            }
        }
    }
}

#[test]
fn a_client_that_knows_no_multi_ack_hears_of_the_first_common_commit() {
    let (world, history) = publish(30);
    let tips = tips(&history, "refs/heads/");
    let (first, last) = (&history.commits[0], history.commits.last().unwrap());
    let none = "1".repeat(40);
    for haves in [
        &[][..],
        &[none.as_str()],
        &[none.as_str(), first, last],
        &[first, none.as_str()],
    ] {
        for end in [text("done"), Line::Flush] {
            let mut lines = vec![text(format!("want {} ofs-delta", tips[0])), Line::Flush];
            lines.extend(haves.iter().map(|id| text(format!("have {id}"))));
            lines.push(end);
            let body = encode(&lines);
            // Behind the acknowledgments the pack stands unframed, where decoding ends.
            let expected = gits(
                &world,
                "stock",
                &["upload-pack", "--stateless-rpc"],
                0,
                &body,
            );
            for remote in OURS {
                let answer = ours(
                    &world,
                    &format!("{remote}.git/git-upload-pack"),
                    0,
                    Some(&body),
                );
                assert_eq!(decode(&answer), decode(&expected), "{remote} {lines:?}");
            }
        }
    }
}
