//! Clones and fetches that a person would do, in every protocol version.

use crate::backends::{OURS, World};
use crate::git::{Git, init};

const VERSIONS: [u8; 3] = [0, 1, 2];

/// A small repository with tags of both kinds, pushed everywhere. Returns its working copy.
fn publish_sample(world: &World) -> Git {
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    work.run(&["tag", "light"]);
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    work.commit_file("a", "two\n");
    work.run(&["branch", "feature"]);
    work.run(&["tag", "-a", "-m", "of a tag", "v2", "v1"]);
    for remote in ["directory", "hosted", "stock"] {
        work.run(&["push", "-q", "--mirror", &world.url(remote)]);
    }
    work
}

fn clone(world: &World, remote: &str, version: u8, args: &[&str]) -> Git {
    let name = format!(
        "clone-{remote}-{version}-{}",
        args.join("").replace('/', "_")
    );
    let url = world.url(remote);
    let mut all = vec!["clone", "-q"];
    all.extend_from_slice(args);
    all.extend_from_slice(&[url.as_str(), name.as_str()]);
    world.root().speaking(version).run(&all);
    Git::at(world.path(&name)).speaking(version)
}

#[test]
fn a_clone_has_what_a_clone_of_git_has() {
    let world = World::new();
    let work = publish_sample(&world);
    for version in VERSIONS {
        for args in [
            &[][..],
            &["--mirror"],
            &["--no-tags"],
            &["--single-branch", "--branch", "feature"],
            &["--branch", "v1"],
            &["--filter=blob:none"],
        ] {
            let expected = clone(&world, "stock", version, args);
            for remote in OURS {
                let cloned = clone(&world, remote, version, args);
                cloned.fsck();
                assert_eq!(
                    cloned.refs(),
                    expected.refs(),
                    "{remote} {version} {args:?}"
                );
                assert_eq!(
                    cloned.objects(),
                    expected.objects(),
                    "{remote} {version} {args:?}"
                );
            }
        }
    }
    assert_eq!(world.bare("directory").refs(), work.refs());
    world.bare("directory").fsck();
}

#[test]
fn ls_remote_prints_what_it_prints_for_git() {
    let world = World::new();
    publish_sample(&world);
    let root = world.root();
    for version in VERSIONS {
        for args in [
            &[][..],
            &["--heads"],
            &["--tags"],
            &["--symref"],
            &["--refs"],
        ] {
            let list = |remote: &str| {
                let mut all = vec!["ls-remote"];
                all.extend_from_slice(args);
                let url = world.url(remote);
                all.push(&url);
                root.speaking(version).run(&all)
            };
            for remote in OURS {
                assert_eq!(list(remote), list("stock"), "{remote} {version} {args:?}");
            }
            let one = |remote: &str| {
                root.speaking(version)
                    .run(&["ls-remote", &world.url(remote), "feat*", "v1"])
            };
            assert_eq!(one("hosted"), one("stock"));
        }
    }
}

#[test]
fn an_empty_repository_is_cloned_with_its_default_branch() {
    let world = World::new();
    for version in VERSIONS {
        for remote in OURS {
            let name = format!("empty-{remote}-{version}");
            // The client's own default differs, so that the branch can only come from the server.
            let outcome = world.root().speaking(version).try_run(&[
                "-c",
                "init.defaultBranch=other",
                "clone",
                &world.url(remote),
                &name,
            ]);
            assert!(outcome.ok, "{}", outcome.stderr);
            assert!(
                outcome
                    .stderr
                    .contains("warning: You appear to have cloned an empty repository."),
                "{}",
                outcome.stderr
            );
            let head = Git::at(world.path(&name)).run(&["symbolic-ref", "HEAD"]);
            // Only version 2 can speak of a branch that does not exist.
            assert_eq!(
                head,
                if version == 2 {
                    "refs/heads/main"
                } else {
                    "refs/heads/other"
                },
                "{remote} {version}"
            );
        }
    }
}

#[test]
fn a_fetch_of_a_little_brings_little() {
    let world = World::new();
    let work = publish_sample(&world);
    for version in VERSIONS {
        let clones: Vec<_> = OURS
            .iter()
            .map(|remote| clone(&world, remote, version, &[]))
            .collect();
        work.commit_file("b", &format!("news for {version}\n"));
        for (remote, cloned) in OURS.iter().zip(clones) {
            work.run(&["push", "-q", &world.url(remote), "main"]);
            let outcome = cloned.try_run(&["fetch", "--progress"]);
            assert!(outcome.ok, "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains("remote: Total 3 (delta "),
                "{remote} {version}: {}",
                outcome.stderr
            );
            cloned.fsck();
            assert_eq!(
                cloned.run(&["rev-parse", "origin/main"]),
                work.run(&["rev-parse", "main"])
            );
        }
    }
}

#[test]
fn progress_is_worded_as_by_git() {
    let world = World::new();
    publish_sample(&world);
    for version in VERSIONS {
        let remote_lines = |remote: &str| {
            let name = format!("progress-{remote}-{version}");
            let outcome = world.root().speaking(version).try_run(&[
                "clone",
                "--progress",
                &world.url(remote),
                &name,
            ]);
            assert!(outcome.ok, "{}", outcome.stderr);
            let mut lines: Vec<String> = outcome
                .stderr
                .split(['\r', '\n'])
                .filter(|line| {
                    line.starts_with("remote: ")
                        && (line.contains("done.") || line.contains("Total"))
                })
                .map(|line| line.trim_end().to_owned())
                .collect();
            // Git compresses for the occasion, which is not needed here; what is reused differs with it.
            lines.retain(|line| !line.contains("Compressing"));
            for line in &mut lines {
                if let Some(at) = line.find(" (delta") {
                    line.truncate(at);
                }
            }
            lines
        };
        let expected = remote_lines("stock");
        assert_eq!(expected.len(), 3, "{expected:?}");
        for remote in OURS {
            assert_eq!(remote_lines(remote), expected, "{remote} {version}");
        }
    }
}

#[test]
fn a_quiet_client_hears_nothing() {
    let world = World::new();
    publish_sample(&world);
    for version in VERSIONS {
        for remote in OURS {
            let name = format!("quiet-{remote}-{version}");
            let outcome =
                world
                    .root()
                    .speaking(version)
                    .try_run(&["clone", "-q", &world.url(remote), &name]);
            assert_eq!((outcome.ok, outcome.stderr.as_str()), (true, ""));
        }
    }
}

#[test]
fn many_branches_are_fetched_at_once() {
    let world = World::new();
    let work = init(&world.path("work"));
    let commit = work.commit_file("a", "one\n");
    let updates: String = (0..1000)
        .map(|n| format!("create refs/heads/branch-{n:05} {commit}\n"))
        .collect();
    work.feed(&["update-ref", "--stdin"], updates.as_bytes());
    for remote in OURS {
        work.run(&["push", "-q", "--mirror", &world.url(remote)]);
        for version in VERSIONS {
            let cloned = clone(&world, remote, version, &["--mirror"]);
            assert_eq!(cloned.refs(), work.refs());
        }
    }
}
