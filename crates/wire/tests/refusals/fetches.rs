//! Fetches that make no sense, or ask for more than is offered.

use packhouse_wire::{FetchOptions, FilterRules, WantRules, WireError};

use super::{NONE, published};
use crate::backends::{OURS, World};
use crate::raw::{Line, decode, encode, ours, text};

/// Whole histories of what is advertised, and nothing more.
fn offers_little() -> FetchOptions {
    FetchOptions {
        shallow: false,
        filter: FilterRules::none(),
        wants: WantRules::advertised_only(),
        ref_in_want: false,
        object_info: false,
        ..FetchOptions::default()
    }
}

fn fetch_errors(world: &World, version: u8, lines: &[Line]) -> Vec<String> {
    let body = encode(lines);
    OURS.iter()
        .map(|remote| {
            let lines = decode(&ours(
                world,
                &format!("{remote}.git/git-upload-pack"),
                version,
                Some(&body),
            ));
            assert!(matches!(
                world.site.errors.lock().unwrap().pop(),
                Some(WireError::Refused(_) | WireError::Verbatim(_) | WireError::Packet(_))
            ));
            lines.last().cloned().unwrap_or_default()
        })
        .collect()
}

fn assert_fetch_refused(world: &World, version: u8, lines: &[Line], message: &str) {
    for answer in fetch_errors(world, version, lines) {
        assert_eq!(answer, format!("ERR upload-pack: {message}"), "{lines:?}");
    }
}

#[test]
fn fetches_that_make_no_sense_are_refused_in_gits_words() {
    let world = World::new();
    let (_, commit) = published(&world);
    world.offer(offers_little());
    let refused = |version, lines: &[Line], message: &str| {
        assert_fetch_refused(&world, version, lines, message)
    };

    refused(
        0,
        &[
            text(format!("want {NONE} side-band-64k")),
            Line::Flush,
            text("done"),
        ],
        &format!("not our ref {NONE}"),
    );
    refused(
        0,
        &[text("wnt x")],
        "protocol error, expected to get object ID, not 'wnt x'",
    );
    refused(
        0,
        &[text(format!("want {commit}0"))],
        &format!("protocol error, expected to get object ID, not 'want {commit}0'"),
    );
    refused(
        0,
        &[text(format!("want {commit}")), Line::Flush, text("have x")],
        "expected SHA1 object, got 'x'",
    );
    refused(
        0,
        &[text(format!("want {commit}")), Line::Flush, text("hve x")],
        "expected SHA1 list, got 'hve x'",
    );
    refused(
        0,
        &[
            text(format!("want {commit}")),
            text("deepen 1"),
            Line::Flush,
            text("done"),
        ],
        "shallow capability not negotiated, got 'deepen 1'",
    );
    refused(
        0,
        &[text(format!("shallow {commit}"))],
        &format!("shallow capability not negotiated, got 'shallow {commit}'"),
    );
    refused(
        0,
        &[
            text(format!("want {commit} filter")),
            text("filter blob:none"),
        ],
        "filtering capability not negotiated",
    );
    refused(
        0,
        &[text(format!("want {commit}")), text("filter blob:none")],
        "filtering capability not negotiated",
    );
    refused(
        0,
        &[text(format!("want {commit} object-format=sha256"))],
        "mismatched object format: server sha1; client sha256",
    );
    refused(
        0,
        &[text(format!("want {commit}"))],
        "the remote end hung up unexpectedly",
    );

    let fetch = |arguments: &[&str]| {
        let mut lines = vec![text("command=fetch"), Line::Delim];
        lines.extend(arguments.iter().map(|argument| text(*argument)));
        lines.push(Line::Flush);
        lines
    };
    refused(2, &[text("agent=x"), Line::Flush], "no command requested");
    refused(
        2,
        &[text("command=object-info"), Line::Flush],
        "invalid command 'object-info'",
    );
    refused(
        2,
        &[text("command=fetch"), text("session-id=x"), Line::Flush],
        "unknown capability 'session-id=x'",
    );
    refused(
        2,
        &[text("command=fetch"), text("command=ls-refs"), Line::Flush],
        "command 'ls-refs' requested after already requesting command 'fetch'",
    );
    refused(
        2,
        &[text("command=fetch"), text("object-format=sha256")],
        "mismatched object format: server sha1; client sha256",
    );
    refused(
        2,
        &[text("command=ls-refs"), Line::Delim, text("foo")],
        "unexpected line: 'foo'",
    );
    refused(
        2,
        &[text("command=ls-refs"), Line::Delim, Line::Delim],
        "expected flush after ls-refs arguments",
    );
    refused(
        2,
        &[text("command=ls-refs"), Line::Delim],
        "the remote end hung up unexpectedly",
    );
    for later in [
        "deepen 1",
        "shallow x",
        "deepen-since 1",
        "deepen-not x",
        "deepen-relative",
        "filter blob:none",
        "sideband-all",
        "packfile-uris https",
        "want-ref refs/heads/main",
    ] {
        refused(2, &fetch(&[later]), &format!("unexpected line: '{later}'"));
    }
    refused(
        2,
        &fetch(&[&format!("want {NONE}")]),
        &format!("not our ref {NONE}"),
    );
    refused(
        2,
        &fetch(&["want x"]),
        "protocol error, expected to get oid, not 'want x'",
    );
    refused(2, &fetch(&["have x"]), "expected SHA1 object, got 'x'");
    let long = "x".repeat(60000);
    let answers = fetch_errors(&world, 2, &fetch(&[&long]));
    assert!(answers.iter().all(
        |answer| answer.starts_with("ERR upload-pack: unexpected line: 'xxx") && answer.len() < 400
    ));
}

#[test]
fn a_person_sees_why_a_fetch_was_refused() {
    let world = World::new();
    let (work, _) = published(&world);
    world.offer(offers_little());
    for version in [0, 1, 2] {
        for remote in OURS {
            let outcome = work.speaking(version).try_run(&[
                "fetch",
                &world.url(remote),
                &format!("{NONE}:refs/heads/x"),
            ]);
            assert!(!outcome.ok);
            // Version 0 clients do not even ask for what is not advertised.
            let expected = if version == 2 {
                format!("fatal: remote error: upload-pack: not our ref {NONE}")
            } else {
                "Server does not allow request for unadvertised object".to_owned()
            };
            assert!(
                outcome.stderr.contains(&expected),
                "{version}: {}",
                outcome.stderr
            );
            for args in [&["--depth=1"][..], &["--shallow-since=2020-01-01"]] {
                let mut all = vec!["clone"];
                all.extend_from_slice(args);
                let url = world.url(remote);
                all.extend_from_slice(&[url.as_str(), "shallow"]);
                let outcome = world.root().speaking(version).try_run(&all);
                assert!(!outcome.ok, "{}", outcome.stderr);
                assert!(
                    outcome.stderr.contains("fatal: Server does not support "),
                    "{}",
                    outcome.stderr
                );
            }
        }
    }
}
