//! Where the environment says that objects are: `GIT_OBJECT_DIRECTORY` and its like.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::doors::{BOTH, World, told, with_url};
use crate::git::Git;
use crate::http;

/// Loose objects and packs in a folder of objects.
fn count(objects: &Path) -> usize {
    let folders = fs::read_dir(objects).unwrap().flatten();
    let files = folders.filter_map(|folder| fs::read_dir(folder.path()).ok());
    files.map(|files| files.count()).sum()
}

/// Runs a command on both, which say the same to the client.
fn same(world: &World, work: &Git, args: &[&str]) -> bool {
    let [ours, gits] = BOTH.map(|name| {
        let url = world.url(name);
        let (ok, stdout, stderr) = told(&work.try_run(&with_url(args, &url)), &url);
        let text = |lines: Vec<String>| lines.join("\n").replace(name, "NAME");
        (ok, text(stdout), text(stderr))
    });
    assert_eq!(ours, gits, "{args:?}");
    ours.0
}

#[test]
fn objects_are_read_and_written_in_the_folder_that_is_named() {
    let elsewhere = TempDir::new().unwrap();
    let objects = elsewhere.path().join("objects of all");
    for folder in ["info", "pack"] {
        fs::create_dir_all(objects.join(folder)).unwrap();
    }
    let shown = objects.to_str().unwrap();
    let world = World::with(&[("GIT_OBJECT_DIRECTORY", shown)]);
    let work = world.work();
    world.hook(
        "pre-receive",
        "echo $GIT_ALTERNATE_OBJECT_DIRECTORIES >> $NOTES/lenders\ncat",
    );
    assert!(same(&world, &work, &["push", "--porcelain", "URL", "main"]));
    assert_eq!(count(&objects), work.objects().len());
    for name in BOTH {
        assert_eq!(count(&world.path(name).join("objects")), 0, "{name}");
        assert_eq!(world.notes(name, "lenders"), format!("{shown}\n"));
    }
    work.commit_file("more", "more\n");
    assert!(same(
        &world,
        &work,
        &["push", "--porcelain", "URL", "main:next"]
    ));
    for name in BOTH {
        let copy = format!("{name}.copy");
        world
            .root()
            .run(&["clone", "-q", "--bare", &world.url(name), &copy]);
        assert_eq!(world.inside(&copy).objects(), work.objects());
    }
    // Files are served from there too.
    let id = work.run(&["rev-parse", "main"]);
    for name in BOTH {
        let path = format!("/{name}/objects/{}/{}", &id[..2], &id[2..]);
        let get = |more: &[(&str, &str)]| {
            let given = [
                ("REQUEST_METHOD", "GET"),
                ("PATH_INFO", path.as_str()),
                ("GIT_HTTP_EXPORT_ALL", "1"),
            ];
            let root = world.root().dir;
            http::run(name == "ours", &root, &[&given, more].concat(), b"").0
        };
        let is_missing = |answer: &[u8]| answer.windows(11).any(|part| part == b"Status: 404");
        assert!(is_missing(&get(&[])), "{name}");
        assert!(
            !is_missing(&get(&[("GIT_OBJECT_DIRECTORY", shown)])),
            "{name}"
        );
    }
}

#[test]
fn objects_are_borrowed_from_folders_that_are_named() {
    let elsewhere = TempDir::new().unwrap();
    let lender = elsewhere.path().join("a:b");
    let work = crate::git::init(&elsewhere.path().join("work"));
    work.commit_file("a", "a\n");
    work.run(&["clone", "-q", "--bare", ".", lender.to_str().unwrap()]);
    let empty = elsewhere.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let list = format!("{}:\"{}/objects\"", empty.display(), lender.display());
    let world = World::with(&[("GIT_ALTERNATE_OBJECT_DIRECTORIES", &list)]);
    world.hook(
        "pre-receive",
        "echo $GIT_ALTERNATE_OBJECT_DIRECTORIES >> $NOTES/lenders",
    );
    let id = work.run(&["rev-parse", "main"]);
    for name in BOTH {
        fs::write(world.path(name).join("refs/heads/main"), format!("{id}\n")).unwrap();
        let copy = format!("{name}.copy");
        world
            .root()
            .run(&["clone", "-q", "--bare", &world.url(name), &copy]);
        assert_eq!(world.inside(&copy).objects(), work.objects());
    }
    work.commit_file("b", "b\n");
    assert!(same(&world, &work, &["push", "--porcelain", "URL", "main"]));
    for name in BOTH {
        // The commit, its tree and the file: what is borrowed is not sent again.
        assert_eq!(count(&world.path(name).join("objects")), 3, "{name}");
        let own = world.path(name).join("objects");
        let expected = format!("{list}:{}\n", own.display());
        let lenders = world.notes(name, "lenders").replace("/./", "/");
        assert_eq!(lenders, expected, "{name}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_no_repository() {
    let world = World::with(&[("GIT_OBJECT_DIRECTORY", "/none")]);
    let work = world.work();
    assert!(!same(&world, &work, &["ls-remote", "URL"]));
    assert!(!same(&world, &work, &["push", "URL", "main"]));
}

#[test]
fn no_ref_moves_while_a_push_is_looked_at() {
    let world = World::with(&[("GIT_QUARANTINE_PATH", "/quarantine")]);
    let work = world.work();
    assert!(same(&world, &work, &["ls-remote", "URL"]));
    for args in [
        &["push", "--porcelain", "URL", "main", "other"][..],
        &["push", "--porcelain", "--atomic", "URL", "main", "other"],
    ] {
        assert!(!same(&world, &work, args));
    }
    for name in BOTH {
        assert_eq!(world.inside(name).refs(), "", "{name}");
    }
}
