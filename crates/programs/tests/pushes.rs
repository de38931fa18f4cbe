//! Pushes under each setting, and what `git` then prints.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::doors::{BOTH, World};
use crate::git::Git;

#[test]
fn branches_are_made_moved_and_deleted() {
    for version in 0..=2 {
        let world = World::new();
        let work = world.work().speaking(version);
        assert!(world.push(&work, &["URL", "main", "other"]).0);
        work.commit_file("b", "three\n");
        work.run(&["tag", "-a", "-m", "note", "v1"]);
        assert!(
            world
                .push(&work, &["URL", "main", "v1", "other:refs/heads/deep/x"])
                .0
        );
        assert!(world.push(&work, &["URL", ":other", "main:fresh"]).0);
        assert!(!world.push(&work, &["URL", "other:main"]).0);
        assert!(world.push(&work, &["URL", "+other:main"]).0);
        assert!(!world.push(&work, &["URL", "main:deep"]).0);
        assert!(world.push(&work, &["URL", "main"]).0);
        // What is not there any more: nothing to do, and a warning.
        world.push(&work, &["URL", ":refs/heads/none"]);
        world.push(&work, &["URL", ":main"]);
        let [ours, gits] = BOTH.map(|name| {
            let log = world.inside(name).run(&["reflog", "show", "main"]);
            log.lines().count()
        });
        assert_eq!((ours, gits), (0, 0));
    }
}

#[test]
fn few_objects_become_files_and_many_a_pack() {
    for (limit, is_packed) in [("1000", false), ("2", true), ("0", true)] {
        let world = World::new();
        world.set("receive.unpackLimit", limit);
        world.set("pack.writeReverseIndex", "true");
        let work = world.work();
        assert!(world.push(&work, &["URL", "main"]).0);
        for name in BOTH {
            let counted = world.inside(name).run(&["count-objects", "-v"]);
            let packs = if is_packed { "packs: 1" } else { "packs: 0" };
            assert!(counted.contains(packs), "{limit} {name} {counted}");
            let beside = fs::read_dir(world.path(name).join("objects/pack")).unwrap();
            let reverse = beside.filter(|entry| {
                let path = entry.as_ref().unwrap().path();
                path.extension().is_some_and(|found| found == "rev")
            });
            assert_eq!(reverse.count(), usize::from(is_packed), "{limit} {name}");
            let left = fs::read_dir(world.path(name).join("objects")).unwrap();
            let left = left.filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_string_lossy().starts_with("tmp_")
            });
            assert_eq!(left.count(), 0);
        }
    }
}

/// Settings that stand elsewhere than in the repository's own file say how its files are written.
#[test]
fn settings_of_the_call_the_user_and_the_system_count_as_with_git() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let text = "[pack]\n\twriteReverseIndex\n[core]\n\tlogAllRefUpdates = Always\n[receive]\n\tunpackLimit = 1\n";
    let file = write("settings", text);
    let including = write("including", "[include]\n\tpath = settings\n");
    let conditional = write(
        "conditional",
        "[includeIf \"gitdir:gits\"]\n\tpath = settings\n[includeIf \"gitdir:ours\"]\n\tpath = settings\n",
    );
    let one_by_one = [
        ("GIT_CONFIG_COUNT", "3"),
        ("GIT_CONFIG_KEY_0", "pack.writeReverseIndex"),
        ("GIT_CONFIG_VALUE_0", "true"),
        ("GIT_CONFIG_KEY_1", "core.logAllRefUpdates"),
        ("GIT_CONFIG_VALUE_1", "always"),
        ("GIT_CONFIG_KEY_2", "receive.unpackLimit"),
        ("GIT_CONFIG_VALUE_2", "1"),
    ];
    let at_once = [(
        "GIT_CONFIG_PARAMETERS",
        "'pack.writereverseindex'='true' 'core.logallrefupdates'='always' 'receive.unpacklimit'='1'",
    )];
    let of_user = [("GIT_CONFIG_GLOBAL", file.as_str())];
    let included = [("GIT_CONFIG_GLOBAL", including.as_str())];
    let on_condition = [("GIT_CONFIG_GLOBAL", conditional.as_str())];
    let of_system = [
        ("GIT_CONFIG_NOSYSTEM", "0"),
        ("GIT_CONFIG_SYSTEM", file.as_str()),
    ];
    let places: [&[(&str, &str)]; 7] = [
        &[],
        &one_by_one,
        &at_once,
        &of_user,
        &included,
        &on_condition,
        &of_system,
    ];
    for place in places {
        let world = World::with(place);
        let work = world.work();
        assert!(world.push(&work, &["URL", "main", "main:refs/x/y"]).0);
        for name in BOTH {
            let path = world.path(name);
            let packs = fs::read_dir(path.join("objects/pack")).unwrap();
            let reverse = packs.filter(|entry| {
                let path = entry.as_ref().unwrap().path();
                path.extension().is_some_and(|found| found == "rev")
            });
            let is_set = !place.is_empty();
            assert_eq!(reverse.count(), usize::from(is_set), "{name} {place:?}");
            assert_eq!(
                path.join("logs/refs/x/y").exists(),
                is_set,
                "{name} {place:?}"
            );
        }
    }
}

#[test]
fn what_the_settings_deny_is_refused() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main", "other"]);
    let attempts: [&[&str]; 5] = [
        &["URL", ":other", "main:new"],
        &["URL", "+other:main"],
        &["URL", ":main"],
        &["--atomic", "URL", "main:other", "+other:main"],
        &["--atomic", "URL", ":other", "main:x"],
    ];
    for (name, value) in [
        ("receive.denyDeletes", "true"),
        ("receive.denyNonFastForwards", "true"),
        ("receive.denyDeleteCurrent", "refuse"),
        ("receive.denyDeleteCurrent", "warn"),
        ("receive.denyDeleteCurrent", "ignore"),
        ("receive.advertiseAtomic", "false"),
        ("receive.hideRefs", "refs/heads/other"),
        ("transfer.hideRefs", "refs/heads/new"),
        ("receive.maxInputSize", "1000000"),
    ] {
        world.set(name, value);
        for attempt in attempts {
            world.push(&work, attempt);
        }
        // Back to where it was, whatever happened.
        world.unset(name);
        for repository in BOTH {
            let path = world.path(repository);
            let path = path.to_str().unwrap();
            work.run(&["push", "-q", "--force", path, "main", "other"]);
        }
    }
}

#[test]
fn a_pack_that_is_too_large_is_refused() {
    let world = World::new();
    let work = world.work();
    world.set("receive.maxInputSize", "100");
    for name in BOTH {
        let pushed = work.try_run(&["push", "--porcelain", &world.url(name), "main"]);
        assert!(!pushed.ok);
        assert!(pushed.stderr.contains("pack exceeds maximum allowed size") || name == "gits");
        assert!(
            pushed.stdout.contains("[remote rejected] (unpacker error)"),
            "{}",
            pushed.stdout
        );
        assert_eq!(world.inside(name).refs(), "");
        assert_eq!(world.inside(name).objects().len(), 0);
    }
}

#[test]
fn the_branch_that_is_checked_out_is_guarded() {
    for value in ["refuse", "warn", "ignore", "updateInstead"] {
        let world = World::new().with_working_copies();
        let work = world.work();
        for name in BOTH {
            let path = world.path(name);
            world
                .inside(name)
                .run(&["fetch", "-q", work.dir.to_str().unwrap(), "other"]);
            world
                .inside(name)
                .run(&["reset", "-q", "--hard", "FETCH_HEAD"]);
            assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "one\n");
        }
        world.set("receive.denyCurrentBranch", value);
        let (ok, ..) = world.push(&work, &["URL", "main"]);
        assert_eq!(ok, value != "refuse");
        for name in BOTH {
            let expected = if value == "updateInstead" {
                "two\n"
            } else {
                "one\n"
            };
            assert_eq!(
                fs::read_to_string(world.path(name).join("a")).unwrap(),
                expected
            );
        }
        if value == "updateInstead" {
            for name in BOTH {
                fs::write(world.path(name).join("a"), "mine\n").unwrap();
            }
            work.commit_file("a", "three\n");
            assert!(!world.push(&work, &["URL", "main"]).0);
        }
        world.push(&work, &["URL", "--delete", "main"]);
    }
}

#[test]
fn an_unset_guard_refuses_too_and_says_what_to_set() {
    let world = World::new().with_working_copies();
    let work = world.work();
    for name in BOTH {
        let path = world.path(name);
        work.run(&["push", "-q", path.to_str().unwrap(), "other:refs/heads/x"]);
        world.inside(name).run(&["reset", "-q", "--hard", "x"]);
    }
    let (ok, stdout, stderr) = world.push(&work, &["URL", "main"]);
    assert!(!ok);
    let reason = "(branch is currently checked out)";
    assert!(
        stdout.iter().any(|line| line.contains(reason)),
        "{stdout:?}"
    );
    for line in [
        "remote: error: refusing to update checked out branch: refs/heads/main",
        "remote: 'receive.denyCurrentBranch' configuration variable to 'refuse'.",
    ] {
        assert!(stderr.iter().any(|seen| seen == line), "{line} {stderr:?}");
    }
    world.set("receive.denyCurrentBranch", "ignore");
    let (ok, _, stderr) = world.push(&work, &["URL", ":main"]);
    assert!(!ok);
    let line = "remote: To squelch this message, you can set it to 'refuse'.";
    assert!(stderr.iter().any(|seen| seen == line), "{stderr:?}");
}

#[test]
fn a_lease_that_is_out_of_date_is_not_honoured() {
    let world = World::new();
    let work = world.work();
    world.push(&work, &["URL", "main", "other"]);
    // Moved behind the back of a client that has seen it before.
    world.hook(
        "pre-receive",
        "test -e $NOTES/moved || { touch $NOTES/moved; \
        unset GIT_QUARANTINE_PATH; git update-ref refs/heads/main refs/heads/other; }",
    );
    work.run(&["commit", "-q", "--amend", "-m", "another"]);
    let seen = work.run(&["rev-parse", "HEAD@{1}"]);
    let lease = format!("--force-with-lease=main:{seen}");
    let (ok, stdout, _) = world.push(&work, &[&lease, "URL", "main"]);
    assert!(!ok);
    assert!(
        stdout
            .iter()
            .any(|line| line.contains("failed to update ref")),
        "{stdout:?}"
    );
}

#[test]
fn the_exchange_has_a_name_if_it_is_to_have_one() {
    let world = World::new();
    let work = world.work();
    let offered = |name: &str| {
        let pushed = crate::git::command()
            .args(["push", "-q", &world.url(name), "+other:main"])
            .current_dir(&work.dir)
            .env("GIT_TRACE_PACKET", "1")
            .output()
            .unwrap();
        let trace = String::from_utf8_lossy(&pushed.stderr).into_owned();
        let told = trace.lines().find(|line| line.contains("push< ")).unwrap();
        // Of what is offered, the names.
        let names = told
            .split(' ')
            .skip_while(|word| !word.ends_with("report-status"));
        let names = names.map(|word| word.split('=').next().unwrap().to_owned());
        names.skip(1).collect::<Vec<_>>()
    };
    for value in ["false", "true"] {
        world.set("transfer.advertiseSID", value);
        let [ours, gits] = BOTH.map(offered);
        assert_eq!(ours, gits);
        assert_eq!(ours.contains(&"session-id".to_owned()), value == "true");
        world.unset("transfer.advertiseSID");
    }
}

#[test]
fn a_ref_that_moved_is_told_so_whatever_becomes_of_the_next() {
    let world = World::new();
    let work = world.work();
    // The log of the second cannot be opened.
    let logs = world.path("ours").join("logs/refs/heads");
    fs::create_dir_all(&logs).unwrap();
    std::os::unix::fs::symlink("b", logs.join("b")).unwrap();
    world.hook("post-receive", "cut -d' ' -f3 >> $NOTES/moved");
    let url = world.url("ours");
    let pushed = work.try_run(&["push", "--porcelain", &url, "main:a", "main:b", "main:c"]);
    assert!(!pushed.ok);
    for line in [
        "*\trefs/heads/main:refs/heads/a\t[new branch]",
        "!\trefs/heads/main:refs/heads/b\t[remote rejected] (failed to update ref)",
        "*\trefs/heads/main:refs/heads/c\t[new branch]",
    ] {
        assert!(pushed.stdout.contains(line), "{line} {}", pushed.stdout);
    }
    let moved = world.notes("ours", "moved");
    assert_eq!(moved, "refs/heads/a\nrefs/heads/c\n");
    let refs = world.inside("ours").refs();
    assert_eq!(refs.lines().count(), 2, "{refs}");
}

#[test]
fn objects_that_were_lost_are_missed() {
    let world = World::new();
    let work = world.work();
    for name in BOTH {
        // A commit is there whose tree is not, as after a `git gc` that was too early.
        let path = world.path(name);
        work.run(&["push", "-q", path.to_str().unwrap(), "main:refs/heads/gone"]);
        let tree = work.run(&["rev-parse", "main^{tree}"]);
        fs::remove_file(path.join("objects").join(&tree[..2]).join(&tree[2..])).unwrap();
        world
            .inside(name)
            .run(&["update-ref", "-d", "refs/heads/gone"]);
    }
    let commit = work.run(&["rev-parse", "main"]);
    // No object is sent: all that is named is there.
    let line = format!(
        "{} {commit} refs/heads/main\0report-status object-format=sha1",
        "0".repeat(40)
    );
    let mut said = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    let mut pack = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    pack.extend([
        0x02, 0x9d, 0x08, 0x82, 0x3b, 0xd8, 0xa8, 0xea, 0xb5, 0x10, 0xad, 0x6a, 0xc7, 0x5c, 0x82,
        0x3c, 0xfd, 0x3e, 0xd3, 0x1e,
    ]);
    said.extend(pack);
    let call = packhouse_programs::ProgramCall {
        dir: world.path("ours"),
        strict: true,
        timeout: None,
        quiet: false,
        mode: packhouse_programs::Mode::StatelessRpc,
    };
    let mut out = Vec::new();
    let input = Box::new(std::io::Cursor::new(said));
    packhouse_programs::receive_pack(&call, &crate::doors::environment(&[]), input, &mut out)
        .unwrap();
    let answer = String::from_utf8_lossy(&out);
    assert!(
        answer.contains("ng refs/heads/main missing necessary objects"),
        "{answer}"
    );
    assert_eq!(world.inside("ours").refs(), "");
}

/// What a client of a push is told to be there though it is no ref.
fn haves(world: &World, work: &Git, name: &str) -> Vec<String> {
    let pushed = crate::git::command()
        .args(["push", "-q", &world.url(name), "+other:fresh"])
        .current_dir(&work.dir)
        .env("GIT_TRACE_PACKET", "1")
        .output()
        .unwrap();
    let trace = String::from_utf8_lossy(&pushed.stderr).into_owned();
    let told = trace.lines().filter_map(|line| {
        let (_, told) = line.split_once("push< ")?;
        told.contains(".have").then(|| told.to_owned())
    });
    told.map(|line| line.split('\0').next().unwrap().to_owned())
        .map(|line| line.split("\\0").next().unwrap().to_owned())
        .collect()
}

#[test]
fn settings_say_which_refs_of_a_lender_are_told() {
    let world = World::new();
    let work = world.work();
    let lender = world.path("lender");
    crate::git::init_bare(&lender);
    for name in ["side", "sidecar", "up/one", "up/two"] {
        work.commit_file("a", name);
        let refspec = format!("main:refs/heads/{name}");
        work.run(&["push", "-q", lender.to_str().unwrap(), &refspec]);
    }
    for name in BOTH {
        let path = world.path(name).join("objects/info/alternates");
        fs::write(path, format!("{}\n", lender.join("objects").display())).unwrap();
    }
    let same = |what: &str| {
        let [ours, gits] = BOTH.map(|name| haves(&world, &work, name));
        assert_eq!(ours, gits, "{what}");
        ours.len()
    };
    assert_eq!(same("unset"), 4);
    for (prefixes, count) in [
        ("refs/heads/side", 1),
        ("refs/heads/up", 2),
        ("refs/heads/up/", 2),
        ("refs/heads/side refs/heads/up/one", 2),
        ("refs/heads/side*", 2),
        ("refs/heads/*", 2),
        ("refs/tags", 0),
        ("", 4),
    ] {
        world.set("core.alternateRefsPrefixes", prefixes);
        assert_eq!(same(prefixes), count, "{prefixes}");
        world.unset("core.alternateRefsPrefixes");
    }
    let program = world.path("one-ref");
    fs::write(
        &program,
        "#!/bin/sh\ntest -z \"$GIT_DIR\" && git -C $1 rev-parse up/two\n",
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.set("core.alternateRefsPrefixes", "refs/heads/side");
    for (command, count) in [
        ("false", 0),
        ("/no/such/program", 0),
        (program.to_str().unwrap(), 1),
        (
            "f() { git --git-dir=\"$1\" for-each-ref --format='%(objectname)' refs/heads/up; }; f",
            2,
        ),
        (
            "f() { test -d objects && git -C \"$1\" for-each-ref --format='%(objectname)'; }; f",
            4,
        ),
        (
            "f() { git -C \"$1\" rev-parse side; echo more; git -C \"$1\" rev-parse up/one; }; f",
            1,
        ),
    ] {
        world.set("core.alternateRefsCommand", command);
        assert_eq!(same(command), count, "{command}");
        world.unset("core.alternateRefsCommand");
    }
}

#[test]
fn refs_of_a_lender_are_known_to_be_there() {
    let world = World::new();
    let work = world.work();
    let lender = world.path("lender");
    crate::git::init_bare(&lender);
    work.run(&["push", "-q", lender.to_str().unwrap(), "main"]);
    for name in BOTH {
        let path = world.path(name).join("objects/info/alternates");
        fs::write(path, format!("{}\n", lender.join("objects").display())).unwrap();
    }
    assert!(world.push(&work, &["URL", "main"]).0);
    for name in BOTH {
        let counted = world.inside(name).run(&["count-objects", "-v"]);
        assert!(counted.starts_with("count: 0\n"), "{name} {counted}");
    }
}
