//! Objects that break Git's rules, and the settings that let them pass.

use std::fs;

use crate::doors::{BOTH, World};
use crate::git::{Git, Outcome};

/// Makes a commit whose author has no address, beside an ordinary one.
fn faulty(work: &Git) -> String {
    let tree = work.run(&["rev-parse", "main^{tree}"]);
    let text = format!(
        "tree {tree}\nauthor Bugs Bunny 1234567890 +0000\ncommitter Bugs Bunny <bugs@bun.ni> 1234567890 +0000\n\nfaulty\n"
    );
    let args = [
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        "--literally",
    ];
    work.feed(&args, text.as_bytes())
}

/// What becomes of a push of it, here and there.
fn pushed(world: &World, work: &Git, commit: &str) -> [Outcome; 2] {
    BOTH.map(|name| {
        let refspec = format!("{commit}:refs/heads/faulty");
        let outcome = work.try_run(&["push", "--porcelain", &world.url(name), &refspec]);
        if outcome.ok {
            let inside = world.inside(name);
            inside.run(&["update-ref", "-d", "refs/heads/faulty"]);
            inside.run(&["prune", "--expire=now"]);
        }
        outcome
    })
}

#[test]
fn rules_are_as_strict_as_the_settings_say() {
    let world = World::new();
    let work = world.work();
    let commit = faulty(&work);
    world.set("receive.fsckObjects", "true");
    let is_taken = |name: &str, value: &str| {
        world.set(name, value);
        let [ours, gits] = pushed(&world, &work, &commit);
        world.unset(name);
        assert_eq!(ours.ok, gits.ok, "{name} {value}: {ours:?} {gits:?}");
        (ours.ok, ours.stderr)
    };
    let (ok, told) = is_taken("receive.fsck.badEmail", "ignore");
    assert!(!ok && told.contains("missingEmail"), "{told}");
    let (ok, told) = is_taken("receive.fsck.MissingEmail", "warn");
    let warning = format!("remote: warning: object {commit}: missingEmail: ");
    assert!(ok && told.contains(&warning), "{told}");
    let (ok, told) = is_taken("receive.fsck.missingEmail", "ignore");
    assert!(ok && !told.contains("missingEmail"), "{told}");
    assert!(!is_taken("receive.fsck.missingEmail", "error").0);
    assert!(!is_taken("receive.fsck.missingEmail", "maybe").0);
    // A rule that nobody knows is none.
    assert!(!is_taken("receive.fsck.noSuchRule", "maybe").0);
}

#[test]
fn old_histories_pass_where_nobody_is_told_to_look() {
    let world = World::new();
    let work = world.work();
    let commit = faulty(&work);
    let tree = work.feed(&["mktree"], b"");
    let bad_path = format!("040000 tree {tree}\t.git\n");
    let bad_tree = work.feed(&["mktree"], bad_path.as_bytes());
    let bad_tree = work.run(&["commit-tree", "-m", "x", &bad_tree]);
    for (settings, passes) in [
        (&[][..], true),
        (&[("receive.fsckObjects", "false")][..], true),
        (&[("transfer.fsckObjects", "true")][..], false),
        (
            &[
                ("transfer.fsckObjects", "true"),
                ("receive.fsckObjects", "false"),
            ][..],
            true,
        ),
    ] {
        for (name, value) in settings {
            world.set(name, value);
        }
        for outcome in pushed(&world, &work, &commit) {
            assert_eq!(outcome.ok, passes, "{settings:?}: {outcome:?}");
        }
        // What would do harm where it is checked out never passes here.
        let [ours, _] = pushed(&world, &work, &bad_tree);
        assert!(ours.stderr.contains("hasDotgit"), "{ours:?}");
        for (name, _) in settings {
            world.unset(name);
        }
    }
}

#[test]
fn objects_of_the_list_may_break_every_rule() {
    let world = World::new();
    let work = world.work();
    let commit = faulty(&work);
    let list = world.path("list");
    world.set("receive.fsckObjects", "true");
    world.set("receive.fsck.skipList", list.to_str().unwrap());
    for (text, ok) in [
        (format!("# known\n\n  {commit} # old\n"), true),
        (format!("{}\n", "1".repeat(40)), false),
        (format!("{commit}x\n"), false),
    ] {
        fs::write(&list, &text).unwrap();
        for outcome in pushed(&world, &work, &commit) {
            assert_eq!(outcome.ok, ok, "{text}: {outcome:?}");
        }
    }
    fs::remove_file(&list).unwrap();
    for outcome in pushed(&world, &work, &commit) {
        assert!(!outcome.ok, "{outcome:?}");
    }
}
