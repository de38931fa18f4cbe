//! Refs and packs that are damaged: what clients are told of them, and what stays.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use packhouse_programs::{Mode, ProgramCall, receive_pack, upload_pack};

use crate::doors::{BOTH, World, environment, variables};
use crate::git::{Git, command};

/// What one call of a program answers, without the names that both give themselves.
pub(crate) fn answer(
    world: &World,
    name: &str,
    program: &str,
    mode: Mode,
    version: &str,
    input: &[u8],
) -> String {
    let dir = world.path(name);
    let out = match name {
        "ours" => {
            let call = ProgramCall {
                dir,
                strict: false,
                timeout: None,
                quiet: false,
                mode,
            };
            let environment = environment(&[("GIT_PROTOCOL", version)]);
            let input = Box::new(std::io::Cursor::new(input.to_vec()));
            let mut out = Vec::new();
            let _ = match program {
                "upload-pack" => upload_pack(&call, &environment, input, &mut out),
                _ => receive_pack(&call, &environment, input, &mut out),
            };
            out
        }
        _ => {
            let flag = match mode {
                Mode::Advertise => "--http-backend-info-refs",
                _ => "--stateless-rpc",
            };
            let mut child = command()
                .args([program, flag])
                .arg(dir)
                .envs(variables())
                .env("GIT_PROTOCOL", version)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(input).unwrap();
            child.wait_with_output().unwrap().stdout
        }
    };
    let text = String::from_utf8_lossy(&out);
    // The length of the line goes with the name.
    let lines = text
        .split('\n')
        .map(|line| match line.split_once("agent=") {
            Some((before, _)) => before.get(4..).unwrap_or_default().to_owned(),
            None => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

pub(crate) fn packet(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

/// Every way in which a client learns of refs.
fn advertised(world: &World, name: &str) -> Vec<String> {
    let ls_refs = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|line| packet(&format!("{line}\n")));
        let arguments = arguments.collect::<String>();
        let request = format!("{}0001{arguments}0000", packet("command=ls-refs\n"));
        answer(
            world,
            name,
            "upload-pack",
            Mode::StatelessRpc,
            "version=2",
            request.as_bytes(),
        )
    };
    let offer = |program, version| answer(world, name, program, Mode::Advertise, version, b"");
    vec![
        offer("upload-pack", "version=0"),
        offer("upload-pack", "version=1"),
        offer("receive-pack", "version=0"),
        ls_refs(&["peel", "symrefs", "unborn"]),
        ls_refs(&[
            "peel",
            "symrefs",
            "unborn",
            "ref-prefix refs/heads/k",
            "ref-prefix HEAD",
        ]),
        ls_refs(&["ref-prefix refs/tags/"]),
    ]
}

/// Asks for the deletion of a ref.
fn deleted(world: &World, name: &str, reference: &str, old: &str) -> String {
    let line = format!(
        "{old} {} {reference}\0report-status side-band-64k",
        "0".repeat(40)
    );
    let request = format!("{}0000", packet(&line));
    answer(
        world,
        name,
        "receive-pack",
        Mode::StatelessRpc,
        "",
        request.as_bytes(),
    )
}

/// What is done to the ref files of a repository whose branch `main` is at an id.
type Damage = fn(&Path, &str);

const DAMAGES: [(&str, Damage); 12] = [
    ("empty", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), "").unwrap()
    }),
    ("junk", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), "junk\n").unwrap()
    }),
    ("zeros", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), [0u8; 41]).unwrap()
    }),
    ("a tag", |dir, _| {
        fs::write(dir.join("refs/tags/v1"), "").unwrap()
    }),
    ("the current branch", |dir, _| {
        fs::write(dir.join("refs/heads/main"), "").unwrap()
    }),
    ("a name that is none", |dir, id| {
        fs::write(dir.join("refs/heads/k..p"), id).unwrap()
    }),
    ("symbolic to what is damaged", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), "").unwrap();
        fs::write(dir.join("refs/heads/kind"), "ref: refs/heads/keep\n").unwrap();
    }),
    ("symbolic in a circle", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), "ref: refs/heads/kept\n").unwrap();
        fs::write(dir.join("refs/heads/kept"), "ref: refs/heads/keep\n").unwrap();
    }),
    ("the current branch in a circle", |dir, _| {
        fs::write(dir.join("refs/heads/main"), "ref: refs/heads/main\n").unwrap();
    }),
    ("symbolic to no name", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), "ref: refs/heads/a..b\n").unwrap();
    }),
    ("symbolic to nothing", |dir, _| {
        fs::write(dir.join("refs/heads/keep"), "ref: refs/heads/none\n").unwrap();
    }),
    ("hiding a packed one", |dir, _| {
        Git::at(dir).run(&["pack-refs", "--all"]);
        fs::write(dir.join("refs/heads/keep"), "").unwrap();
    }),
];

/// Both with `main`, `keep` and a tag, and the id of the former two.
fn with_refs(damage: Damage) -> (World, Git, String) {
    let world = World::new();
    let work = world.work();
    work.run(&["tag", "-a", "-m", "one", "v1", "main"]);
    world.push(&work, &["URL", "main", "main:keep", "v1"]);
    let id = work.run(&["rev-parse", "main"]);
    for name in BOTH {
        damage(&world.path(name), &id);
    }
    (world, work, id)
}

#[test]
fn damaged_refs_are_listed_as_by_git() {
    for (what, damage) in DAMAGES {
        let (world, _, _) = with_refs(damage);
        let [ours, gits] = BOTH.map(|name| advertised(&world, name));
        for (ours, gits) in ours.iter().zip(&gits) {
            assert_eq!(ours, gits, "{what}");
        }
    }
}

#[test]
fn the_deletion_of_a_damaged_ref_is_answered_as_by_git() {
    for (what, damage) in DAMAGES {
        let (world, _, id) = with_refs(damage);
        for old in ["0".repeat(40), id] {
            if what == "symbolic to nothing" && old != "0".repeat(40) {
                continue;
            }
            let reference = match what {
                "a tag" => "refs/tags/v1",
                "the current branch" | "the current branch in a circle" => "refs/heads/main",
                "a name that is none" => "refs/heads/k..p",
                _ => "refs/heads/keep",
            };
            let [ours, gits] = BOTH.map(|name| deleted(&world, name, reference, &old));
            match what == "the current branch" && old != "0".repeat(40) {
                // Git does not see that it is the current one.
                true => {
                    let is_refused = |told: &String| told.contains("ng refs/heads/main ");
                    assert!(is_refused(&ours) && is_refused(&gits), "{ours} {gits}");
                }
                false => assert_eq!(ours, gits, "{what}, from {old}"),
            }
            for name in BOTH {
                let path = world.path(name).join(reference);
                assert!(fs::symlink_metadata(path).is_ok(), "{what} {name}");
            }
        }
    }
}

/// By no id, or by one that names nothing here.
#[test]
fn a_ref_is_deleted_of_which_the_client_does_not_say_where_it_is() {
    let nowhere = ["0".repeat(40), "1".repeat(40)];
    for (reference, is_packed) in [
        ("refs/heads/keep", false),
        ("refs/heads/keep", true),
        ("refs/heads/kind", false),
        ("refs/heads/none", false),
    ] {
        for old in &nowhere {
            let (world, _, _) = with_refs(|dir, _| {
                let git = Git::at(dir);
                git.run(&["symbolic-ref", "refs/heads/kind", "refs/heads/main"]);
                git.run(&["config", "receive.denyDeleteCurrent", "ignore"]);
            });
            for hook in ["pre-receive", "reference-transaction", "post-receive"] {
                world.hook(hook, &format!("cat > $NOTES/{hook}$1"));
            }
            world.hook("update", "echo $* > $NOTES/update");
            for name in BOTH {
                if is_packed {
                    world.inside(name).run(&["pack-refs", "--all"]);
                }
            }
            let [ours, gits] = BOTH.map(|name| deleted(&world, name, reference, old));
            assert!(ours.contains(&format!("ok {reference}")), "{ours}");
            assert_eq!(ours, gits, "{reference}, from {old}");
            let [our_refs, git_refs] = BOTH.map(|name| world.inside(name).refs());
            assert_eq!(our_refs, git_refs);
            // Of a ref that is not there no hook is asked here, and git tells hooks of the way that symbolic refs lead.
            if reference != "refs/heads/keep" {
                continue;
            }
            for note in [
                "pre-receive",
                "update",
                "reference-transactionprepared",
                "reference-transactioncommitted",
                "post-receive",
            ] {
                let [ours, gits] = BOTH.map(|name| world.notes(name, note));
                assert!(!ours.is_empty(), "{note}");
                assert_eq!(ours, gits, "{reference}, from {old}: {note}");
            }
        }
    }
}

/// Git lets these pass by no id.
#[test]
fn who_does_not_say_where_a_ref_is_deletes_none_that_may_not_be_deleted() {
    let (world, _, _) = with_refs(|dir, _| {
        Git::at(dir).run(&["config", "receive.denyDeletes", "true"]);
    });
    for old in ["0".repeat(40), "1".repeat(40)] {
        let told = deleted(&world, "ours", "refs/heads/keep", &old);
        assert!(
            told.contains("ng refs/heads/keep deletion prohibited"),
            "{told}"
        );
    }
    world
        .inside("ours")
        .run(&["config", "receive.denyDeletes", "false"]);
    for old in ["0".repeat(40), "1".repeat(40)] {
        let told = deleted(&world, "ours", "refs/heads/main", &old);
        assert!(
            told.contains("deletion of the current branch prohibited"),
            "{told}"
        );
    }
}

#[test]
fn mirrors_keep_what_is_damaged_at_their_source() {
    for (what, damage) in &DAMAGES[..3] {
        for version in ["0", "2"] {
            let (world, work, _) = with_refs(|_, _| {});
            let root = world.root();
            for name in BOTH {
                root.run(&[
                    "clone",
                    "-q",
                    "--mirror",
                    &world.url(name),
                    &format!("{name}.mirror"),
                ]);
                damage(&world.path(name), "");
            }
            let [ours, gits] = BOTH.map(|name| {
                let mirror = Git::at(world.path(&format!("{name}.mirror")));
                let setting = format!("protocol.version={version}");
                let fetched = mirror.try_run(&["-c", &setting, "fetch", "-q", "--prune"]);
                assert!(
                    mirror.refs().contains("refs/heads/keep"),
                    "{what} {version} {name}"
                );
                (fetched.ok, fetched.stderr)
            });
            assert_eq!(ours, gits, "{what} {version}");
            // Pushes, too, find the ref where it is. Git refuses some for what they need, since it cannot walk from all refs.
            for (args, is_told_alike) in [
                (&["push", "-q", "URL", ":keep"][..], true),
                (&["push", "-q", "URL", "+main~1:keep"], false),
                (
                    &["push", "-q", "--atomic", "URL", "main~1:keep", "main:new"],
                    false,
                ),
            ] {
                let [ours, gits] = BOTH.map(|name| {
                    let url = world.url(name);
                    let pushed = work.try_run(&crate::doors::with_url(args, &url));
                    assert!(!pushed.ok, "{what} {version} {name} {args:?}");
                    crate::doors::told(&pushed, &url)
                });
                assert!(
                    ours == gits || !is_told_alike,
                    "{what} {version} {args:?}: {ours:?} {gits:?}"
                );
            }
            work.run(&["push", "-q", &world.url("ours"), "main:another"]);
            let refs = fs::read_dir(world.path("ours/refs/heads")).unwrap();
            assert_eq!(refs.count(), 3, "{what} {version}");
        }
    }
}

/// A pack beside the others, by what stands in its index and itself.
fn add_pack(dir: &Path, idx: &[u8], pack: &[u8]) {
    let name = dir.join(format!("objects/pack/pack-{}", "1".repeat(40)));
    fs::write(name.with_extension("pack"), pack).unwrap();
    fs::write(name.with_extension("idx"), idx).unwrap();
}

/// The index of the one pack that is there.
fn own_index(dir: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(dir.join("objects/pack")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    paths
        .find(|path| path.extension().is_some_and(|kind| kind == "idx"))
        .unwrap()
}

/// In place of a file that others may share.
fn replace(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

/// What is done to the packs of a repository that has one, and whether all its objects can be found after that.
const PACK_DAMAGES: [(&str, Damage, bool); 7] = [
    ("empty", |dir, _| add_pack(dir, b"", b""), true),
    (
        "zeros",
        |dir, _| add_pack(dir, &[0; 2000], &[0; 2000]),
        true,
    ),
    (
        "no pack",
        |dir, _| add_pack(dir, &fs::read(own_index(dir)).unwrap(), &[0; 100]),
        true,
    ),
    (
        "an empty pack",
        |dir, _| add_pack(dir, &fs::read(own_index(dir)).unwrap(), b""),
        true,
    ),
    (
        "its own index",
        |dir, _| replace(&own_index(dir), b""),
        false,
    ),
    (
        "its own pack",
        |dir, _| replace(&own_index(dir).with_extension("pack"), b""),
        false,
    ),
    (
        "that of an alternate",
        |dir, _| {
            let lender = dir.with_extension("lender");
            let git = Git::at(dir);
            git.run(&[
                "clone",
                "-q",
                "--bare",
                "--no-local",
                ".",
                lender.to_str().unwrap(),
            ]);
            git.run(&["-C", lender.to_str().unwrap(), "repack", "-adq"]);
            replace(&own_index(&lender), b"");
            let objects = format!("{}\n", lender.join("objects").display());
            fs::write(dir.join("objects/info/alternates"), objects).unwrap();
        },
        true,
    ),
];

#[test]
fn other_objects_are_served_beside_a_damaged_pack() {
    for (what, damage, is_whole) in PACK_DAMAGES {
        let world = World::new();
        let work = world.work();
        world.push(&work, &["URL", "main", "main:keep"]);
        for name in BOTH {
            let inside = world.inside(name);
            inside.run(&["config", "gc.auto", "0"]);
            inside.run(&["config", "receive.autogc", "false"]);
            inside.run(&["repack", "-adq"]);
            damage(&world.path(name), "");
        }
        let root = world.root();
        let listed = BOTH.map(|name| root.run(&["ls-remote", &world.url(name)]));
        assert_eq!(listed[0], listed[1], "{what}");
        for version in ["0", "2"] {
            let cloned = BOTH.map(|name| {
                let setting = format!("protocol.version={version}");
                let to = format!("{name}.{version}");
                root.try_run(&["-c", &setting, "clone", "-q", &world.url(name), &to])
            });
            assert_eq!(cloned[0].ok, is_whole, "{what} {version}: {cloned:?}");
            assert_eq!(cloned[1].ok, is_whole, "{what} {version}: {cloned:?}");
            if !is_whole {
                let said = "not our ref";
                assert!(
                    cloned.iter().all(|one| one.stderr.contains(said)),
                    "{what}: {cloned:?}"
                );
            }
        }
        work.commit_file("a", "three\n");
        let pushed = BOTH.map(|name| work.try_run(&["push", "-q", &world.url(name), "main"]));
        assert_eq!(pushed[0].ok, pushed[1].ok, "{what}: {pushed:?}");
        assert_eq!(pushed[0].ok, is_whole, "{what}: {pushed:?}");
        // Nothing was removed.
        for name in BOTH {
            let path = world.path(name);
            let refs = Git::at(&path).refs();
            assert!(refs.contains("refs/heads/keep"), "{what} {name}: {refs}");
        }
    }
}
