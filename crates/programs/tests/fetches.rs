//! Fetches from repositories of every form.

use std::collections::BTreeSet;
use std::fs;

use packhouse_programs::{Mode, ProgramCall, upload_pack};

use crate::damage::{answer, packet};
use crate::doors::{BOTH, World, environment};
use crate::git::{Git, init};

/// Both have what `work` has on some refs.
fn publish(world: &World, work: &Git) {
    for name in BOTH {
        let path = world.path(name);
        let path = path.to_str().unwrap();
        work.run(&[
            "push",
            "-q",
            path,
            "refs/heads/*:refs/heads/*",
            "refs/tags/*:refs/tags/*",
        ]);
    }
}

fn listed(world: &World, args: &[&str]) -> String {
    let [ours, gits] = BOTH.map(|name| {
        let mut all = vec![];
        for version in 0..=2 {
            let url = world.url(name);
            let args = [&["ls-remote"][..], args, &[url.as_str()]].concat();
            let said = world.root().speaking(version).run(&args);
            // Git lists the HEAD of a namespace twice in version 2.
            let lines: BTreeSet<String> = said.lines().map(str::to_owned).collect();
            all.push(lines);
        }
        all
    });
    assert_eq!(ours, gits);
    ours[2].iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn bare_repositories_and_working_copies_are_cloned_whatever_their_head() {
    for detached in [false, true] {
        let world = World::new();
        let work = world.work();
        work.run(&["tag", "-a", "-m", "note", "v1", "other"]);
        publish(&world, &work);
        if detached {
            for name in BOTH {
                world
                    .inside(name)
                    .run(&["update-ref", "--no-deref", "HEAD", "refs/heads/other"]);
            }
        }
        listed(&world, &[]);
        listed(&world, &["--symref"]);
        for version in 0..=2 {
            let [ours, gits] = BOTH.map(|name| {
                let folder = format!("clone-{name}-{version}");
                let url = world.url(name);
                world
                    .root()
                    .speaking(version)
                    .run(&["clone", "-q", &url, &folder]);
                let clone = world.inside(&folder);
                clone.fsck();
                (
                    clone.refs(),
                    clone.run(&["rev-parse", "HEAD"]),
                    clone.objects(),
                )
            });
            assert_eq!(ours, gits, "{version} {detached}");
        }
    }
}

#[test]
fn a_working_copy_is_found_by_its_folder() {
    let world = World::new().with_working_copies();
    for name in BOTH {
        world.inside(name).commit_file("a", "one\n");
    }
    let head = listed(&world, &["--heads"]);
    assert!(head.ends_with("refs/heads/main\n"), "{head}");
}

#[test]
fn hidden_refs_are_not_listed() {
    let world = World::new();
    let work = world.work();
    for branch in ["a/x", "a/y", "b"] {
        work.run(&["branch", branch]);
    }
    publish(&world, &work);
    world.set("transfer.hideRefs", "refs/heads/a");
    world.set("uploadpack.hideRefs", "!refs/heads/a/x");
    let refs = listed(&world, &[]);
    assert!(refs.contains("a/x") && !refs.contains("a/y"), "{refs}");
}

#[test]
fn what_a_symbolic_ref_stands_for_is_told() {
    let world = World::new();
    let work = world.work();
    publish(&world, &work);
    for name in BOTH {
        let inside = world.inside(name);
        inside.run(&["symbolic-ref", "refs/heads/alias", "refs/heads/other"]);
        inside.run(&["symbolic-ref", "refs/heads/second", "refs/heads/alias"]);
    }
    let refs = listed(&world, &["--symref"]);
    assert!(
        refs.contains("ref: refs/heads/other\trefs/heads/second"),
        "{refs}"
    );
}

#[test]
fn a_namespace_is_a_repository_of_its_own() {
    let world = World::with(&[("GIT_NAMESPACE", "one/two")]);
    let work = world.work();
    for name in BOTH {
        world.inside(name).run(&[
            "symbolic-ref",
            "refs/namespaces/one/refs/namespaces/two/HEAD",
            "refs/namespaces/one/refs/namespaces/two/refs/heads/main",
        ]);
        let path = world.path(name);
        work.run(&[
            "push",
            "-q",
            path.to_str().unwrap(),
            "other:refs/heads/outside",
        ]);
    }
    world.push(&work, &["URL", "main", "other:refs/heads/x"]);
    let refs = listed(&world, &["--symref"]);
    assert!(refs.contains("ref: refs/heads/main\tHEAD"), "{refs}");
    assert!(!refs.contains("outside"), "{refs}");
    let stored = world.inside("ours").refs();
    assert!(
        stored.contains("refs/namespaces/one/refs/namespaces/two/refs/heads/x"),
        "{stored}"
    );
}

#[test]
fn settings_of_bundles_are_told_where_they_are_to_be() {
    let world = World::new();
    publish(&world, &world.work());
    let ask = |body: &[u8], mode| {
        let call = ProgramCall {
            dir: world.path("ours"),
            strict: false,
            timeout: None,
            quiet: false,
            mode,
        };
        let environment = environment(&[("GIT_PROTOCOL", "version=2")]);
        let mut out = Vec::new();
        let input = Box::new(std::io::Cursor::new(body.to_vec()));
        let answered = upload_pack(&call, &environment, input, &mut out);
        (answered.is_ok(), String::from_utf8(out).unwrap())
    };
    let command = b"0016command=bundle-uri0000";
    let offered = |mode| ask(b"", mode).1.contains("bundle-uri\n");
    assert!(!offered(Mode::Advertise));
    let (ok, told) = ask(command, Mode::StatelessRpc);
    assert!(
        !ok && told.contains("invalid command 'bundle-uri'"),
        "{told}"
    );
    world.set("bundle.version", "1");
    world.set("bundle.mode", "all");
    world.set("bundle.Daily.uri", "https://example.com/daily.bundle");
    world.set("uploadpack.advertiseBundleURIs", "true");
    assert!(offered(Mode::Advertise));
    let (ok, told) = ask(command, Mode::StatelessRpc);
    let lines = "0014bundle.version=10013bundle.mode=all\
                 0035bundle.Daily.uri=https://example.com/daily.bundle0000";
    assert!(ok && told == lines, "{told}");
}

#[test]
fn what_is_missing_elsewhere_keeps_nobody_from_what_is_there() {
    let world = World::new();
    let work = world.work();
    // Newer than the rest, so that it is met first.
    work.run(&["checkout", "-q", "--orphan", "broken"]);
    let lost = work.commit_file("b", "one\n");
    work.commit_file("b", "two\n");
    publish(&world, &work);
    world.set("uploadpack.allowReachableSHA1InWant", "true");
    let wanted = work.run(&["rev-parse", "main~1"]);
    let is_had = |version: u8, what: &str| {
        let [ours, gits] = BOTH.map(|name| {
            let folder = format!("into-{name}-{version}-{}", &what[..8]);
            let into = init(&world.path(&folder)).speaking(version);
            into.try_run(&["fetch", "-q", &world.url(name), what]).ok
        });
        assert_eq!(ours, gits, "{version} {what}");
        ours
    };
    for name in BOTH {
        let (folder, file) = lost.split_at(2);
        let objects = world.path(name).join("objects");
        fs::remove_file(objects.join(folder).join(file)).unwrap();
    }
    for version in 0..=2 {
        assert!(is_had(version, &wanted));
        assert!(!is_had(version, &lost));
    }
}

/// The branch that a clone of an empty repository is on; `None`: it cannot be made.
fn branch_of_clone(world: &World, name: &str) -> Option<String> {
    let folder = format!("clone-{name}");
    let url = world.url(name);
    let clone = [
        "-c",
        "init.defaultBranch=other",
        "clone",
        "-q",
        &url,
        &folder,
    ];
    let cloned = world.root().try_run(&clone);
    let head = cloned.ok.then(|| {
        let head = world.inside(&folder).run(&["symbolic-ref", "HEAD"]);
        fs::remove_dir_all(world.path(&folder)).unwrap();
        head
    });
    // Version 0 knows nothing of the setting.
    let listing = ["ls-remote", &url];
    assert!(world.root().speaking(0).try_run(&listing).ok, "{name}");
    head
}

#[test]
fn a_branch_that_is_not_there_yet_is_told_of_as_the_setting_says() {
    let world = World::new();
    for name in BOTH {
        let inside = world.inside(name);
        inside.run(&["symbolic-ref", "HEAD", "refs/heads/first"]);
    }
    let request = [
        &packet("command=ls-refs\n"),
        "0001",
        &packet("symrefs\n"),
        &packet("unborn\n"),
        "0000",
    ];
    let request = request.concat();
    for (value, head, is_offered, is_told) in [
        (None, Some("refs/heads/first"), true, true),
        (Some("advertise"), Some("refs/heads/first"), true, true),
        (Some("allow"), Some("refs/heads/other"), false, true),
        (Some("ignore"), Some("refs/heads/other"), false, false),
        (Some("Ignore"), None, false, false),
    ] {
        if let Some(value) = value {
            world.set("lsrefs.unborn", value);
        }
        let [ours, gits] = BOTH.map(|name| branch_of_clone(&world, name));
        assert_eq!(ours, gits, "{value:?}");
        assert_eq!(ours.as_deref(), head, "{value:?}");
        if head.is_some() {
            let said = |mode, input: &[u8]| {
                let [ours, gits] =
                    BOTH.map(|name| answer(&world, name, "upload-pack", mode, "version=2", input));
                assert_eq!(ours, gits, "{value:?} {mode:?}");
                ours
            };
            let offer = said(Mode::Advertise, b"");
            assert_eq!(offer.contains("ls-refs=unborn"), is_offered, "{offer}");
            // A client may ask without an offer.
            let told = said(Mode::StatelessRpc, request.as_bytes());
            assert_eq!(told.contains("unborn HEAD"), is_told, "{told}");
        }
        if value.is_some() {
            world.unset("lsrefs.unborn");
        }
    }
}
