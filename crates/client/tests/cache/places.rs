//! Names, directories, and what must never be touched.

use std::fs;
use std::os::unix::fs::symlink;

use packhouse_client::cache::{Cache, CacheError, CacheStatus, CacheType, CallOptions};

use super::{add, check_tree, config, files, open, path_of};
use crate::git::{Git, init};
use crate::world::World;

/// Weakness 5: names and sources that led out of the cache.
#[test]
fn nothing_outside_the_cache_is_written_or_deleted() {
    let world = World::new();
    let source = world.with_history("source");
    let victim = world.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("precious"), "precious").unwrap();
    let cache = open(&world);
    let call = CallOptions::default();
    for name in [
        "../victim",
        "",
        ".",
        "..",
        "/victim",
        "a/../../victim",
        ".packhouse",
        ".git",
    ] {
        let refused = cache.add(&path_of(&source), Some(name), &call);
        assert!(
            matches!(refused, Err(CacheError::InvalidName { .. })),
            "{name}"
        );
        assert!(cache.remove(name, &call).is_err(), "{name}");
        assert!(cache.refresh(name, &call).is_err(), "{name}");
        assert!(cache.get(name).is_err(), "{name}");
    }
    let root = cache.root().to_str().unwrap().to_owned();
    let around = world.path("");
    for text in ["/", &root, around.to_str().unwrap(), "", "no/such/place"] {
        let error = cache.add(text, None, &call).unwrap_err().to_string();
        assert!(error.starts_with("Invalid source: "), "{error}");
    }
    // A link, or somebody's folder, where an entry would be.
    symlink(&victim, cache.root().join("linked")).unwrap();
    fs::create_dir(cache.root().join("theirs")).unwrap();
    for name in ["linked", "theirs"] {
        let refused = cache.add(&path_of(&source), Some(name), &call);
        assert!(
            matches!(refused, Err(CacheError::Occupied { .. })),
            "{name}"
        );
    }
    // A link that took the place of an entry.
    let entry = cache.add(&path_of(&source), Some("mine"), &call).unwrap();
    fs::remove_dir_all(&entry.cache_path).unwrap();
    symlink(&victim, &entry.cache_path).unwrap();
    assert_eq!(cache.list().unwrap()[0].status, CacheStatus::Missing);
    assert!(matches!(cache.get("mine"), Err(CacheError::Missing { .. })));
    let refused = cache.refresh("mine", &call).unwrap_err();
    assert!(matches!(refused, CacheError::Occupied { .. }), "{refused}");
    fs::remove_file(&entry.cache_path).unwrap();
    let again = cache.refresh("mine", &call).unwrap();
    check_tree(&again.cache_path);
    // So did a folder of somebody.
    fs::remove_dir_all(&entry.cache_path).unwrap();
    fs::create_dir(&entry.cache_path).unwrap();
    let theirs = entry.cache_path.join("theirs");
    fs::write(&theirs, "theirs").unwrap();
    let refused = cache.refresh("mine", &call).unwrap_err();
    assert!(matches!(refused, CacheError::Occupied { .. }), "{refused}");
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    cache.clear(&call).unwrap();
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    assert_eq!(fs::read(victim.join("precious")).unwrap(), b"precious");
    assert!(cache.list().unwrap().is_empty());
    assert!(cache.root().join("theirs").is_dir());
}

/// Weaknesses 8 and 12: plain directories were refused, and all was copied again.
#[test]
fn a_plain_directory_is_copied_and_then_only_what_changed() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir_all(source.join("sub/empty")).unwrap();
    for number in 0..20 {
        fs::write(source.join(format!("sub/{number}")), format!("{number}")).unwrap();
    }
    symlink("/nowhere", source.join("link")).unwrap();
    let settle = || {
        // As if a while had passed: what is newer than the copy by less is not trusted.
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
        for entry in fs::read_dir(source.join("sub")).unwrap() {
            let file = fs::File::open(entry.unwrap().path()).unwrap();
            file.set_modified(old).unwrap();
        }
    };
    settle();
    let cache = open(&world);
    let call = CallOptions::default();
    let path = source.to_str().unwrap();
    let entry = cache.add(path, Some("my-project"), &call).unwrap();
    assert_eq!(
        (entry.cache_type, entry.status),
        (CacheType::Local, CacheStatus::Fresh)
    );
    assert_eq!(entry.local_commit_hash, None);
    assert_eq!(files(&entry.cache_path), files(&source));
    assert!(entry.cache_path.join("sub/empty").is_dir());
    assert!(!entry.cache_path.join(".git").exists());
    let ids = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        let of = |folder: &std::path::Path| fs::metadata(folder.join(name)).unwrap().ino();
        (of(&source), of(&entry.cache_path))
    };
    assert!((0..20).all(|number| {
        let (a, b) = ids(&format!("sub/{number}"));
        a != b
    }));

    fs::write(source.join("sub/3"), "changed").unwrap();
    fs::remove_file(source.join("sub/4")).unwrap();
    let entry = cache.refresh("my-project", &call).unwrap();
    assert_eq!(files(&entry.cache_path), files(&source));
    // A copy that somebody wrote into is made again.
    fs::write(entry.cache_path.join("sub/7"), "edited").unwrap();
    fs::write(source.join("new"), "new").unwrap();
    let entry = cache.refresh("my-project", &call).unwrap();
    assert_eq!(files(&entry.cache_path), files(&source));
    let refused = cache.checkout("my-project", "HEAD", &call).unwrap_err();
    assert!(refused.to_string().contains("no commits"), "{refused}");
    fs::remove_dir_all(&source).unwrap();
    assert!(cache.refresh("my-project", &call).is_err());
    let kept = cache.get("my-project").unwrap();
    assert_eq!(kept.status, CacheStatus::Error);
    assert_eq!(fs::read(kept.cache_path.join("new")).unwrap(), b"new");
}

/// Weakness 12: ignored files and secrets were copied, and there was no word of the commit.
#[test]
fn a_working_copy_comes_with_its_history_and_without_what_it_ignores() {
    let world = World::new();
    let source = init(&world.path("project"));
    source.commit_file(".gitignore", ".env\n/target\n");
    source.commit_file("code", "one\n");
    source.run(&[
        "remote",
        "add",
        "origin",
        "https://me:hunter2@example.invalid/x.git",
    ]);
    // What is tracked is not ignored, whatever the patterns say.
    fs::create_dir(source.dir.join("target")).unwrap();
    fs::write(source.dir.join("target/kept"), "kept").unwrap();
    source.run(&["add", "-f", "target/kept"]);
    source.run(&["commit", "-q", "-m", "kept"]);
    fs::write(source.dir.join("code"), "two\n").unwrap();
    fs::write(source.dir.join("untracked"), "x").unwrap();
    fs::write(source.dir.join(".env"), "SECRET=hunter2").unwrap();
    fs::write(source.dir.join("target/big"), "big").unwrap();
    let cache = open(&world);
    let entry = add(&cache, source.dir.to_str().unwrap());
    assert_eq!(entry.cache_type, CacheType::Local);
    let head = source.run(&["rev-parse", "HEAD"]);
    assert_eq!(entry.local_commit_hash.as_deref(), Some(head.trim()));
    assert_eq!(entry.local_branch.as_deref(), Some("main"));
    let tree = Git::at(&entry.cache_path);
    tree.fsck();
    assert_eq!(
        tree.run(&["status", "--porcelain"]),
        " M code\n?? untracked"
    );
    assert!(
        !entry.cache_path.join(".env").exists() && !entry.cache_path.join("target/big").exists()
    );
    let config = fs::read_to_string(entry.cache_path.join(".git/config")).unwrap();
    assert!(!config.contains("hunter2"), "{config}");
    source.run(&["checkout", "-q", "--detach", "HEAD~1"]);
    let entry = add(&cache, source.dir.to_str().unwrap());
    let head = source.run(&["rev-parse", "HEAD"]);
    assert_eq!(entry.local_commit_hash.as_deref(), Some(head.trim()));
    assert_eq!(entry.local_branch, None);
    // The repository may be elsewhere, as that of a submodule is.
    let apart = world.path("apart");
    source.run(&[
        "clone",
        "-q",
        "--separate-git-dir",
        "../apart.git",
        ".",
        "../apart",
    ]);
    fs::write(apart.join(".env"), "SECRET=hunter2").unwrap();
    let entry = add(&cache, apart.to_str().unwrap());
    let tree = Git::at(&entry.cache_path);
    assert_eq!(tree.run(&["status", "--porcelain"]), "");
    assert!(entry.cache_path.join(".git").is_dir() && !entry.cache_path.join(".env").exists());
    let by_url = add(&cache, &format!("file://{}", apart.display()));
    assert_eq!(by_url.source_url, format!("file://{}", apart.display()));
    // One that is linked has its refs in two places, and is copied as it is.
    let linked = world.path("linked");
    source.run(&["worktree", "add", "-q", "-b", "linked", "../linked"]);
    let entry = add(&cache, linked.to_str().unwrap());
    assert!(
        entry.notes[0].contains("linked working tree"),
        "{:?}",
        entry.notes
    );
    assert!(entry.cache_path.join("code").exists() && !entry.cache_path.join(".git").exists());
    // A repository without commits has files all the same.
    let empty = init(&world.path("fresh"));
    fs::write(empty.dir.join("README.md"), "hello").unwrap();
    let entry = add(&cache, empty.dir.to_str().unwrap());
    assert_eq!(
        fs::read(entry.cache_path.join("README.md")).unwrap(),
        b"hello"
    );
    assert_eq!(entry.local_commit_hash, None);
}

#[test]
fn patterns_leave_files_of_a_directory_out() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir(&source).unwrap();
    for name in ["a.log", "b.txt", ".gitignore"] {
        fs::write(source.join(name), "*.txt\n").unwrap();
    }
    let mut config = config(&world.path("cache"));
    let all = Cache::open(config.clone()).unwrap();
    assert_eq!(
        files(&add(&all, source.to_str().unwrap()).cache_path).len(),
        3
    );
    config.ignore.patterns = vec!["*.log".to_owned()];
    config.ignore.gitignore = Some(true);
    let some = Cache::open(config).unwrap();
    assert_eq!(
        files(&add(&some, source.to_str().unwrap()).cache_path).len(),
        1
    );
}
