//! Requests of version 2 by hand: sections and words are those of git's own program.

use packhouse_wire::{FetchOptions, HiddenRefs};

use crate::backends::{OURS, REF_IN_WANT, World};
use crate::git::{Git, init};
use crate::raw::{Line, decode, encode, gits, ours, text};

fn published(world: &World) -> Git {
    let work = init(&world.path("work"));
    for number in 0..5 {
        work.commit_file("a", &format!("{number}\n"));
    }
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    work.run(&["branch", "old", "HEAD~3"]);
    for remote in ["stock", "directory", "hosted"] {
        work.run(&["push", "-q", "--mirror", &world.url(remote)]);
    }
    work
}

fn request(command: &str, arguments: &[String]) -> Vec<u8> {
    let mut lines = vec![text(format!("command={command}")), Line::Delim];
    lines.extend(arguments.iter().map(|argument| text(argument.clone())));
    lines.push(Line::Flush);
    encode(&lines)
}

/// The lines before the pack; those of `shallow-info` come in any order.
fn told(answer: &[u8]) -> Vec<String> {
    let mut lines = decode(answer);
    for run in lines.chunk_by_mut(|a, b| a.starts_with("shallow ") && b.starts_with("shallow ")) {
        run.sort();
    }
    lines
}

/// Asserts that all servers answer the same before the pack, and returns that.
fn same(world: &World, command: &str, arguments: &[String]) -> Vec<String> {
    let body = request(command, arguments);
    let program = ["upload-pack", "--stateless-rpc"];
    let expected = told(&gits(world, "stock", &program, 2, &body));
    for remote in OURS {
        let path = format!("{remote}.git/git-upload-pack");
        let answer = told(&ours(world, &path, 2, Some(&body)));
        assert_eq!(answer, expected, "{remote} {arguments:?}");
    }
    expected
}

#[test]
fn sections_are_gits() {
    let world = World::new();
    let work = published(&world);
    world.bare("stock").configure(&[REF_IN_WANT]);
    let [tip, older, root] = ["main", "main~2", "main~4"].map(|rev| work.run(&["rev-parse", rev]));
    let want = format!("want {tip}");
    let none = "2".repeat(40);
    for arguments in [
        vec![want.clone(), "deepen 1".into()],
        vec![want.clone(), "deepen 2".into(), format!("shallow {tip}")],
        vec![
            want.clone(),
            "deepen 2147483647".into(),
            format!("shallow {older}"),
        ],
        vec![
            want.clone(),
            "deepen 1".into(),
            "deepen-relative".into(),
            format!("shallow {older}"),
        ],
        vec![want.clone(), "deepen-not old".into()],
        vec![want.clone(), "deepen-not refs/heads/old".into()],
        vec![
            want.clone(),
            "deepen-since 1".into(),
            format!("shallow {older}"),
        ],
        vec![
            want.clone(),
            format!("shallow {older}"),
            format!("shallow {none}"),
        ],
        vec![want.clone(), "deepen 3".into(), "filter blob:none".into()],
        vec!["want-ref refs/heads/main".into(), "want-ref HEAD".into()],
        vec!["want-ref refs/tags/v1".into()],
        vec![want.clone(), "deepen 0x2".into()],
        vec![
            want.clone(),
            format!("have {older}"),
            format!("have {none}"),
            "wait-for-done".into(),
        ],
    ] {
        let mut arguments = arguments;
        if !arguments.contains(&"wait-for-done".to_owned()) {
            arguments.push("done".to_owned());
        }
        let answer = same(&world, "fetch", &arguments);
        assert!(!answer.is_empty(), "{arguments:?}");
    }
    // Without `done`, acknowledgments and the other sections in one answer.
    let have = format!("have {root}");
    same(
        &world,
        "fetch",
        &[want.clone(), have.clone(), "deepen 2".into()],
    );
    same(&world, "fetch", &["want-ref HEAD".into(), have.clone()]);
    // All of them stand in the order of the protocol.
    let arguments = ["want-ref HEAD".to_owned(), have, "deepen 1".into()];
    let body = request("fetch", &arguments);
    for remote in OURS {
        let path = format!("{remote}.git/git-upload-pack");
        let answer = decode(&ours(&world, &path, 2, Some(&body)));
        let expected = [
            "acknowledgments\n".to_owned(),
            format!("ACK {root}\n"),
            "ready\n".to_owned(),
            "Delim".to_owned(),
            "shallow-info\n".to_owned(),
            format!("shallow {tip}"),
            "Delim".to_owned(),
            "wanted-refs\n".to_owned(),
            format!("{tip} HEAD\n"),
            "Delim".to_owned(),
            "packfile\n".to_owned(),
        ];
        assert_eq!(answer, expected);
    }
}

#[test]
fn sizes_are_told_without_the_objects() {
    let world = World::new();
    let work = published(&world);
    let [commit, blob, tag] = ["main", "main:a", "v1"].map(|rev| work.run(&["rev-parse", rev]));
    let none = "3".repeat(40);
    let oids = [&commit, &blob, &none, &tag].map(|id| format!("oid {id}"));
    let mut arguments = oids.to_vec();
    arguments.insert(1, "size".to_owned());
    let lines = same(&world, "object-info", &arguments);
    assert_eq!(lines.len(), oids.len() + 2);
    // Git 2.39 forgets to begin with no size wanted, and tells some all the same.
    let body = request("object-info", &oids);
    let answer = decode(&ours(&world, "hosted.git/git-upload-pack", 2, Some(&body)));
    assert_eq!(answer, [commit, blob, none, tag, "Flush".to_owned()]);
    same(&world, "object-info", &[]);
    same(&world, "object-info", &["size".to_owned()]);
    for bad in ["oid x", "what"] {
        let body = request("object-info", &[bad.to_owned()]);
        let program = ["upload-pack", "--stateless-rpc"];
        let told = decode(&gits(&world, "stock", &program, 2, &body));
        let expected = told.iter().find(|line| line.starts_with("ERR ")).unwrap();
        let path = "hosted.git/git-upload-pack";
        let answer = decode(&ours(&world, path, 2, Some(&body)));
        assert_eq!(answer[0], expected.trim_end());
    }
}

#[test]
fn what_cannot_be_had_is_refused_in_gits_words() {
    let world = World::new();
    let work = published(&world);
    world.offer(FetchOptions {
        hidden: HiddenRefs::new(["refs/heads/old"]),
        ..FetchOptions::default()
    });
    let blob = work.run(&["rev-parse", "main:a"]);
    let want = format!("want {}", work.run(&["rev-parse", "main"]));
    for (lines, expected) in [
        (vec!["deepen 0"], "upload-pack: Invalid deepen: deepen 0"),
        (vec!["deepen x"], "upload-pack: Invalid deepen: deepen x"),
        (vec!["deepen -1"], "upload-pack: Invalid deepen: deepen -1"),
        (
            vec!["deepen-since x"],
            "upload-pack: Invalid deepen-since: deepen-since x",
        ),
        (
            vec!["deepen-not none"],
            "upload-pack: ambiguous deepen-not: deepen-not none",
        ),
        (
            vec!["deepen-not old"],
            "upload-pack: ambiguous deepen-not: deepen-not old",
        ),
        (
            vec!["shallow x"],
            "upload-pack: invalid shallow line: shallow x",
        ),
        (
            vec!["deepen 1", "deepen-since 1"],
            "upload-pack: deepen and deepen-since (or deepen-not) cannot be used together",
        ),
        (
            vec!["deepen-since 9999999999", "done"],
            "upload-pack: no commits selected for shallow requests",
        ),
        (vec!["filter foo"], "upload-pack: invalid filter-spec 'foo'"),
        (
            vec!["filter tree:0", "filter tree:0"],
            "upload-pack: multiple filter-specs cannot be combined",
        ),
        (
            vec!["filter sparse:oid=x"],
            "filter 'sparse:oid' not supported",
        ),
        (
            vec!["want-ref refs/heads/none"],
            "unknown ref refs/heads/none",
        ),
        (
            vec!["want-ref refs/heads/old"],
            "unknown ref refs/heads/old",
        ),
        (
            vec!["packfile-uris https"],
            "upload-pack: unexpected line: 'packfile-uris https'",
        ),
        (
            vec!["sideband-all"],
            "upload-pack: unexpected line: 'sideband-all'",
        ),
    ] {
        let mut arguments = vec![want.clone()];
        arguments.extend(lines.iter().map(|line| (*line).to_owned()));
        let body = request("fetch", &arguments);
        for remote in OURS {
            let path = format!("{remote}.git/git-upload-pack");
            let answer = decode(&ours(&world, &path, 2, Some(&body)));
            assert_eq!(answer.last().unwrap(), &format!("ERR {expected}"));
        }
    }
    let body = request("fetch", &[want, format!("shallow {blob}")]);
    let answer = decode(&ours(&world, "hosted.git/git-upload-pack", 2, Some(&body)));
    let expected = format!("ERR upload-pack: invalid shallow object {blob}");
    assert_eq!(answer, [expected]);
}

#[test]
fn everything_goes_in_bands_for_who_asks_for_it() {
    let world = World::new();
    let work = published(&world);
    let offered = FetchOptions {
        sideband_all: true,
        session_id: Some("exchange-1".to_owned()),
        ..FetchOptions::default()
    };
    world.offer(offered);
    for remote in OURS {
        let path = format!("{remote}.git/info/refs?service=git-upload-pack");
        let lines = decode(&ours(&world, &path, 2, None));
        let fetch = "fetch=shallow wait-for-done filter ref-in-want sideband-all\n";
        assert!(lines.iter().any(|line| line == fetch), "{lines:?}");
        assert!(lines.iter().any(|line| line == "session-id=exchange-1\n"));
        // Real clients use it where it is offered.
        let name = format!("banded-{remote}");
        let url = world.url(remote);
        let args = [
            "-c",
            "transfer.advertiseSID=true",
            "clone",
            "-q",
            "--depth=2",
        ];
        world
            .root()
            .run(&[&args[..], &[url.as_str(), name.as_str()]].concat());
        let git = Git::at(world.path(&name));
        git.run(&["fetch", "-q", "--deepen=1"]);
        git.run(&["fetch", "-q", "--unshallow"]);
        git.fsck();
        assert_eq!(
            git.run(&["rev-parse", "HEAD"]),
            work.run(&["rev-parse", "main"])
        );
        let outcome = git.try_run(&["fetch", "origin", &"4".repeat(40)]);
        assert!(
            outcome.stderr.contains("not our ref 444"),
            "{}",
            outcome.stderr
        );
    }
    let path = "hosted.git/info/refs?service=git-upload-pack";
    let lines = decode(&ours(&world, path, 0, None));
    assert!(lines[2].contains(" filter session-id=exchange-1 object-format"));
}
