//! Partial clones: what is left out, and what is fetched later, against git's own programs.

use std::collections::BTreeSet;

use packhouse_wire::{FetchOptions, FilterRules};

use crate::backends::{OURS, World};
use crate::git::{Git, init, init_bare};
use crate::history::History;

const VERSIONS: [u8; 3] = [0, 1, 2];

/// A random history, published everywhere.
fn publish(seed: u64) -> (World, History) {
    let world = World::new();
    let mut history = History::new(init_bare(&world.path("seed.git")), seed);
    history.grow(50);
    history.move_refs(25);
    for remote in ["directory", "hosted", "stock"] {
        let url = world.url(remote);
        history.git.run(&["push", "-q", "--mirror", &url]);
    }
    (world, history)
}

/// The objects that `git rev-list` finds with a filter.
fn listed(git: &Git, filter: &str) -> BTreeSet<String> {
    let filter = format!("--filter={filter}");
    let args = [
        "rev-list",
        "--objects",
        "--all",
        "--no-object-names",
        &filter,
    ];
    git.run(&args).lines().map(str::to_owned).collect()
}

fn held(git: &Git) -> BTreeSet<String> {
    let objects = git.objects().into_iter();
    objects.map(|line| line[..40].to_owned()).collect()
}

fn clone(world: &World, remote: &str, version: u8, name: &str, args: &[&str]) -> Git {
    let url = world.url(remote);
    let name = format!("{name}-{remote}-{version}");
    let all = [&["clone", "-q"], args, &[url.as_str(), name.as_str()]].concat();
    world.root().speaking(version).run(&all);
    Git::at(world.path(&name)).speaking(version)
}

#[test]
fn every_filter_leaves_out_what_it_does_in_git() {
    let (world, history) = publish(21);
    let simple = [
        "blob:none",
        "blob:limit=0",
        "blob:limit=200",
        "blob:limit=1k",
        "tree:0",
        "tree:1",
        "tree:2",
        "tree:3",
        "object:type=commit",
        "object:type=tree",
        "object:type=blob",
        "object:type=tag",
    ];
    for (number, filter) in simple.into_iter().enumerate() {
        let expected = listed(&history.git, filter);
        for version in VERSIONS {
            // One of the versions each, but for the first.
            if number > 0 && number % 3 != usize::from(version) {
                continue;
            }
            let argument = format!("--filter={filter}");
            for remote in OURS {
                let name = format!("filtered-{number}");
                let args = ["--mirror", &argument];
                let git = clone(&world, remote, version, &name, &args);
                assert_eq!(held(&git), expected, "{remote} {version} {filter}");
                git.fsck();
                assert_eq!(git.run(&["config", "remote.origin.promisor"]), "true");
            }
        }
    }
    let combined: [&[&str]; 4] = [
        &["blob:limit=1k", "tree:2"],
        &["object:type=blob", "tree:3"],
        &["object:type=blob", "blob:limit=500"],
        &["tree:3", "tree:2", "blob:none"],
    ];
    for (number, parts) in combined.into_iter().enumerate() {
        // What passes all of them; git's own answer depends on where it meets an object first.
        let expected = parts
            .iter()
            .map(|part| listed(&history.git, part))
            .reduce(|a, b| &a & &b)
            .unwrap();
        let argument = format!("--filter=combine:{}", parts.join("+"));
        let version = VERSIONS[number % 3];
        for remote in OURS {
            let name = format!("combined-{number}");
            let args = ["--mirror", &argument];
            let git = clone(&world, remote, version, &name, &args);
            assert_eq!(held(&git), expected, "{remote} {version} {parts:?}");
        }
    }
}

#[test]
fn what_is_missing_is_fetched_when_it_is_needed() {
    let world = World::new();
    let work = init(&world.path("work"));
    std::fs::create_dir_all(work.dir.join("src/deep")).unwrap();
    for round in 0..3 {
        for name in ["a", "src/b", "src/deep/c"] {
            work.commit_file(name, &format!("{name} {round}\n").repeat(50));
        }
    }
    work.run(&["tag", "-a", "-m", "note", "v1", "HEAD~2"]);
    for remote in ["stock", "directory", "hosted"] {
        work.run(&["push", "-q", "--mirror", &world.url(remote)]);
    }
    for version in VERSIONS {
        for (number, args) in [
            &["--filter=blob:none"][..],
            &["--filter=tree:0"],
            &["--filter=tree:1", "--depth=2"],
            &["--filter=blob:limit=10", "--depth=1"],
        ]
        .into_iter()
        .enumerate()
        {
            // One of the versions each, but for the first.
            if number > 0 && number % 3 != usize::from(version) {
                continue;
            }
            let expected = clone(&world, "stock", version, &format!("lazy-{number}"), args);
            for remote in OURS {
                let git = clone(&world, remote, version, &format!("lazy-{number}"), args);
                // The checkout has fetched its files, and only these.
                assert_eq!(held(&git), held(&expected), "{remote} {version} {args:?}");
                assert_eq!(git.shallow(), expected.shallow());
                assert_eq!(git.run(&["status", "--porcelain"]), "");
                git.fsck();
                if number < 2 {
                    // Older versions come one by one.
                    git.run(&["checkout", "-q", "v1"]);
                    let log = git.run(&["log", "-p", "--format=%H", "main"]);
                    assert_eq!(log, work.run(&["log", "-p", "--format=%H", "main"]));
                    git.run(&["rev-list", "--objects", "--all"]);
                    git.fsck();
                }
            }
        }
    }
}

#[test]
fn a_partial_clone_is_kept_up_to_date() {
    let (world, mut history) = publish(22);
    for (number, filter) in ["blob:none", "tree:1", "blob:limit=300"]
        .into_iter()
        .enumerate()
    {
        let argument = format!("--filter={filter}");
        let version = VERSIONS[number];
        let clones = OURS.map(|remote| {
            let args = ["--mirror", argument.as_str()];
            clone(&world, remote, version, &format!("kept-{number}"), &args)
        });
        history.grow(15);
        history.move_refs(12);
        for (remote, git) in OURS.iter().zip(&clones) {
            let url = world.url(remote);
            history.git.run(&["push", "-q", "--mirror", &url]);
            git.run(&["fetch", "-q", "--prune", "--force"]);
            assert_eq!(git.refs(), history.git.refs(), "{remote} {filter}");
            git.fsck();
            // Commits and what the filter lets pass are there without asking again.
            let args = ["rev-list", "--objects", "--all", "--missing=print"];
            let text = git.run(&args);
            let missing: BTreeSet<String> = text
                .lines()
                .filter_map(|line| Some(line.strip_prefix('?')?.to_owned()))
                .collect();
            let allowed = listed(&history.git, filter);
            assert!(missing.is_disjoint(&allowed), "{remote} {filter}");
            assert!(!missing.is_empty());
        }
    }
}

#[test]
fn a_filter_that_is_not_allowed_is_refused_in_gits_words() {
    let (world, _) = publish(23);
    let rules = FilterRules {
        allowed: [("blob:none".to_owned(), false)].into(),
        tree_max_depth: Some(1),
        ..FilterRules::default()
    };
    world.offer(FetchOptions {
        filter: rules,
        ..FetchOptions::default()
    });
    world.bare("stock").configure(&[
        ("uploadpackfilter.blob:none.allow", "false"),
        ("uploadpackfilter.tree.maxDepth", "1"),
    ]);
    for version in VERSIONS {
        for filter in [
            "blob:none",
            "tree:2",
            "combine:tree:1+blob:none",
            "combine:tree:5+blob:limit=3",
        ] {
            let message = |remote: &str| {
                let args = [
                    "clone",
                    "--bare",
                    &format!("--filter={filter}"),
                    &world.url(remote),
                    "refused",
                ];
                let outcome = world.root().speaking(version).try_run(&args);
                assert!(!outcome.ok, "{remote} {filter}");
                let mut lines = outcome.stderr.lines().map(str::trim_end);
                let line = lines.find(|line| line.contains("remote error"));
                line.map(str::to_owned)
            };
            let expected = message("stock");
            assert!(expected.is_some(), "{filter}");
            for remote in OURS {
                assert_eq!(message(remote), expected, "{remote} {version}");
            }
        }
        let outcome = world.root().speaking(version).try_run(&[
            "clone",
            "--bare",
            "--filter=sparse:oid=main:x",
            &world.url("hosted"),
            "refused",
        ]);
        let words = "remote error: filter 'sparse:oid' not supported";
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}
