//! Shallow clones and their later life, in every protocol version, against git's own server.

use crate::backends::{OURS, World};
use crate::git::{Git, init, init_bare};
use crate::history::{History, Random};

const VERSIONS: [u8; 3] = [0, 1, 2];

/// A working copy whose history has a merge in it, pushed everywhere.
///
/// ```text
/// 1 - 2 - 3 - 4 - M - 6   main
///      \- a - b - /       side (b)     v1 at 3, old at 1
/// ```
fn published(world: &World) -> Git {
    let work = init(&world.path("work"));
    let commit = |name: &str, seconds: i64| {
        std::fs::write(work.dir.join(name), format!("{name}\n").repeat(20)).unwrap();
        work.run(&["add", name]);
        let date = format!("--date=@{seconds} +0000");
        work.run(&["commit", "-q", "-m", name, &date]);
    };
    commit("1", 1);
    work.run(&["branch", "old"]);
    commit("2", 2);
    work.run(&["checkout", "-q", "-b", "side"]);
    commit("a", 3);
    commit("b", 4);
    work.run(&["checkout", "-q", "main"]);
    commit("3", 5);
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    commit("4", 6);
    work.run(&["merge", "-q", "-m", "M", "side"]);
    commit("6", 8);
    for remote in ["stock", "directory", "hosted"] {
        work.run(&["push", "-q", "--mirror", &world.url(remote)]);
    }
    work
}

/// All that can be said of a clone, but for where it is.
fn state(git: &Git) -> (String, Vec<String>, Vec<String>) {
    git.fsck();
    (git.refs(), git.shallow(), git.objects())
}

#[test]
fn shallow_clones_are_those_of_git() {
    let world = World::new();
    published(&world);
    for version in VERSIONS {
        for (number, args) in [
            &["--depth=1"][..],
            &["--depth=2", "--no-single-branch"],
            &["--depth=3", "--mirror"],
            &["--depth=2", "--branch=v1"],
            &["--depth=100"],
            &["--shallow-exclude=v1"],
            &["--shallow-exclude=old", "--no-single-branch"],
            &["--shallow-exclude=refs/heads/side", "--no-tags"],
        ]
        .into_iter()
        .enumerate()
        {
            // One of the versions each, but for the first.
            if number > 0 && number % 3 != usize::from(version) {
                continue;
            }
            let clone = |remote: &str| {
                let name = format!("clone-{remote}-{version}-{number}");
                let url = world.url(remote);
                let all = [&["clone", "-q"], args, &[url.as_str(), name.as_str()]].concat();
                world.root().speaking(version).run(&all);
                state(&Git::at(world.path(&name)))
            };
            let expected = clone("stock");
            assert_eq!(expected.1.is_empty(), args == ["--depth=100"], "{args:?}");
            for remote in OURS {
                assert_eq!(clone(remote), expected, "{remote} {version} {args:?}");
            }
        }
    }
}

#[test]
fn history_is_deepened_step_by_step_as_by_git() {
    let world = World::new();
    let work = published(&world);
    for version in VERSIONS {
        let clones = ["stock", "directory", "hosted"].map(|remote| {
            let name = format!("deepened-{remote}-{version}");
            let url = world.url(remote);
            let args = [
                "clone",
                "-q",
                "--depth=1",
                "--no-single-branch",
                &url,
                &name,
            ];
            world.root().speaking(version).run(&args);
            Git::at(world.path(&name)).speaking(version)
        });
        for args in [
            &["--deepen=1"][..],
            &["--depth=2"],
            &["--shallow-exclude=old"],
            &["--deepen=1", "--tags"],
            &["--depth=1"],
            &["--unshallow"],
        ] {
            let states = clones.each_ref().map(|git| {
                let all = [&["fetch", "-q"], args].concat();
                git.run(&all);
                git.fsck();
                let reached = git.run(&["rev-list", "--all", "--objects"]);
                (git.refs(), git.shallow(), reached)
            });
            assert_eq!(states[1], states[0], "{version} {args:?}");
            assert_eq!(states[2], states[0], "{version} {args:?}");
        }
        for git in &clones {
            assert!(git.shallow().is_empty());
            let count = git.run(&["rev-list", "--count", "origin/main"]);
            assert_eq!(count, work.run(&["rev-list", "--count", "main"]));
        }
    }
}

#[test]
fn a_shallow_clone_gets_what_is_new_and_little_else() {
    let world = World::new();
    let work = published(&world);
    for version in VERSIONS {
        let clones = OURS.map(|remote| {
            let name = format!("news-{remote}-{version}");
            let url = world.url(remote);
            let args = ["clone", "-q", "--depth=1", &url, &name];
            world.root().speaking(version).run(&args);
            Git::at(world.path(&name)).speaking(version)
        });
        work.commit_file("news", &format!("for {version}\n"));
        for (remote, git) in OURS.iter().zip(&clones) {
            work.run(&["push", "-q", &world.url(remote), "main"]);
            let outcome = git.try_run(&["fetch", "--progress"]);
            assert!(outcome.ok, "{}", outcome.stderr);
            // A commit, its tree, its file: nothing of what was cut off.
            assert!(
                outcome.stderr.contains("remote: Total 3 (delta "),
                "{remote} {version}: {}",
                outcome.stderr
            );
            // To deepen costs a commit, and a tree or two: not the files again.
            let before = git.objects().len();
            git.run(&["fetch", "-q", "--deepen=1"]);
            assert!(git.objects().len() <= before + 6, "{remote} {version}");
            git.fsck();
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_both() {
    let world = World::new();
    published(&world);
    for version in VERSIONS {
        for args in [
            &["--shallow-since=2100-01-01"][..],
            &["--shallow-exclude=nothing"],
            &["--shallow-exclude=main"],
        ] {
            for remote in ["stock", "directory", "hosted"] {
                let url = world.url(remote);
                let all = [&["clone"], args, &[url.as_str(), "refused"]].concat();
                let outcome = world.root().speaking(version).try_run(&all);
                assert!(!outcome.ok, "{remote} {version} {args:?}");
            }
        }
    }
    let outcome = world.root().try_run(&[
        "clone",
        "--shallow-exclude=nothing",
        &world.url("hosted"),
        "refused",
    ]);
    let words = "upload-pack: ambiguous deepen-not: deepen-not nothing";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
}

#[test]
fn a_repository_that_is_shallow_itself_is_served_as_by_git() {
    let world = World::new();
    published(&world);
    let source = format!("file://{}", world.bare("stock").dir.display());
    let args = ["clone", "-q", "--mirror", "--depth=3", &source, "cut.git"];
    world.root().run(&args);
    let urls = world.serve_both("cut");
    for version in VERSIONS {
        for (number, args) in [
            &[][..],
            &["--mirror"],
            &["--depth=1"],
            &["--depth=2", "--no-single-branch"],
            &["--depth=50"],
            &["--shallow-exclude=old"],
        ]
        .into_iter()
        .enumerate()
        {
            let [ours, gits] = [0, 1].map(|of| {
                let name = format!("of-cut-{of}-{version}-{number}");
                let all = [&["clone", "-q"], args, &[urls[of].as_str(), name.as_str()]].concat();
                let outcome = world.root().speaking(version).try_run(&all);
                let git = Git::at(world.path(&name)).speaking(version);
                (outcome.ok, outcome.ok.then(|| state(&git)))
            });
            assert_eq!(ours, gits, "{version} {args:?}");
        }
        // A whole clone, too, learns of the boundary where it fetches from such a repository.
        let [ours, gits] = [0, 1].map(|of| {
            let git = init_bare(&world.path(&format!("into-{of}-{version}"))).speaking(version);
            let refspec = "+refs/heads/*:refs/remotes/x/*";
            git.run(&["fetch", "-q", "--update-shallow", &urls[of], refspec]);
            let once = state(&git);
            git.run(&["fetch", "-q", "--depth=1", &urls[of], refspec]);
            git.run(&["fetch", "-q", "--unshallow", &urls[of], refspec]);
            (once, state(&git))
        });
        assert_eq!(ours, gits, "{version}");
    }
}

/// One client of one server.
struct Client {
    remote: &'static str,
    git: Git,
    random: Random,
}

/// The same fetch for every client whose `random` is in the same state.
fn random_fetch(client: &mut Client, url: &str, branches: &[String], times: &[String]) -> bool {
    let random = &mut client.random;
    let mut args: Vec<String> = ["fetch", "-q", "--force"].map(str::to_owned).to_vec();
    match random.below(10) {
        0..3 => args.push(format!("--depth={}", random.below(6) + 1)),
        3..5 => args.push(format!("--deepen={}", random.below(4) + 1)),
        5 => args.push(format!("--shallow-since=@{}", random.pick(times))),
        6 => args.push(format!("--shallow-exclude={}", random.pick(branches))),
        7 => args.push("--unshallow".into()),
        _ => {}
    }
    match random.below(4) {
        0 => args.push("--no-tags".into()),
        1 => args.push("--tags".into()),
        _ => {}
    }
    if random.once_in(3) {
        args.splice(0..0, ["-c".to_owned(), "fetch.unpackLimit=1".to_owned()]);
    }
    args.push(url.to_owned());
    for _ in 0..random.below(3) + 1 {
        let branch = random.pick(branches);
        args.push(format!("+refs/heads/{branch}:refs/remotes/x/{branch}"));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    client.git.try_run(&args).ok
}

fn run(seed: u64) {
    let world = World::new();
    let mut history = History::new(init_bare(&world.path("seed.git")), seed);
    let remotes: Vec<&str> = ["stock"].into_iter().chain(OURS).collect();
    let mut clients = Vec::new();
    for version in VERSIONS {
        for remote in ["stock"].into_iter().chain(OURS) {
            let name = format!("client-{remote}-{version}");
            clients.push(Client {
                remote,
                git: init_bare(&world.path(&name)).speaking(version),
                random: Random::new(seed * 57 + u64::from(version)),
            });
        }
    }
    for stage in 0..5 {
        let count = history.random.below(20) + 5;
        history.grow(count);
        history.move_refs(8);
        for remote in &remotes {
            history
                .git
                .run(&["push", "-q", "--mirror", &world.url(remote)]);
        }
        let lines = |args: &[&str]| -> Vec<String> {
            let text = history.git.run(args);
            text.lines().map(str::to_owned).collect()
        };
        let branches = lines(&["for-each-ref", "--format=%(refname:strip=2)", "refs/heads/"]);
        let times = lines(&["log", "--all", "--format=%ct"]);
        for trio in clients.chunks_mut(3) {
            let results: Vec<_> = trio
                .iter_mut()
                .map(|client| {
                    let url = world.url(client.remote);
                    let ok = random_fetch(client, &url, &branches, &times);
                    client.git.fsck();
                    let list = ["rev-list", "--objects", "--all", "--no-object-names"];
                    let mut reached: Vec<_> =
                        client.git.run(&list).lines().map(str::to_owned).collect();
                    reached.sort();
                    (ok, client.git.refs(), client.git.shallow(), reached)
                })
                .collect();
            for (client, result) in trio[1..].iter().zip(&results[1..]) {
                let of = client.remote;
                assert_eq!(result, &results[0], "seed {seed} stage {stage} {of}");
            }
        }
    }
}

#[test]
fn random_shallow_fetches_bring_what_git_brings() {
    (1..3).for_each(run);
}
