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
