//! The ephemeral namespace: the same objects under separate names.

use crate::backends::{OURS, World};
use crate::git::{Git, init};

#[test]
fn each_namespace_shows_its_own_names_only() {
    let world = World::new();
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    work.run(&["branch", "lasting"]);
    for remote in OURS {
        let (default, ephemeral) = (world.url(remote), world.url(&format!("{remote}+ephemeral")));
        work.run(&["push", "-q", &default, "main", "lasting"]);
        work.run(&["push", "-q", &ephemeral, "main:refs/heads/draft", "main"]);
        for version in [0, 1, 2] {
            let names = |url: &str| {
                work.speaking(version)
                    .run(&["ls-remote", "--refs", url])
                    .replace(|c: char| c.is_ascii_hexdigit() && c.is_ascii_digit(), "")
            };
            assert!(names(&default).contains("refs/heads/lasting"));
            assert!(!names(&default).contains("draft") && !names(&default).contains("namespaces"));
            assert!(names(&ephemeral).contains("refs/heads/draft"));
            assert!(
                !names(&ephemeral).contains("lasting") && !names(&ephemeral).contains("namespaces")
            );
        }
    }
    let stored = world
        .bare("directory")
        .run(&["for-each-ref", "--format=%(refname)"]);
    let expected = "refs/heads/lasting\nrefs/heads/main\n\
                    refs/namespaces/ephemeral/refs/heads/draft\nrefs/namespaces/ephemeral/refs/heads/main";
    assert_eq!(stored, expected);
}

#[test]
fn names_and_bytes_are_those_of_gits_own_namespaces() {
    let world = World::new();
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    work.run(&["tag", "-a", "-m", "note", "v1"]);
    for remote in ["stock", "directory", "hosted"] {
        work.run(&[
            "push",
            "-q",
            &world.url(&format!("{remote}+ephemeral")),
            "main:refs/heads/draft",
            "v1",
        ]);
    }
    assert_eq!(world.bare("directory").refs(), world.bare("stock").refs());
    for version in [0, 1, 2] {
        let list = |remote: &str| {
            work.speaking(version)
                .run(&["ls-remote", &world.url(&format!("{remote}+ephemeral"))])
        };
        for remote in OURS {
            assert_eq!(list(remote), list("stock"), "{remote} {version}");
        }
    }
}

#[test]
fn an_ephemeral_branch_is_promoted_by_git_alone() {
    let world = World::new();
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    for remote in OURS {
        let (default, ephemeral) = (world.url(remote), world.url(&format!("{remote}+ephemeral")));
        work.run(&["push", "-q", &default, "main"]);
        let draft = work.commit_file("a", &format!("a draft for {remote}\n"));
        work.run(&["push", "-q", &ephemeral, "HEAD:refs/heads/draft"]);
        let name = format!("clone-{remote}");
        world.root().run(&["clone", "-q", &default, &name]);
        let cloned = Git::at(world.path(&name));
        assert!(
            !cloned
                .try_run(&[
                    "rev-parse",
                    "--verify",
                    "-q",
                    &format!("{draft}^{{commit}}")
                ])
                .ok
        );
        cloned.run(&["fetch", "-q", &ephemeral, "draft"]);
        assert_eq!(cloned.run(&["rev-parse", "FETCH_HEAD"]), draft);
        cloned.run(&["push", "-q", "origin", "FETCH_HEAD:refs/heads/promoted"]);
        assert!(
            work.run(&["ls-remote", &default, "promoted"])
                .starts_with(&draft)
        );
        work.run(&["reset", "-q", "--hard", "HEAD^"]);
    }
}

#[test]
fn no_push_reaches_into_the_other_namespace() {
    let world = World::new();
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    for remote in OURS {
        for url in [world.url(remote), world.url(&format!("{remote}+ephemeral"))] {
            let outcome = work.try_run(&[
                "push",
                &url,
                "main:refs/namespaces/ephemeral/refs/heads/sneaked",
            ]);
            assert!(!outcome.ok);
            assert!(outcome.stderr.contains("[remote rejected] main -> refs/namespaces/ephemeral/refs/heads/sneaked (deny updating a hidden ref)"), "{}", outcome.stderr);
        }
    }
}
