//! Hooks: what they are told, when they are run, and what becomes of what they say.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use packhouse_programs::{Mode, ProgramCall, receive_pack};

use crate::doors::{BOTH, World, environment};
use crate::git::Git;

/// Everything that differs between two runs by its nature.
fn plain(world: &World, repository: &str, text: &str) -> String {
    let root = world.path(repository);
    let text = text
        .replace(&root.display().to_string(), "ROOT")
        .replace("/./", "/");
    let mut lines: Vec<String> = Vec::new();
    // Git says of HEAD too that it moves with the branch it names.
    for line in text.lines().filter(|line| !line.ends_with(" HEAD")) {
        match line.split_once("tmp_objdir-incoming-") {
            Some((before, after)) => {
                lines.push(format!("{before}tmp_objdir-incoming-{}", &after[6..]))
            }
            None => lines.push(line.to_owned()),
        }
    }
    // Git also speaks of the transaction on `packed-refs` that a deletion turned out not to need.
    let nothing = "0".repeat(40);
    let unneeded = format!(
        "GIT_DIR=.\nROOT\nhooks/reference-transaction aborted\n{nothing} {nothing} refs/heads/other\n"
    );
    lines.join("\n").replace(&unneeded, "")
}

fn same_notes(world: &World, name: &str) -> String {
    let [ours, gits] =
        BOTH.map(|repository| plain(world, repository, &world.notes(repository, name)));
    assert_eq!(ours, gits, "{name}");
    ours
}

const NOTE: &str = "env | grep -E '^GIT_(DIR|PUSH|QUARANTINE|OBJECT|ALTERNATE)' | sort >> $NOTES/$(basename $0); \
                    pwd >> $NOTES/$(basename $0); echo \"$0\" \"$@\" >> $NOTES/$(basename $0); ";

#[test]
fn each_hook_is_run_in_its_turn_with_what_it_needs() {
    let world = World::new();
    let work = world.work();
    world.set("receive.advertisePushOptions", "true");
    for name in ["pre-receive", "post-receive", "reference-transaction"] {
        world.hook(
            name,
            &format!(
                "{NOTE} cat >> $NOTES/{name}; [ \"$1\" = aborted ] || echo {name} >> $NOTES/order"
            ),
        );
    }
    for name in ["update", "post-update"] {
        world.hook(name, &format!("{NOTE} echo {name} >> $NOTES/order"));
    }
    assert!(world.push(&work, &["URL", "main", "other"]).0);
    assert!(
        world
            .push(
                &work,
                &["-o", "one=1", "-o", "two words", "URL", "main:x", ":other"]
            )
            .0
    );
    assert!(
        world
            .push(&work, &["--atomic", "URL", "main:y", "other:z"])
            .0
    );
    for name in [
        "pre-receive",
        "update",
        "post-receive",
        "post-update",
        "reference-transaction",
        "order",
    ] {
        let noted = same_notes(&world, name);
        assert!(!noted.is_empty(), "{name}");
    }
    let noted = world.notes("ours", "post-receive");
    assert!(noted.contains("GIT_PUSH_OPTION_1=two words"), "{noted}");
}

#[test]
fn what_hooks_say_is_shown_and_what_they_decline_is_not_done() {
    let world = World::new();
    let work = world.work();
    world.hook("pre-receive", "echo looking; echo twice >&2; while read old new name; do case $name in *bad*) exit 1;; esac; done");
    world.hook(
        "update",
        "echo updating $1; case $1 in *worse*) exit 1;; esac",
    );
    world.hook("post-receive", "echo done");
    let (ok, _, stderr) = world.push(&work, &["URL", "main"]);
    assert!(ok);
    for line in [
        "remote: looking",
        "remote: twice",
        "remote: updating refs/heads/main",
        "remote: done",
    ] {
        assert!(stderr.iter().any(|seen| seen == line), "{line} {stderr:?}");
    }
    assert!(!world.push(&work, &["URL", "main:bad", "main:x"]).0);
    let together = ["--atomic", "URL", "main:bad", "main:x"];
    let (_, stdout, _) = world.push(&work, &together);
    let declined = |line: &&String| line.contains("(pre-receive hook declined)");
    assert_eq!(stdout.iter().filter(declined).count(), 2, "{stdout:?}");
    assert!(!world.push(&work, &["URL", "main:worse", "main:y"]).0);
    assert!(
        !world
            .push(
                &work,
                &["--atomic", "URL", "main:w1", "main:worse", "main:w2"]
            )
            .0
    );
    let refs = world.inside("ours").refs();
    assert!(
        refs.contains("refs/heads/y") && !refs.contains("worse") && !refs.contains("w1"),
        "{refs}"
    );
}

#[test]
fn a_hook_that_cannot_be_started_declines() {
    let world = World::new();
    let work = world.work();
    let broken = "#!/no/such/interpreter\n";
    for name in ["post-receive", "post-update"] {
        world.program(name, broken);
    }
    assert!(world.push(&work, &["URL", "other"]).0);
    for (name, reason) in [
        ("update", "(hook declined)"),
        ("pre-receive", "(pre-receive hook declined)"),
    ] {
        world.program(name, broken);
        for how in ["--no-atomic", "--atomic"] {
            let (_, stdout, _) = world.push(&work, &[how, "URL", "main", "main:x"]);
            assert!(
                stdout.iter().any(|line| line.contains(reason)),
                "{stdout:?}"
            );
        }
    }
}

#[test]
fn a_hook_sees_the_objects_and_a_refusal_leaves_none() {
    let world = World::new();
    let work = world.work();
    world.hook("pre-receive", "while read old new name; do git cat-file -p $new^{tree} > $NOTES/tree || exit 3; done; exit 1");
    assert!(!world.push(&work, &["URL", "main"]).0);
    assert!(same_notes(&world, "tree").contains("blob"));
    for name in BOTH {
        assert_eq!(world.inside(name).objects().len(), 0, "{name}");
    }
}

#[test]
fn objects_of_a_refused_ref_stay_where_another_one_is_taken() {
    let world = World::new();
    let work = world.work();
    work.run(&["checkout", "-q", "-b", "bad", "other"]);
    let bad = work.commit_file("b", "bad\n");
    world.hook("update", "case $1 in *bad*) exit 1;; esac");
    assert!(!world.push(&work, &["URL", "main:good", "bad"]).0);
    let [ours, gits] = BOTH.map(|name| world.inside(name).objects());
    assert_eq!(ours, gits);
    assert!(ours.iter().any(|line| line.starts_with(&bad)));
}

#[test]
fn a_hook_may_do_what_was_pushed_in_its_own_way() {
    let world = World::new();
    let work = world.work();
    world.set("receive.procReceiveRefs", "refs/for");
    world.set("receive.advertisePushOptions", "true");
    // A hook of few words: it takes down what it is told, and says the same to everybody.
    world.hook(
        "proc-receive",
        r#"
        pkt() { printf '%04x%s' $((${#1} + 4)) "$1"; }
        pkt 'version=1'; printf 0000
        head -c 300 > $NOTES/heard
        pkt 'ok refs/for/main'
        pkt 'option refname refs/changes/1'
        pkt 'option forced-update'
        pkt 'ng refs/for/no not that one'
        printf 0000
        echo 'seen to' >&2"#,
    );
    world.hook("post-receive", "cat > $NOTES/after");
    let (ok, stdout, stderr) = world.push(
        &work,
        &[
            "-o",
            "word",
            "URL",
            "main:refs/for/main",
            "main:refs/for/no",
            "main:refs/for/silent",
            "main:plain",
        ],
    );
    assert!(!ok);
    for part in [
        "refs/changes/1",
        "(not that one)",
        "(proc-receive failed to report status)",
        "refs/heads/plain",
    ] {
        assert!(
            stdout.iter().any(|line| line.contains(part)),
            "{part} {stdout:?}"
        );
    }
    assert!(
        stderr.iter().any(|line| line == "remote: seen to"),
        "{stderr:?}"
    );
    same_notes(&world, "heard");
    assert!(same_notes(&world, "after").contains(" refs/changes/1"));
    assert!(!world.inside("ours").refs().contains("refs/for"));
}

#[test]
fn the_transaction_can_be_stopped() {
    let world = World::new();
    let work = world.work();
    world.hook(
        "reference-transaction",
        "echo $1 >> $NOTES/states; cat >> $NOTES/states; test $1 != prepared",
    );
    let pushed = work.try_run(&["push", "--porcelain", &world.url("ours"), "main", "other"]);
    assert!(!pushed.ok);
    assert!(
        pushed
            .stdout
            .contains("[remote rejected] (failed to update ref)"),
        "{}",
        pushed.stdout
    );
    assert!(
        pushed.stderr.contains("ref updates aborted by hook"),
        "{}",
        pushed.stderr
    );
    let states = world.notes("ours", "states");
    let names: Vec<&str> = states.lines().filter(|line| !line.contains(' ')).collect();
    assert_eq!(names, ["prepared", "aborted", "prepared", "aborted"]);
    assert_eq!(world.inside("ours").refs(), "");
}

#[test]
fn hooks_are_where_the_configuration_says_and_need_not_read() {
    let world = World::new();
    let work = world.work();
    let elsewhere = world.path("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let hook = elsewhere.join("pre-receive");
    // Without a first line that says what runs it, and without a look at its input.
    std::fs::write(&hook, "echo elsewhere\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("core.hooksPath", elsewhere.to_str().unwrap());
    world.hook("update", "exit 1");
    let names: Vec<String> = (0..700)
        .map(|number| format!("main:refs/heads/b{number}"))
        .collect();
    let mut args = vec!["URL"];
    args.extend(names.iter().map(String::as_str));
    let (ok, _, stderr) = world.push(&work, &args);
    assert!(
        ok && stderr.iter().any(|line| line == "remote: elsewhere"),
        "{stderr:?}"
    );
}

/// Names the repository that this process is to take a push into.
const TAKES: &str = "PACKHOUSE_TEST_TAKES_PUSH";

/// No test of its own: what clients are told to call in the place of `git receive-pack`, so that they show its standard error.
#[test]
fn our_receive_pack() {
    let Some(dir) = std::env::var_os(TAKES) else {
        return;
    };
    let call = ProgramCall {
        dir: dir.into(),
        strict: false,
        timeout: None,
        quiet: false,
        mode: Mode::Connection,
    };
    // On standard output is what is said of tests.
    let mut out = File::options().write(true).open("/proc/self/fd/3").unwrap();
    receive_pack(
        &call,
        &environment(&[]),
        Box::new(std::io::stdin()),
        &mut out,
    )
    .unwrap();
}

/// What our program and git's say on standard error of a push of `refspec`.
fn said_here(world: &World, work: &Git, refspec: &str) -> Vec<String> {
    let program = world.path("receive-pack");
    let script = format!(
        "#!/bin/sh\n{TAKES}=\"$1\" exec '{}' --exact hooks::our_receive_pack --nocapture 3>&1 >/dev/null\n",
        std::env::current_exe().unwrap().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let [ours, gits] = BOTH.map(|name| {
        let path = world.path(name);
        let ours = format!("--receive-pack={}", program.display());
        let receiver = match name {
            "ours" => &ours,
            _ => "--receive-pack=git-receive-pack",
        };
        let pushed = work.try_run(&["push", receiver, path.to_str().unwrap(), refspec]);
        let lines = pushed.stderr.lines().filter(|line| {
            line.starts_with("hint: The")
                || line.starts_with("hint: You can disable")
                || line.contains("died of")
        });
        (pushed.ok, lines.map(str::to_owned).collect::<Vec<_>>())
    });
    assert_eq!(ours, gits, "{refspec}");
    let [our_refs, their_refs] = BOTH.map(|name| world.inside(name).refs());
    assert_eq!(our_refs, their_refs, "{refspec}");
    ours.1
}

#[test]
fn a_hook_that_may_not_be_run_is_told_of_unless_nobody_wants_to_know() {
    let world = World::new();
    let work = world.work();
    for name in [
        "pre-receive",
        "update",
        "reference-transaction",
        "post-receive",
        "post-update",
    ] {
        world.hook(name, "exit 1");
        for repository in BOTH {
            let path = world.path(repository).join("hooks").join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    let said = said_here(&world, &work, "main");
    let hints = said.iter().filter(|line| line.contains("was ignored"));
    assert_eq!(hints.count(), 5, "{said:?}");
    world.set("advice.ignoredHook", "false");
    assert_eq!(said_here(&world, &work, "other"), [""; 0]);
}

#[test]
fn a_hook_that_a_signal_ends_is_told_of() {
    let world = World::new();
    let work = world.work();
    for (name, signal, is_told) in [
        ("update", 9, true),
        ("pre-receive", 15, true),
        ("pre-receive", 13, false),
        ("post-receive", 6, true),
    ] {
        world.hook(name, &format!("kill -{signal} $$"));
        let refspec = format!("main:refs/heads/{name}-{signal}");
        let said = said_here(&world, &work, &refspec);
        let expected = format!("error: hooks/{name} died of signal {signal}");
        assert_eq!(said, Vec::from_iter(is_told.then_some(expected)));
        world.hook(name, "exit 0");
    }
}
