//! Revisions with steps: what they name is what `git rev-parse` says they name.

use std::time::{Duration, Instant};

use packhouse_object::ObjectId;
use packhouse_repo::directory::{DirectoryOptions, open};
use packhouse_repo::{Namespace, Repository, View};
use packhouse_testkit::history::{self, HistoryOptions};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::bare::{empty, main_branch};
use crate::plain_git::{git, id, new_commit, try_git};

fn view_of(repository: &Repository) -> std::sync::Arc<View> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(repository.view()).unwrap()
}

fn resolved(view: &View, rev: &str) -> Option<ObjectId> {
    let found = view.resolve(rev, Namespace::Default).unwrap();
    found.map(|found| found.id)
}

#[test]
fn steps_lead_where_git_goes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let options = HistoryOptions {
        commits: 120,
        ..HistoryOptions::small(77)
    };
    history::create(path, &options).unwrap();
    let view = view_of(&open(path, DirectoryOptions::default()).unwrap());

    let mut names: Vec<String> = git(path, &["for-each-ref", "--format=%(refname)"])
        .lines()
        .flat_map(|name| [name.to_owned(), name.replacen("refs/heads/", "", 1)])
        .collect();
    let merges = git(path, &["rev-list", "--all", "--min-parents=2"]);
    assert!(merges.lines().count() > 3, "the history has merges");
    names.extend(
        merges
            .lines()
            .flat_map(|id| [id.to_owned(), id[..12].to_owned()]),
    );
    names.extend(["HEAD", "@", "nothing", ""].map(str::to_owned));

    let step = prop_oneof![
        4 => "~[0-4]?",
        4 => "\\^[0-3]?",
        1 => "~[0-9]{1,12}",
        2 => "\\^\\{(commit|)\\}",
        1 => "[~^]x|\\^\\{nothing\\}|x",
    ];
    let revs = (
        proptest::sample::select(names),
        proptest::collection::vec(step, 0..5),
    );
    let mut found = 0;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..400 {
        let (name, steps) = revs.new_tree(&mut runner).unwrap().current();
        let rev = format!("{name}{}", steps.concat());
        let commit = format!("{rev}^{{commit}}");
        let by_git = try_git(path, &["rev-parse", "-q", "--verify", &commit]);
        let expected = by_git
            .status
            .success()
            .then(|| id(String::from_utf8(by_git.stdout).unwrap().trim_end()));
        found += usize::from(expected.is_some());
        assert_eq!(resolved(&view, &rev), expected, "{rev}");
    }
    assert!((100..350).contains(&found), "{found} of 400 name something");
}

#[test]
fn a_step_too_far_ends_soon_and_names_nothing() {
    let (_folder, path, repository) = empty();
    let mut stream = String::new();
    for at in 0..100_002 {
        stream.push_str(&format!(
            "commit refs/heads/main\nmark :{}\ncommitter A <a@b> {at} +0000\ndata 0\n",
            at + 1
        ));
    }
    git_with(&path, &["fast-import", "--quiet"], stream.as_bytes());
    let view = view_of(&repository);
    let since = Instant::now();
    assert!(resolved(&view, "main~100000").is_some());
    for rev in [
        "main~100001",
        "main~99999~2",
        "main~999999999",
        "main~4294967295",
    ] {
        assert_eq!(resolved(&view, rev), None, "{rev}");
    }
    assert_eq!(
        resolved(&view, &format!("main{}", "^".repeat(200_000))),
        None
    );
    assert!(since.elapsed() < Duration::from_secs(60));
    assert_eq!(view.head(), &main_branch());
    let (unknown, _) = new_commit(&[], "nowhere");
    assert_eq!(resolved(&view, &format!("{unknown}~1")), None);
}

fn git_with(folder: &std::path::Path, arguments: &[&str], input: &[u8]) {
    use std::io::Write;
    let mut child = std::process::Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", "/nonexistent")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    assert!(child.wait().unwrap().success());
}
