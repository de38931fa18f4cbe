//! Symbolic refs: what they stand for moves, once, and nothing outside of a namespace.

use crate::doors::{BOTH, World};

fn alias(world: &World, name: &str, target: &str) {
    for repository in BOTH {
        world
            .inside(repository)
            .run(&["symbolic-ref", name, target]);
    }
}

/// Where a ref is in both.
fn targets(world: &World, name: &str) -> [String; 2] {
    BOTH.map(|repository| world.inside(repository).run(&["rev-parse", name]))
}

#[test]
fn a_ref_and_its_alias_move_once_and_to_one_place() {
    for atomic in [false, true] {
        let world = World::new();
        let work = world.work();
        let push = |args: &[&str]| {
            let atomic: &[&str] = if atomic { &["--atomic"] } else { &[] };
            world.push(&work, &[atomic, &["URL"], args].concat())
        };
        assert!(push(&["other:main"]).0);
        alias(&world, "refs/heads/alias", "refs/heads/main");
        assert!(push(&["main:main", "main:alias"]).0);
        assert!(push(&["+other:alias", "+other:main"]).0);
        let (ok, stdout, _) = push(&["main:alias", "main:new", "+main~0:refs/heads/x"]);
        assert!(ok, "{stdout:?}");
        if atomic {
            // Git 2.39 moves one of three such refs all the same.
            continue;
        }
        work.commit_file("a", "three\n");
        let (ok, stdout, stderr) = push(&["main:main", "+other:alias", "main:more"]);
        assert!(!ok);
        let reason = "(inconsistent aliased update)";
        let refused = stdout.iter().filter(|line| line.ends_with(reason));
        assert!(refused.count() >= 1, "{stdout:?} {stderr:?}");
    }
}

#[test]
fn what_an_alias_stands_for_is_deleted_with_it() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main", "other:target"]);
    alias(&world, "refs/heads/alias", "refs/heads/target");
    // What is left is an alias of nothing, which `git fsck` complains of.
    let [ours, gits] = BOTH.map(|name| {
        let pushed = work.try_run(&["push", "--porcelain", &world.url(name), ":alias"]);
        (pushed.ok, world.inside(name).refs())
    });
    assert_eq!(ours, gits);
    assert!(ours.0 && ours.1.lines().count() == 1, "{ours:?}");
}

#[test]
fn an_alias_of_a_ref_that_may_not_move_does_not_move() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "other:main"]);
    alias(&world, "refs/heads/alias", "refs/heads/main");
    world.hook("update", "case $1 in */main) exit 1;; esac");
    let url = world.url("ours");
    let pushed = work.try_run(&["push", "--porcelain", &url, "main:main", "main:alias"]);
    assert!(!pushed.ok);
    let refused = pushed.stdout.matches("[remote rejected] (hook declined)");
    assert_eq!(refused.count(), 2, "{}", pushed.stdout);
}

#[test]
fn an_alias_does_not_lead_out_of_its_namespace() {
    let world = World::with(&[("GIT_NAMESPACE", "one")]);
    let work = world.work();
    for name in BOTH {
        let path = world.path(name);
        let path = path.to_str().unwrap();
        work.run(&["push", "-q", path, "other:refs/heads/outside"]);
    }
    alias(
        &world,
        "refs/namespaces/one/refs/heads/out",
        "refs/heads/outside",
    );
    alias(
        &world,
        "refs/namespaces/one/refs/heads/in",
        "refs/namespaces/one/refs/heads/main",
    );
    let before = targets(&world, "refs/heads/outside");
    assert!(world.push(&work, &["URL", "other:main"]).0);
    // Git 2.39 crashes here.
    let url = world.url("ours");
    let pushed = work.try_run(&["push", "--porcelain", &url, "main:out"]);
    assert!(!pushed.ok);
    let refused = "!\trefs/heads/main:refs/heads/out\t[remote rejected] (broken symref)";
    assert!(pushed.stdout.contains(refused), "{}", pushed.stdout);
    assert!(!work.try_run(&["push", &url, ":out"]).ok);
    assert!(world.push(&work, &["URL", "main:in"]).0);
    assert_eq!(targets(&world, "refs/heads/outside"), before);
    let moved = targets(&world, "refs/namespaces/one/refs/heads/main");
    let main = work.run(&["rev-parse", "main"]);
    assert_eq!(moved, [main.clone(), main]);
    // What it shows is what it leads to, for all that read it.
    world.same(&work, &["ls-remote", "URL", "refs/heads/*"]);
}
