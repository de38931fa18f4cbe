//! Names, directories, and what must never be touched.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    let is_refused = || matches!(cache.get("mine"), Err(CacheError::Occupied { .. }));
    assert!(is_refused());
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
    assert_eq!(cache.list().unwrap()[0].status, CacheStatus::Missing);
    assert!(is_refused() && cache.lease("mine", &call).is_err());
    assert!(!cache.details("mine", &call).unwrap().exists);
    let refused = cache.refresh("mine", &call).unwrap_err();
    assert!(matches!(refused, CacheError::Occupied { .. }), "{refused}");
    assert!(is_refused());
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    cache.clear(&call).unwrap();
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    assert_eq!(fs::read(victim.join("precious")).unwrap(), b"precious");
    assert!(cache.list().unwrap().is_empty());
    assert!(cache.root().join("theirs").is_dir());
}

/// A folder that is like the copy is somebody's own all the same.
#[test]
fn a_directory_in_the_place_of_its_copy_stays() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "the only one").unwrap();
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = add(&cache, source.to_str().unwrap());
    fs::remove_dir_all(&entry.cache_path).unwrap();
    fs::rename(&source, &entry.cache_path).unwrap();
    fs::create_dir(&source).unwrap();
    let refused = cache.refresh("project", &call).unwrap_err();
    assert!(matches!(refused, CacheError::Occupied { .. }), "{refused}");
    cache.remove("project", &call).unwrap();
    let kept = fs::read(entry.cache_path.join("file")).unwrap();
    assert_eq!(kept, b"the only one");
}

#[test]
fn a_directory_whose_place_a_link_took_is_another_source() {
    let world = World::new();
    let plain = world.path("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("file"), "content").unwrap();
    let work = init(&world.path("work"));
    work.commit_file("code", "code\n");
    world.with_history("bare");
    let (cache, call) = (open(&world), CallOptions::default());
    let by_url = format!("file://{}", world.path("bare.git").display());
    for (folder, name, source) in [
        ("plain", "plain", plain.to_str().unwrap()),
        ("work", "work", work.dir.to_str().unwrap()),
        ("bare.git", "bare", &by_url),
    ] {
        let before = add(&cache, source);
        assert_eq!(before.name, name);
        let (place, moved) = (world.path(folder), world.path(&format!("moved-{folder}")));
        fs::rename(&place, &moved).unwrap();
        symlink(&moved, &place).unwrap();
        let told = cache.refresh(name, &call).unwrap_err().to_string();
        let by_name = cache.add(source, Some(name), &call).unwrap_err();
        assert_eq!(by_name.to_string(), told);
        let says = |what: &str| told.contains(what);
        assert!(says("Invalid source") && says("symbolic link"), "{told}");
        assert!(says(moved.to_str().unwrap()), "{told}");
        let kept = cache.get(name).unwrap();
        assert_eq!(
            (kept.status, kept.error_message),
            (CacheStatus::Error, Some(told))
        );
        assert!(cache.checkout(name, "HEAD", &call).is_err());
        // The link is one more way to write where it leads.
        let other = add(&cache, source);
        assert_ne!(other.name, name);
        assert_eq!(other.name, add(&cache, other.source_url.as_str()).name);
        assert_eq!(files(&other.cache_path), files(&before.cache_path));
        fs::remove_file(&place).unwrap();
        fs::rename(&moved, &place).unwrap();
        let again = cache.refresh(name, &call).unwrap();
        assert_eq!(again.status, CacheStatus::Fresh);
    }
}

/// With another number and another time of change for each file, as `cp -a` and archives make it.
#[test]
fn a_copy_of_a_cache_is_one() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir_all(source.join("sub/empty")).unwrap();
    fs::write(source.join("sub/file"), "content").unwrap();
    symlink("sub", source.join("link")).unwrap();
    let git = init(&world.path("work"));
    git.commit_file("code", "code\n");
    let bare = path_of(&world.with_history("bare"));
    let sources = [source.to_str().unwrap(), git.dir.to_str().unwrap(), &bare];
    let first = open(&world);
    for source in sources {
        add(&first, source);
    }
    let copied = world.path("copied");
    let status = std::process::Command::new("cp")
        .args(["-a", first.root().to_str().unwrap()])
        .arg(&copied)
        .status();
    assert!(status.unwrap().success());
    let cache = Cache::open(config(&copied)).unwrap();
    let call = CallOptions::default();
    for name in ["project", "work", "bare"] {
        let place = cache.root().join(name);
        let [before, expected] = [number(&place, "."), number(&first.root().join(name), ".")];
        let entry = cache.get(name).unwrap();
        assert_eq!(
            (entry.status, entry.cache_path),
            (CacheStatus::Stale, place.clone())
        );
        let entry = cache.refresh(name, &call).unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh);
        assert_ne!(number(&place, "."), before, "{name}");
        assert_eq!(files(&place), files(&first.root().join(name)));
        assert_eq!(number(&first.root().join(name), "."), expected);
    }
    cache.clear(&call).unwrap();
    assert!(!copied.join("project").exists());

    // What somebody put into it is his.
    let status = std::process::Command::new("cp")
        .args(["-a", first.root().to_str().unwrap()])
        .arg(world.path("again"))
        .status();
    assert!(status.unwrap().success());
    let place = world.path("again").join("project");
    fs::write(place.join("mine"), "mine").unwrap();
    let cache = Cache::open(config(&world.path("again"))).unwrap();
    let refused = cache.refresh("project", &call).unwrap_err();
    assert!(matches!(refused, CacheError::Occupied { .. }), "{refused}");
    fs::rename(&place, world.path("aside")).unwrap();
    cache.refresh("project", &call).unwrap();
    assert_eq!(files(&place), files(&source));
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
        let of = |folder: &Path| fs::metadata(folder.join(name)).unwrap().ino();
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

/// What is newer than a copy by less than two seconds is not trusted to be what was copied.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

fn number(folder: &Path, name: &str) -> u64 {
    fs::metadata(folder.join(name)).unwrap().ino()
}

/// Weakness 12: all was copied again.
#[test]
fn a_file_that_did_not_change_is_not_copied_again() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir_all(source.join("sub")).unwrap();
    for name in ["sub/same", "sub/other", "changing"] {
        fs::write(source.join(name), "content").unwrap();
    }
    settle();
    let mut config = config(&world.path("cache"));
    // Nobody keeps the trees before.
    config.grace = Duration::ZERO;
    let cache = Cache::open(config).unwrap();
    let place = add(&cache, source.to_str().unwrap()).cache_path;
    let of = |name| number(&place, name);
    let first = [of("sub/same"), of("changing")];
    for round in 0..3 {
        fs::write(source.join("changing"), round.to_string()).unwrap();
        add(&cache, source.to_str().unwrap());
        assert_eq!(files(&place), files(&source));
        assert_eq!(of("sub/same"), first[0], "{round}");
        assert_ne!(number(&source, "sub/same"), first[0]);
    }
    // A copy that somebody wrote into, with the length and the time that it had, is not what the source is.
    let other = place.join("sub/other");
    let modified = fs::metadata(&other).unwrap().modified().unwrap();
    fs::write(&other, "CONTENT").unwrap();
    let file = fs::File::options().write(true).open(&other).unwrap();
    file.set_modified(modified).unwrap();
    fs::write(source.join("changing"), "at last").unwrap();
    add(&cache, source.to_str().unwrap());
    assert_eq!(files(&place), files(&source));
    assert_eq!(of("sub/same"), first[0]);
    // Nor is a file of the source itself, by way of a link.
    fs::remove_dir_all(place.join("sub")).unwrap();
    symlink(source.join("sub"), place.join("sub")).unwrap();
    fs::write(source.join("changing"), "after all").unwrap();
    add(&cache, source.to_str().unwrap());
    assert_eq!(files(&place), files(&source));
    assert_ne!(of("sub/same"), number(&source, "sub/same"));
}

#[test]
fn a_directory_that_did_not_change_is_not_copied_and_is_whole_all_the_same() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir_all(source.join("sub/empty")).unwrap();
    fs::write(source.join("sub/file"), "content").unwrap();
    symlink("sub", source.join("link")).unwrap();
    settle();
    let cache = open(&world);
    let entry = add(&cache, source.to_str().unwrap());
    let place = &entry.cache_path;
    let before = number(place, ".");
    let again = add(&cache, source.to_str().unwrap());
    assert_eq!(number(place, "."), before);
    assert!(again.last_updated >= entry.last_updated);
    let changes: [&dyn Fn(); 5] = [
        // As long as it was, and only the time tells.
        &|| fs::write(place.join("sub/file"), "CONTENT").unwrap(),
        &|| fs::remove_file(place.join("sub/file")).unwrap(),
        &|| fs::write(place.join("sub/file"), "").unwrap(),
        &|| fs::remove_dir(place.join("sub/empty")).unwrap(),
        &|| fs::remove_file(place.join("link")).unwrap(),
    ];
    for change in changes {
        change();
        let entry = add(&cache, source.to_str().unwrap());
        assert_eq!(entry.status, CacheStatus::Fresh);
        assert_eq!(files(place), files(&source));
        assert!(place.join("sub/empty").is_dir());
    }
}

/// What may be done with a file of a copy, and where its links lead, is part of it.
#[test]
fn modes_and_links_of_a_copy_of_a_directory_that_somebody_changed_are_made_anew() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("run"), "#!/bin/sh\n").unwrap();
    symlink("aaaa", source.join("link")).unwrap();
    let set =
        |path: PathBuf, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    set(source.join("run"), 0o755);
    set(source.join("sub"), 0o550);
    settle();
    let cache = open(&world);
    let place = add(&cache, source.to_str().unwrap()).cache_path;
    let link = |target: &str| {
        fs::remove_file(place.join("link")).unwrap();
        symlink(target, place.join("link")).unwrap();
    };
    let changes: [(&str, &dyn Fn()); 4] = [
        ("may not run", &|| set(place.join("run"), 0o644)),
        ("may not be entered by others", &|| {
            set(place.join("sub"), 0o700)
        }),
        ("leads elsewhere", &|| link("bbbb")),
        ("leads further", &|| link("bbbbb")),
    ];
    let modes =
        || ["run", "sub"].map(|name| fs::metadata(place.join(name)).unwrap().mode() & 0o777);
    for (what, change) in changes {
        change();
        let before = number(&place, ".");
        let entry = add(&cache, source.to_str().unwrap());
        assert_eq!(entry.status, CacheStatus::Fresh);
        assert_ne!(number(&place, "."), before, "{what}");
        assert_eq!(files(&place), files(&source), "{what}");
        assert_eq!(modes(), [0o755, 0o750], "{what}");
    }
    let before = number(&place, ".");
    add(&cache, source.to_str().unwrap());
    assert_eq!(number(&place, "."), before, "nothing became of it");
}

#[test]
fn links_of_a_directory_are_copied_and_not_followed() {
    let world = World::new();
    let (source, elsewhere) = (world.path("project"), world.path("elsewhere"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("secret"), "secret").unwrap();
    symlink(&elsewhere, source.join("folder")).unwrap();
    symlink(elsewhere.join("secret"), source.join("file")).unwrap();
    symlink(world.path("cache"), source.join("cache")).unwrap();
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = add(&cache, source.to_str().unwrap());
    assert_eq!(files(&entry.cache_path), files(&source));
    for name in ["folder", "file", "cache"] {
        assert!(entry.cache_path.join(name).is_symlink(), "{name}");
    }
    cache.remove(&entry.name, &call).unwrap();
    assert_eq!(fs::read(elsewhere.join("secret")).unwrap(), b"secret");
}

#[test]
fn a_directory_that_does_not_fit_is_refused_before_it_is_copied() {
    let world = World::new();
    let source = world.path("project");
    fs::create_dir(&source).unwrap();
    let large = fs::File::create(source.join("large")).unwrap();
    large.set_len(1 << 40).unwrap();
    let cache = open(&world);
    let call = CallOptions::default();
    let full = cache.add(source.to_str().unwrap(), None, &call);
    assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    assert!(!cache.root().join("project").exists());
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
}

/// By the file `.git` of a linked working tree `git` in the copy would work on the repository of the source.
#[test]
fn a_copy_of_a_directory_has_no_way_back_into_it() {
    let world = World::new();
    let source = world.path("all");
    fs::create_dir(&source).unwrap();
    let lib = init(&world.path("lib"));
    lib.commit_file("code", "code\n");
    let main = init(&source.join("main"));
    main.commit_file("file", "x\n");
    let allow = "protocol.file.allow=always";
    main.run(&[
        "-c",
        allow,
        "submodule",
        "--quiet",
        "add",
        "../../lib",
        "sub",
    ]);
    main.run(&["commit", "-q", "-m", "sub"]);
    main.run(&["worktree", "add", "-q", "-b", "linked", "../linked"]);
    let entry = add(&open(&world), source.to_str().unwrap());
    let copy = &entry.cache_path;
    assert!(copy.join("linked/file").exists() && !copy.join("linked/.git").exists());
    assert_eq!(
        entry.notes,
        ["'linked/.git' leads to a repository elsewhere and was left out"]
    );
    // What leads to a place in the copy stays.
    let sub = Git::at(copy.join("main/sub"));
    let top = sub.run(&["rev-parse", "--absolute-git-dir"]);
    assert_eq!(Path::new(&top), copy.join("main/.git/modules/sub"));
}

/// Of what the source does not have all, the files are copied, and what is tracked is among them whatever the patterns say.
#[test]
fn a_working_copy_with_a_part_of_its_history_comes_without_it() {
    let world = World::new();
    let origin = init(&world.path("origin"));
    origin.commit_file(".gitignore", "kept\n");
    origin.commit_file("file", "old\n");
    fs::write(origin.dir.join("kept"), "kept").unwrap();
    origin.run(&["add", "-f", "kept"]);
    origin.commit_file("file", "new\n");
    origin.run(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", origin.dir.display());
    let cache = open(&world);
    for (name, part, told) in [
        (
            "shallow",
            "--depth=1",
            "its history is cut off, and was left out",
        ),
        (
            "partial",
            "--filter=blob:none",
            "it is a partial clone: its history lacks objects, and was left out",
        ),
    ] {
        origin.run(&["clone", "-q", part, &url, &format!("../{name}")]);
        settle();
        let source = world.path(name);
        let entry = add(&cache, source.to_str().unwrap());
        assert_eq!(entry.notes, [told]);
        assert_eq!(files(&entry.cache_path), files(&source));
        assert!(entry.cache_path.join("kept").exists());
        assert!(!entry.cache_path.join(".git").exists());
        let before = number(&entry.cache_path, ".");
        add(&cache, source.to_str().unwrap());
        assert_eq!(number(&entry.cache_path, "."), before);
    }
}

/// To try again is of no use.
#[test]
fn what_stays_as_it_is_is_told_from_what_passes() {
    let world = World::new();
    let source = world.with_history("source");
    source.run(&[
        "clone",
        "-q",
        "--bare",
        "--depth=1",
        &format!("file://{}", source.dir.display()),
        "../shallow.git",
    ]);
    source.run(&["config", "uploadpack.allowFilter", "true"]);
    source.run(&[
        "clone",
        "-q",
        "--bare",
        "--filter=blob:none",
        &format!("file://{}", source.dir.display()),
        "../partial.git",
    ]);
    source.run(&[
        "init",
        "-q",
        "--bare",
        "--object-format=sha256",
        "../sha256.git",
    ]);
    let cache = open(&world);
    let call = CallOptions::default();
    for name in ["shallow.git", "partial.git", "sha256.git"] {
        let error = cache
            .add(world.path(name).to_str().unwrap(), None, &call)
            .unwrap_err();
        assert!(error.is_lasting(), "{name}: {error}");
    }
    let error = cache
        .add("http://127.0.0.1:1/none.git", None, &call)
        .unwrap_err();
    assert!(!error.is_lasting(), "{error}");
}
