//! Walks over random histories, against `git rev-list` and `git merge-base`.

use packhouse_object::{CommitWalk, ObjectId, is_ancestor, merge_bases};
use packhouse_testkit::history::HistoryOptions;

use crate::git::Git;
use crate::repositories::{commits, database, ids, pick, random};

fn walked(walk: CommitWalk) -> Vec<ObjectId> {
    walk.map(|found| found.unwrap().0).collect()
}

fn rev_list(git: &Git, tips: &[ObjectId], hidden: &[ObjectId]) -> Vec<ObjectId> {
    let mut arguments = vec!["rev-list".to_owned()];
    arguments.extend(tips.iter().map(ObjectId::to_string));
    arguments.extend(hidden.iter().map(|id| format!("^{id}")));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ids(&git.run(&arguments))
}

#[test]
fn commits_come_in_the_order_of_rev_list() {
    for seed in 0..12 {
        let options = HistoryOptions {
            commits: 60,
            clocks_lie: seed % 2 == 0,
            ..HistoryOptions::small(seed)
        };
        let git = random(&options);
        let db = database(&git);
        let all = commits(&git);
        for place in 0..8 {
            let tips = [
                all[pick(seed, place, all.len())],
                all[pick(seed, place + 100, all.len())],
            ];
            let found = walked(CommitWalk::new(&db, tips));
            assert_eq!(
                found,
                rev_list(&git, &tips, &[]),
                "seed {seed}, tips {tips:?}"
            );
        }
    }
}

#[test]
fn hidden_commits_are_left_out_with_all_they_reach() {
    for seed in 0..12 {
        // Where clocks lie, Git itself may show what is hidden.
        let options = HistoryOptions {
            commits: 60,
            clocks_lie: false,
            ..HistoryOptions::small(seed)
        };
        let git = random(&options);
        let db = database(&git);
        let all = commits(&git);
        for place in 0..12 {
            let tips = [
                all[pick(seed, place, all.len())],
                all[pick(seed, place + 100, all.len())],
            ];
            let hidden = [
                all[pick(seed, place + 200, all.len())],
                all[pick(seed, place + 300, all.len())],
            ];
            let found = walked(CommitWalk::new(&db, tips).hide(hidden));
            assert_eq!(
                found,
                rev_list(&git, &tips, &hidden),
                "seed {seed}, {tips:?} without {hidden:?}"
            );
        }
    }
}

#[test]
fn a_tag_stands_for_its_commit() {
    let git = random(&HistoryOptions {
        commits: 80,
        ..HistoryOptions::small(3)
    });
    let db = database(&git);
    let tags = ids(&git.run(&["for-each-ref", "--format=%(objectname)", "refs/tags/v*"]));
    assert!(!tags.is_empty());
    for tag in tags {
        assert_eq!(
            walked(CommitWalk::new(&db, [tag])),
            rev_list(&git, &[tag], &[])
        );
    }
}

#[test]
fn merge_bases_and_ancestry_are_those_of_git() {
    let mut several = 0;
    for seed in 0..20 {
        let options = HistoryOptions {
            commits: 50,
            branches: 4,
            first_files: 1,
            changes: 1,
            clocks_lie: seed % 2 == 0,
            ..HistoryOptions::small(seed)
        };
        let git = random(&options);
        let db = database(&git);
        let all = commits(&git);
        for place in 0..15 {
            let a = all[pick(seed, place, all.len())];
            let b = all[pick(seed, place + 1000, all.len())];
            let (ok, output, _) = git.try_run(
                &["merge-base", "--all", &a.to_string(), &b.to_string()],
                b"",
            );
            let mut expected = if ok { ids(&output) } else { Vec::new() };
            expected.sort();
            let mut found = merge_bases(&db, a, b).unwrap();
            several += usize::from(found.len() > 1);
            found.sort();
            assert_eq!(found, expected, "seed {seed}: {a} {b}");
            let (ok, ..) = git.try_run(
                &[
                    "merge-base",
                    "--is-ancestor",
                    &a.to_string(),
                    &b.to_string(),
                ],
                b"",
            );
            assert_eq!(
                is_ancestor(&db, a, b).unwrap(),
                ok,
                "seed {seed}: {a} in {b}"
            );
        }
    }
    assert!(several > 3, "some merges cross");
}

/// Where a line of the committer is malformed, and commits end early. Git 2.41 and newer read some of them otherwise.
#[test]
fn times_of_malformed_lines_are_those_that_gits_walk_takes_them_for() {
    let git = random(&HistoryOptions::small(3));
    let tree = git.id("main^{tree}");
    let author = "author A <a@x> 5 +0000\n";
    let commits = [
        ("A <a@x> 123 +0000\n\nm\n", 123),
        ("A <a@x>124+0100\n\nm\n", 124),
        ("A <a@x> 125foo456 +0000\n\nm\n", 125),
        ("A <a@x> +126 +0000\n\nm\n", 126),
        ("A <a@x> \t\x0b\x0c\r 127 +0000\n\nm\n", 127),
        ("A <a@x> \u{a0}128 +0000\n\nm\n", 0),
        ("A <a@x> - 3 +0000\n\nm\n", 0),
        ("A <a@x> foo 129\n\nm\n", 0),
        // More than one bracket, as in names and addresses that no program should have written.
        ("A <a> b@x> 130 +0000\n\nm\n", 0),
        ("A> 7 <a@x> 131 +0000\n\nm\n", 7),
        ("A <a@x>> 132 +0000\n\nm\n", 0),
        // None, or nothing after it.
        ("A <a@x 133 +0000\n\nm\n", 0),
        ("A <a@x 133 +0000\n\n99 > 77\nm\n", 77),
        ("A <a@x 133 +0000\nencoding >78\n\nm\n", 78),
        ("A <a@x 133 +0000\n\n99 > 79\n", 0),
        ("A <a@x>\n\n55\n", 55),
        ("A <a@x>\nencoding 6\n\nm\n", 0),
        // The end comes too early.
        ("A <a@x> 134 +0000", 0),
        ("A <a@x> 135 +0000\n", 0),
        ("A <a@x> 136 +0000\n\n", 136),
    ]
    .map(|(rest, time)| (format!("{author}committer {rest}"), time));
    let without = [
        ("authorX\ncommitterY> 137\n\nm\n", 137),
        ("committer A <a@x> 138 +0000\n\nm\n", 0),
        (
            "author A <a@x> 5 +0000\nx y\ncommitter A <a@x> 139 +0000\n\nm\n",
            0,
        ),
        ("author A <a@x> 5 +0000\ncommitter", 0),
        ("author A <a@x> 5 +0000", 0),
    ]
    .map(|(text, time)| (text.to_owned(), time));
    let write = [
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--literally",
        "--stdin",
    ];
    let tips = commits.into_iter().chain(without).map(|(text, time)| {
        let data = format!("tree {tree}\n{text}");
        let id = ObjectId::from_hex(git.run_with(&write, data.as_bytes()).trim_ascii()).unwrap();
        (id, text, time)
    });
    let tips: Vec<(ObjectId, String, i64)> = tips.collect();
    let db = database(&git);
    // The one with two brackets.
    let reads_the_first = timestamp(&git, &tips[8].0) == 0;
    for (id, text, time) in &tips {
        assert_eq!(db.commit_links(*id).unwrap().2, *time, "{text:?}");
        if reads_the_first {
            assert_eq!(timestamp(&git, id), *time, "{text:?}");
        }
    }
    if reads_the_first {
        let ids: Vec<ObjectId> = tips.iter().map(|(id, ..)| *id).collect();
        let hidden = [git.id("main")];
        let found = walked(CommitWalk::new(&db, ids.clone()));
        assert_eq!(found, rev_list(&git, &ids, &[]));
        let found = walked(CommitWalk::new(&db, ids.clone()).hide(hidden));
        assert_eq!(found, rev_list(&git, &ids, &hidden));
    }
}

/// The time that a walk of `git` sorts a commit by.
fn timestamp(git: &Git, id: &ObjectId) -> i64 {
    let found = git.run(&["rev-list", "--timestamp", "--no-walk", &id.to_string()]);
    let text = std::str::from_utf8(&found).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
