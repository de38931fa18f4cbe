//! Submodules are part of a copy.

use std::fs;
use std::path::Path;

use packhouse_client::cache::{Cache, CallOptions};

use crate::cache::{add, check_tree, config, open, path_of};
use crate::git::{Git, init};
use crate::world::{Way, World};

/// A repository `app` and a bare one of it, with a submodule at `x/lib` that has one at `in`.
pub(crate) fn nested(world: &World) -> String {
    let inner = init(&world.path("inner"));
    inner.commit_file("deep", "deep\n");
    let lib = init(&world.path("lib"));
    lib.commit_file("code", "code\n");
    let allow = ["-c", "protocol.file.allow=always"];
    lib.run(
        &[
            &allow[..],
            &["submodule", "--quiet", "add", "../inner", "in"],
        ]
        .concat(),
    );
    lib.run(&["commit", "-q", "-m", "inner"]);
    let app = init(&world.path("app"));
    app.run(
        &[
            &allow[..],
            &[
                "submodule",
                "--quiet",
                "add",
                "--name",
                "the/lib",
                "../lib",
                "x/lib",
            ],
        ]
        .concat(),
    );
    app.run(&["commit", "-q", "-m", "lib"]);
    app.run(&["clone", "-q", "--bare", ".", "../app.git"]);
    path_of(&Git::at(world.path("app.git")))
}

#[test]
fn submodules_are_part_of_a_copy() {
    let world = World::new();
    let source = nested(&world);
    let cache = open(&world);
    let entry = add(&cache, &source);
    let path = &entry.cache_path;
    assert_eq!(fs::read(path.join("x/lib/code")).unwrap(), b"code\n");
    assert_eq!(fs::read(path.join("x/lib/in/deep")).unwrap(), b"deep\n");
    check_tree(path);
    check_tree(&path.join("x/lib"));
    check_tree(&path.join("x/lib/in"));
    let status = Git::at(path).run(&["submodule", "status", "--recursive"]);
    assert_eq!(
        status.lines().filter(|line| line.starts_with(' ')).count(),
        2,
        "{status}"
    );

    let mut without = config(&world.path("without"));
    // As `submodules` of the configuration does.
    let recurse = "submodule.recurse".to_owned();
    without.git_config.insert(recurse, "false".to_owned());
    let without = Cache::open(without).unwrap();
    let entry = add(&without, &source);
    assert_eq!(entry.notes, ["1 submodules were left out"]);
    assert_eq!(
        fs::read_dir(entry.cache_path.join("x/lib"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_repository_from_elsewhere_cannot_have_a_directory_of_this_machine_as_a_submodule() {
    let mut world = World::new();
    let secret = init(&world.path("secret"));
    let id = secret.commit_file("secret", "secret\n");
    let app = init(&world.path("app"));
    let url = secret.dir.display().to_string();
    let modules = format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n");
    app.commit_file(".gitmodules", &modules);
    let link = format!("160000,{},x", id.trim());
    app.run(&["update-index", "--add", "--cacheinfo", &link]);
    app.run(&["commit", "-q", "-m", "link"]);
    app.run(&["clone", "-q", "--bare", ".", "../app.git"]);
    let url = world.url("app", Way::Http);
    let cache = open(&world);
    let refused = cache.add(&url, None, &CallOptions::default()).unwrap_err();
    assert!(
        refused.to_string().contains("directory of this machine"),
        "{refused}"
    );
}

/// One submodule that is gone is told from the repository that was asked for.
#[test]
fn a_submodule_that_is_not_to_be_had_is_named() {
    let mut world = World::new();
    let source = nested(&world);
    fs::rename(world.path("inner"), world.path("gone")).unwrap();
    let lib = Git::at(world.path("lib"));
    let id = lib.run(&["rev-parse", "HEAD"]);
    let near = init(&world.path("near"));
    near.commit_file(
        ".gitmodules",
        "[submodule \"the/lib\"]\n\tpath = x/lib\n\turl = ../none.git\n",
    );
    let link = format!("160000,{},x/lib", id.trim());
    near.run(&["update-index", "--add", "--cacheinfo", &link]);
    near.run(&["commit", "-q", "-m", "link"]);
    near.run(&["clone", "-q", "--bare", ".", "../near.git"]);
    let cases = [
        (source, "submodule 'in' at 'x/lib/in': Invalid source: "),
        (
            world.url("near", Way::Http),
            "submodule 'the/lib' at 'x/lib': Repository not found: ",
        ),
    ];
    let cache = open(&world);
    let call = CallOptions::default();
    let mut without = config(&world.path("without"));
    let recurse = "submodule.recurse".to_owned();
    without.git_config.insert(recurse, "false".to_owned());
    let without = Cache::open(without).unwrap();
    for (source, expected) in cases {
        let error = cache.add(&source, None, &call).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("`submodule.recurse=false`"), "{error}");
        add(&without, &source);
    }
}

/// Damages all objects of a mirror.
fn damage(mirror: &Path) {
    for folder in fs::read_dir(mirror.join("objects")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            // The tree shares the file: another takes its place.
            let path = file.unwrap().path();
            fs::remove_file(&path).unwrap();
            fs::write(&path, "damaged").unwrap();
        }
    }
}

#[test]
fn mirrors_of_submodules_that_are_damaged_are_made_again() {
    let world = World::new();
    let source = nested(&world);
    let cache = open(&world);
    let call = CallOptions::default();
    let place = add(&cache, &source).cache_path;
    let mirrors = || {
        let mirrors = fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap();
        mirrors.map(|mirror| mirror.unwrap().path())
    };
    assert_eq!(mirrors().count(), 3);
    mirrors().for_each(|mirror| damage(&mirror));
    let app = Git::at(world.path("app"));
    app.commit_file("new", "new\n");
    app.run(&["push", "-q", "../app.git", "main:main"]);
    cache.refresh("app", &call).unwrap();
    assert!(place.join("new").exists());
    mirrors().for_each(|mirror| damage(&mirror));
    let checkout = cache.checkout("app", "main", &call).unwrap();
    for tree in [&place, &checkout.path] {
        for folder in ["", "x/lib", "x/lib/in"] {
            check_tree(&tree.join(folder));
        }
    }
    mirrors().for_each(|mirror| Git::at(&mirror).fsck());
}

#[test]
fn a_mirror_that_is_damaged_is_made_again() {
    let world = World::new();
    let source = world.with_history("source");
    source.run(&["repack", "-q", "-a", "-d"]);
    let cache = open(&world);
    let call = CallOptions::default();
    add(&cache, &path_of(&source));
    let mirrors = cache.root().join(".packhouse/mirrors");
    let mirror = fs::read_dir(mirrors)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    damage(&mirror);
    check_tree(&cache.get("source").unwrap().cache_path);
    let work = world.work("source");
    work.commit_file("new", "new\n");
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let entry = cache.refresh("source", &call).unwrap();
    assert!(entry.cache_path.join("new").exists());
    check_tree(&entry.cache_path);
    Git::at(&mirror).fsck();
    // A missing one too, and one that is only needed for a checkout.
    fs::remove_dir_all(&mirror).unwrap();
    cache.refresh("source", &call).unwrap();
    let checkout = cache.checkout("source", "side", &call).unwrap();
    check_tree(&checkout.path);
}
