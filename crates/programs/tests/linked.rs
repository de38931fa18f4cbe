//! Linked working copies (`git worktree add`) as repositories to fetch from and to push to, beside git's own programs.

use std::fs;
use std::path::PathBuf;

use crate::doors::{BOTH, World, told, with_url};
use crate::git::Git;

/// The name of the folder of a linked working copy.
fn linked(name: &str) -> String {
    format!("{name}-linked")
}

/// The folder in the repository of the linked working copy.
fn own_dir(world: &World, name: &str) -> PathBuf {
    let git_dir = Git::at(world.path(&linked(name))).run(&["rev-parse", "--absolute-git-dir"]);
    git_dir.into()
}

/// Both with `main` and a linked working copy of `side`, and refs of each of the two.
fn with_linked(is_bare: bool) -> (World, Git) {
    let world = World::bare_if(is_bare);
    let work = world.work();
    for name in BOTH {
        let inside = world.inside(name);
        let source = work.dir.to_str().unwrap();
        inside.run(&["fetch", "-q", source, "other:first", "main:second"]);
        inside.run(&["update-ref", "refs/heads/main", "first"]);
        if !is_bare {
            inside.run(&["reset", "-q", "--hard"]);
        }
        let path = world.path(&linked(name));
        inside.run(&[
            "worktree",
            "add",
            "-q",
            "-b",
            "side",
            path.to_str().unwrap(),
            "first",
        ]);
        for (copy, target) in [(&inside, "first"), (&Git::at(&path), "second")] {
            for reference in ["refs/worktree/own", "refs/bisect/bad", "refs/heads/both"] {
                copy.run(&["update-ref", reference, target]);
            }
        }
    }
    (world, work)
}

/// Runs a command of a client on both linked working copies, and compares what it prints and what is there then.
fn same(world: &World, work: &Git, args: &[&str]) -> bool {
    let [ours, gits] = BOTH.map(|name| {
        let url = world.url(&linked(name));
        let said = told(&work.try_run(&with_url(args, &url)), &url);
        let seen = |copy: Git| {
            let refs = copy.run(&["for-each-ref", "--format=%(refname) %(objectname)"]);
            let head = copy.try_run(&["rev-parse", "HEAD"]).stdout;
            let status = copy.try_run(&["status", "--porcelain"]).stdout;
            (refs, head, status)
        };
        let there = [seen(world.inside(name)), seen(world.inside(&linked(name)))];
        let logs = ["HEAD", "refs/worktree/new"].map(|log| {
            let path = own_dir(world, name).join("logs").join(log);
            fs::read_to_string(path)
                .map(|text| text.lines().count())
                .ok()
        });
        (said, there, logs)
    });
    assert_eq!(ours, gits, "{args:?}");
    ours.0.0
}

#[test]
fn fetches_see_the_head_and_the_refs_of_the_working_copy() {
    for is_bare in [false, true] {
        let (world, work) = with_linked(is_bare);
        for version in 0..=2 {
            let work = work.speaking(version);
            assert!(same(&world, &work, &["ls-remote", "--symref", "URL"]));
        }
        for name in BOTH {
            let (url, copy) = (world.url(&linked(name)), format!("{name}.copy"));
            world.root().run(&["clone", "-q", &url, &copy]);
            let head = world.inside(&copy).run(&["symbolic-ref", "HEAD"]);
            assert_eq!(head, "refs/heads/side");
            world
                .inside(&linked(name))
                .run(&["checkout", "-q", "--detach"]);
        }
        assert!(same(&world, &work, &["ls-remote", "URL"]));
        for name in BOTH {
            // What is named without the working copy is the same repository.
            let path = own_dir(&world, name);
            let path = path
                .strip_prefix(fs::canonicalize(world.root().dir).unwrap())
                .unwrap();
            let url = world.url(path.to_str().unwrap());
            let listed = work.run(&["ls-remote", &url, "refs/worktree/own"]);
            let second = world.inside(name).run(&["rev-parse", "second"]);
            assert_eq!(listed, format!("{second}\trefs/worktree/own"));
        }
    }
}

#[test]
fn pushes_move_the_refs_of_all_and_of_the_working_copy() {
    for is_bare in [false, true] {
        let (world, work) = with_linked(is_bare);
        world.set("core.logAllRefUpdates", "always");
        for hook in ["pre-receive", "update", "post-receive"] {
            world.hook(
                hook,
                &format!("echo $GIT_DIR >> $NOTES/{hook}; pwd >> $NOTES/{hook}"),
            );
        }
        let push = |args: &[&str]| {
            let args = [&["push", "--porcelain", "URL"], args].concat();
            same(&world, &work, &args)
        };
        assert!(push(&["main:both", "main:refs/heads/new"]));
        assert!(push(&[
            "main:refs/worktree/new",
            "+other:refs/worktree/own"
        ]));
        assert!(push(&[":refs/bisect/bad", ":refs/worktree/own"]));
        assert!(push(&["main:refs/bisect/deep/er"]));
        assert!(!push(&["main:refs/bisect/deep"]));
        world.set("receive.denyCurrentBranch", "refuse");
        assert!(!push(&["main:side"]));
        assert!(!push(&[":side"]));
        assert_eq!(push(&["main:main"]), is_bare);
        world.set("receive.denyCurrentBranch", "ignore");
        assert!(push(&["main:side"]));
        assert!(push(&["+other:side"]));
        for name in BOTH {
            world.inside(&linked(name)).run(&["reset", "-q", "--hard"]);
        }
        world.set("receive.denyCurrentBranch", "updateInstead");
        assert!(push(&["main:side"]));
        let text = fs::read_to_string(world.path(&linked("ours")).join("a")).unwrap();
        assert_eq!(text, "two\n");
        for hook in ["pre-receive", "update", "post-receive"] {
            let [ours, gits] = BOTH.map(|name| world.notes(name, hook).replace(name, "NAME"));
            assert!(!ours.is_empty());
            assert_eq!(ours, gits, "{hook}");
        }
    }
}
