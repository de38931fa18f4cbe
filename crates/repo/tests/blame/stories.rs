//! What single histories come to, and what is refused.

use std::time::Instant;

use packhouse_object::RepoPath;
use packhouse_repo::{BlameError, BlameQuery, RangeError, blame};

use super::world::{Files, World};
use crate::merge::world::database;

fn file(path: &str, text: &str) -> Files {
    Files::from([(path.to_owned(), ("100644", text.as_bytes().to_vec()))])
}

#[test]
fn a_line_keeps_its_commit_through_a_rename_and_a_merge() {
    let mut world = World::new();
    let text = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let body = [
        "one", "two", "three", "four", "five", "six", "seven", "eight",
    ];
    let first = world.commit(&file("old", &text(&body)), &[], 100);
    let renamed = world.commit(&file("new", &text(&body)), &[first], 200);
    let ours = world.commit(
        &file("new", &text(&[&["zero"], &body[..]].concat())),
        &[renamed],
        300,
    );
    let theirs = world.commit(
        &file("new", &text(&[&body[..], &["nine"]].concat())),
        &[renamed],
        400,
    );
    let both = text(&[&["zero"], &body[..], &["nine"]].concat());
    let merge = world.commit(&file("new", &both), &[ours, theirs], 500);
    world.flush();
    let lines = world.lines(merge, "new", &[], false);
    let ids: Vec<_> = [first, ours, theirs]
        .map(|commit| world.tip(commit).to_string())
        .into();
    assert_eq!((&lines[0].1, lines[0].2), (&ids[1], 1));
    assert_eq!(
        (&lines[1].1, lines[1].2, lines[1].3.as_str()),
        (&ids[0], 1, "old")
    );
    assert_eq!((&lines[9].1, lines[9].2), (&ids[2], 9));
    assert!(lines[1].5 && !lines[0].5);
    assert_eq!(lines[9].4, Some(format!("{} new", world.tip(renamed))));
    assert_eq!(lines, world.git_lines(merge, "new", &[], false).unwrap());
}

#[test]
fn what_has_no_lines_is_refused_or_empty() {
    let mut world = World::new();
    let mut files = file("dir/empty", "");
    files.insert("big".to_owned(), ("100644", vec![b'x'; (64 << 20) + 1]));
    let tip = world.commit(&files, &[], 100);
    world.flush();
    let refused = |path| world.blame(tip, path, &[], false).unwrap_err();
    assert!(matches!(refused("nothing"), BlameError::Missing { .. }));
    assert!(matches!(refused("dir/empty/x"), BlameError::Missing { .. }));
    assert!(matches!(refused("dir"), BlameError::NotAFile { .. }));
    assert!(matches!(refused("big"), BlameError::TooLong { .. }));
    let empty = world.blame(tip, "dir/empty", &[], true).unwrap();
    assert!(empty.groups.is_empty());
    let ranges = ["1".to_owned()];
    let error = world.blame(tip, "dir/empty", &ranges, false).unwrap_err();
    assert!(matches!(
        error,
        BlameError::Range(RangeError::TooFar { lines: 0, .. })
    ));
}

#[test]
fn blame_ends_when_nobody_wants_it_any_more() {
    let mut world = World::new();
    let mut tip = world.commit(&file("f", "0\n"), &[], 100);
    for number in 1..50 {
        tip = world.commit(&file("f", &format!("{number}\n0\n")), &[tip], 100 + number);
    }
    world.flush();
    let query = BlameQuery {
        tip: world.tip(tip),
        path: RepoPath::parse("f").unwrap(),
        ranges: Vec::new(),
        detect_moves: false,
    };
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 20
    };
    let stopped = blame(&database(world.folder.path()), &query, &stop);
    assert!(matches!(stopped, Err(BlameError::Stopped)));
    assert!(asked.get() < 25);
}

/// `cargo test -p packhouse-repo blame_cost -- --ignored --nocapture`: time beside that of `git blame`.
#[test]
#[ignore = "prints a measurement"]
#[allow(clippy::print_stdout)]
fn blame_cost() {
    let mut world = World::new();
    let mut lines: Vec<String> = (0..1500)
        .map(|n| format!("line number {n} of the first\n"))
        .collect();
    let mut files = Files::new();
    for other in 0..400 {
        files.insert(
            format!("src/part{}/file{other}", other % 20),
            ("100644", vec![b'x'; 100]),
        );
    }
    let (mut tip, mut random) = (None, 12345usize);
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for commit in 0..5000i64 {
        if commit % 5 == 0 {
            let at = next(lines.len());
            lines[at] = format!("changed in {commit}\n");
            let at = next(lines.len());
            lines.insert(at, format!("new in {commit}\n"));
        } else {
            let other = format!("src/part{}/file{}", next(20), next(400));
            files.insert(other, ("100644", format!("{commit}\n").into_bytes()));
        }
        files.insert(
            "src/part3/main".to_owned(),
            ("100644", lines.concat().into_bytes()),
        );
        let parents: Vec<usize> = tip.into_iter().collect();
        tip = Some(world.commit(&files, &parents, 1_600_000_000 + commit));
    }
    world.flush();
    let tip = tip.unwrap();
    crate::merge::world::git(world.folder.path(), &["repack", "-adq"], b"");
    for moves in [false, true] {
        let began = Instant::now();
        let expected = world.git_lines(tip, "src/part3/main", &[], moves).unwrap();
        let git = began.elapsed();
        let began = Instant::now();
        let found = world.lines(tip, "src/part3/main", &[], moves);
        println!("moves {moves}: git {git:?}, here {:?}", began.elapsed());
        assert_eq!(found, expected);
    }
}
