//! Objects that break Git's rules, and the settings that let them pass.

use std::fs;

use crate::doors::{BOTH, World, told};
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
    let warning = format!(
        "remote: warning: object {commit}: missingEmail: invalid author/committer line - missing email"
    );
    assert!(ok && told.contains(&warning), "{told}");
    let (ok, told) = is_taken("receive.fsck.missingEmail", "ignore");
    assert!(ok && !told.contains("missingEmail"), "{told}");
    assert!(!is_taken("receive.fsck.missingEmail", "error").0);
    assert!(!is_taken("receive.fsck.missingEmail", "maybe").0);
    // A rule that nobody knows is none.
    assert!(!is_taken("receive.fsck.noSuchRule", "maybe").0);
}

/// Objects with one fault each: of trees the entries' modes and names, of commits all of it, with a `TREE`.
fn faulty_objects(work: &Git) -> Vec<String> {
    let write = |kind: &str, content: &[u8]| {
        work.feed(
            &["hash-object", "-t", kind, "-w", "--stdin", "--literally"],
            content,
        )
    };
    let whole_tree = work.run(&["rev-parse", "main^{tree}"]);
    let blob = work.run(&["rev-parse", "main:a"]);
    let id: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let entry = |start: &str| [start.as_bytes(), b"\0", &id].concat();
    let trees = [
        entry("0100644 a"),
        entry("100644 .git"),
        entry("100644 ."),
        entry("100644 .."),
        entry("120000 .gitmodules"),
        [entry("100644 b"), entry("100644 a")].concat(),
        [entry("100644 a"), entry("100755 a")].concat(),
    ];
    let person = "x <y> 1 +0000";
    let text = |tree: &str, author: &str, rest: &str| {
        format!("tree {tree}\nauthor {author}\ncommitter {person}\n{rest}").into_bytes()
    };
    let of_trees = trees.map(|tree| text(&write("tree", &tree), person, "\nfaulty\n"));
    let commits = [
        text(&whole_tree, "x y 1 +0000", "\n"),
        text(&whole_tree, "x <y 1 +0000", "\n"),
        text(&whole_tree, "x <y> 01 +0000", "\n"),
        text(&whole_tree, "x <y> 1 +00000", "\n"),
        text(&whole_tree, person, "more\0\n\n"),
        text(&whole_tree, person, "\nfaulty\0\n"),
    ];
    let all = of_trees.into_iter().chain(commits);
    all.map(|text| write("commit", &text)).collect()
}

#[test]
fn faults_are_told_in_gits_words() {
    let world = World::new();
    let work = world.work();
    world.set("receive.fsckObjects", "true");
    let commits = faulty_objects(&work);
    for (name, value) in [
        ("receive.unpackLimit", "1"),
        ("receive.unpackLimit", "1000"),
        ("receive.fsck.zeroPaddedFilemode", "warn"),
        ("receive.fsck.missingEmail", "warn"),
    ] {
        world.set(name, value);
        for (number, commit) in commits.iter().enumerate() {
            let refspec = format!("{commit}:refs/heads/{}-{number}", &name[8..]);
            let [ours, gits] = BOTH.map(|name| {
                let url = world.url(name);
                told(
                    &work.try_run(&["push", "--porcelain", &url, &refspec]),
                    &url,
                )
            });
            assert_eq!(ours, gits, "{name} {number}");
        }
        world.unset(name);
    }
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

/// What scripts read of a push here and there, and whether it was made.
fn same_fate(world: &World, work: &Git, refspec: &str, what: &str) -> (bool, String) {
    let [ours, gits] = BOTH.map(|name| {
        let url = world.url(name);
        let pushed = work.try_run(&["push", "--porcelain", &url, refspec]);
        (pushed.ok, pushed.stdout.replace(&url, "URL"))
    });
    assert_eq!(ours, gits, "{what} {refspec}");
    let [our_refs, their_refs] = BOTH.map(|name| world.inside(name).refs());
    assert_eq!(our_refs, their_refs, "{what} {refspec}");
    ours
}

#[test]
fn a_list_that_cannot_be_read_matters_where_objects_are_looked_at() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main:side", "main:third"]);
    world.set("receive.fsck.skipList", "/no/such/list");
    assert!(same_fate(&world, &work, "main:unset", "unset").0);
    world.set("receive.fsckObjects", "false");
    work.commit_file("b", "one\n");
    assert!(same_fate(&world, &work, "main", "false").0);
    assert!(same_fate(&world, &work, ":third", "false").0);
    world.unset("receive.fsckObjects");
    world.set("receive.fsckObjects", "true");
    work.commit_file("b", "two\n");
    assert!(same_fate(&world, &work, ":side", "true").0);
    let (ok, told) = same_fate(&world, &work, "main", "true");
    assert!(!ok && told.contains("(unpacker error)"), "{told}");
    let told = work.try_run(&["push", &world.url("ours"), "main"]).stderr;
    let why = "could not open object name list: /no/such/list";
    assert!(told.contains(why), "{told}");
}

#[test]
fn rules_that_nothing_may_break_cannot_be_set_aside() {
    let world = World::new();
    let work = world.work();
    for (looks, name, value, ok) in [
        ("true", "nulInHeader", "ignore", false),
        ("true", "nulInHeader", "warn", false),
        ("true", "nulInHeader", "error", true),
        ("true", "unterminatedHeader", "ignore", false),
        ("false", "nulInHeader", "ignore", true),
        ("true", "missingTagEntry", "ignore", true),
        ("true", "missingTagEntry", "maybe", false),
        ("true", "missingEmail", "WARN", false),
    ] {
        let name = format!("receive.fsck.{name}");
        world.set("receive.fsckObjects", looks);
        world.set(&name, value);
        work.commit_file("b", &format!("{looks} {name} {value}\n"));
        let what = format!("{looks} {name} {value}");
        assert_eq!(same_fate(&world, &work, "main", &what).0, ok, "{what}");
        if !ok && value != "maybe" && value != "WARN" {
            let told = work.try_run(&["push", &world.url("ours"), "main"]).stderr;
            let why = format!("Cannot demote {} to {value}", name[13..].to_lowercase());
            assert!(told.contains(&why), "{told}");
        }
        world.unset(&name);
        world.unset("receive.fsckObjects");
    }
}
