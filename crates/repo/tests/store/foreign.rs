//! Repositories that others made.

use std::os::unix::ffi::OsStrExt;

use packhouse_repo::store::{
    FileType, LogFilter, NoProgress, Store, StoreErrorKind, StoreOptions, WriteOptions,
};

use super::{World, git_in, options, put};

fn open(path: impl AsRef<std::path::Path>) -> Store {
    Store::open(path, StoreOptions::default()).unwrap()
}

#[test]
fn odd_modes_and_submodules_are_read_and_kept() {
    let world = World::new();
    let blob = put(&world.main(), "seed", "x")
        .entry("seed")
        .unwrap()
        .unwrap()
        .id;
    // Git itself does not write such modes any more.
    let mut tree = Vec::new();
    for (mode, name, id) in [
        ("100664", "group", blob),
        ("100775", "run", blob),
        ("160000", "sub", world.main().commit()),
    ] {
        tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        tree.extend_from_slice(id.as_slice());
    }
    let file = world.folder.path().join("tree");
    std::fs::write(&file, tree).unwrap();
    let tree = world.git(&[
        "hash-object",
        "-w",
        "-t",
        "tree",
        "--literally",
        file.to_str().unwrap(),
    ]);
    let commit = world.git(&["commit-tree", &tree, "-p", "main", "-m", "odd"]);
    world.git(&["update-ref", "refs/heads/main", &commit]);
    let main = world.main();
    let stat = main.stat("group").unwrap();
    assert_eq!((stat.mode, stat.file_type), (0o100664, FileType::Blob));
    assert_eq!(main.stat("run").unwrap().file_type, FileType::Executable);
    let sub = main.stat("sub").unwrap();
    assert_eq!((sub.file_type, sub.size), (FileType::Commit, 0));
    assert!(main.exists("sub").unwrap() && !main.is_dir("sub").unwrap());
    assert_eq!(
        main.read("sub", 0, None).unwrap_err().kind(),
        StoreErrorKind::IsADirectory
    );
    assert!(!main.exists("sub/x").unwrap());
    // A write beside them leaves them as they are.
    let after = put(&main, "new", "1");
    assert_eq!(after.stat("group").unwrap().mode, 0o100664);
    let lines = world.git(&["ls-tree", "main"]);
    assert!(lines.contains("160000 commit"), "{lines}");
    let updated = put(&after, "group", "x");
    assert_eq!(updated.message(), "~ group");
}

#[test]
fn tags_of_tags_lead_to_their_commit_and_others_are_refused() {
    let world = World::new();
    let main = put(&world.main(), "a", "1");
    world.git(&["tag", "-a", "one", "-m", "1", "main"]);
    world.git(&["tag", "-a", "two", "-m", "2", "one"]);
    world.git(&["tag", "light", "main"]);
    world.git(&["tag", "blob", "main:a"]);
    let tags = world.store.tags();
    for name in ["one", "two", "light"] {
        let tagged = tags.get(name).unwrap();
        assert_eq!(tagged.commit(), main.commit());
        assert_eq!((tagged.ref_name(), tagged.writable()), (Some(name), false));
    }
    let error = tags.get("blob").unwrap_err();
    assert_eq!(error.to_string(), "Tag 'blob' does not point to a commit");
    assert_eq!(error.kind(), StoreErrorKind::Value);
    assert_eq!(tags.names().unwrap(), ["blob", "light", "one", "two"]);
    assert_eq!(tags.get("none").unwrap_err().kind(), StoreErrorKind::Key);
    assert_eq!(
        tags.current_name().unwrap_err().kind(),
        StoreErrorKind::Value
    );
}

#[test]
fn a_head_that_names_no_branch_hinders_nobody() {
    let world = World::new();
    let commit = put(&world.main(), "a", "1").commit().to_string();
    let head = world.path().join("HEAD");
    for text in [
        format!("{commit}\n"),
        "ref: refs/heads/gone\n".to_owned(),
        "junk\n".to_owned(),
        "ref: main\n".to_owned(),
    ] {
        std::fs::write(&head, &text).unwrap();
        let store = open(world.path());
        assert_eq!(store.branches().current_name().unwrap(), None, "{text}");
        assert_eq!(store.branches().names().unwrap(), ["main"]);
        let before = store.branches().get("main").unwrap();
        put(&before, "b", &text);
        assert_eq!(std::fs::read(&head).unwrap(), text.as_bytes());
    }
    open(world.path()).branches().set_current("main").unwrap();
    assert_eq!(
        open(world.path())
            .branches()
            .current_name()
            .unwrap()
            .as_deref(),
        Some("main")
    );
    world.fsck();
}

#[test]
fn packed_refs_and_objects_are_written_upon() {
    let world = World::new();
    let first = put(&world.main(), "a/b", "1");
    world.git(&["pack-refs", "--all", "--prune"]);
    world.git(&["gc", "--prune=now", "--quiet"]);
    assert!(!world.path().join("refs/heads/main").exists());
    let second = put(&first, "a/c", "2");
    let third = put(&second, "a/d", "3");
    assert_eq!(world.main().commit(), third.commit());
    world.git(&["gc", "--prune=now", "--quiet"]);
    assert_eq!(first.read("a/b", 0, None).unwrap(), b"1");
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "4");
    world.fsck();
}

/// Every file of a folder with what is in it.
fn all_in(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(all_in(&path)),
            false => found.push((path.clone(), std::fs::read(path).unwrap())),
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn other_forms_of_storage_are_refused_in_one_sentence_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (format, settings, says)) in [
        ("sha256", "", "object format sha256"),
        (
            "sha1",
            "[remote \"origin\"]\n\tpromisor = true\n",
            "partial clone",
        ),
        (
            "sha1",
            "[extensions]\n\trefStorage = reftable\n",
            "ref storage reftable",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(number.to_string());
        let format = format!("--object-format={format}");
        let init = ["init", "-q", "--bare", &format, path.to_str().unwrap()];
        git_in(folder.path(), &init);
        let config = path.join("config");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(config, text + settings).unwrap();
        let before = all_in(&path);
        let level = StoreOptions {
            compression: Some(3),
            ..StoreOptions::default()
        };
        for options in [StoreOptions::default(), options(Some("main")), level] {
            let error = Store::open(&path, options).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Git);
            let error = error.to_string();
            assert!(error.contains(says) && !error.contains('\n'), "{error}");
        }
        assert_eq!(all_in(&path), before);
    }
}

#[test]
fn working_copies_and_shallow_clones_can_be_read() {
    let world = World::new();
    let mut at = world.main();
    for n in 0..3 {
        at = put(&at, "a", &n.to_string());
    }
    let clone = world.folder.path().join("clone");
    let url = format!("file://{}", world.path().display());
    git_in(
        world.folder.path(),
        &["clone", "-q", "--depth", "2", &url, clone.to_str().unwrap()],
    );
    let store = open(&clone);
    let main = store.branches().get("main").unwrap();
    assert_eq!(main.read("a", 0, None).unwrap(), b"2");
    let parent = main.parent().unwrap().unwrap();
    assert_eq!(parent.read("a", 0, None).unwrap(), b"1");
    assert_eq!(parent.parent().unwrap(), None);
    let error = main.write("a", b"x", &WriteOptions::default()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Permission);
}

#[test]
fn a_bare_shallow_clone_is_read_as_far_as_it_goes_and_not_written() {
    let world = World::new();
    let mut at = world.main();
    for n in 0..4 {
        at = put(&at, "a", &n.to_string());
    }
    let clone = world.folder.path().join("shallow.git");
    let url = format!("file://{}", world.path().display());
    let place = clone.to_str().unwrap();
    let depth = ["clone", "-q", "--bare", "--depth", "2", &url, place];
    git_in(world.folder.path(), &depth);
    let before = all_in(&clone);
    let store = open(&clone);
    let main = store.branches().get("main").unwrap();
    assert_eq!(main.commit(), at.commit());
    let of_path = LogFilter {
        path: Some("a".into()),
        ..LogFilter::default()
    };
    for filter in [LogFilter::default(), of_path] {
        assert_eq!(main.log(filter).unwrap().count(), 2);
    }
    assert_eq!(main.back(2).unwrap_err().kind(), StoreErrorKind::Value);
    for error in [
        main.write("a", b"x", &WriteOptions::default()).unwrap_err(),
        store.branches().set("b", &main).unwrap_err(),
        store
            .notes("commits")
            .unwrap()
            .set("main", "x")
            .unwrap_err(),
        store.pack(&NoProgress).unwrap_err(),
        store.gc(&NoProgress).unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Permission, "{error:?}");
        assert!(error.to_string().contains("shallow"), "{error}");
    }
    assert_eq!(all_in(&clone), before);
}

#[test]
fn borrowed_objects_are_read_and_not_needed_for_writing() {
    let world = World::new();
    let main = put(&world.main(), "a", "1");
    let borrower = world.folder.path().join("borrower.git");
    git_in(
        world.folder.path(),
        &[
            "clone",
            "-q",
            "--bare",
            "--shared",
            world.path().to_str().unwrap(),
            borrower.to_str().unwrap(),
        ],
    );
    let store = open(&borrower);
    let there = store.branches().get("main").unwrap();
    assert_eq!(there.commit(), main.commit());
    let written = put(&there, "b", "2");
    assert_eq!(written.read("a", 0, None).unwrap(), b"1");
    assert_eq!(git_in(&borrower, &["fsck", "--full", "--strict"]), "");
    assert!(!store.same_repository(&world.store));
    assert!(
        !world
            .store
            .has_blob(&written.entry("b").unwrap().unwrap().id)
            .unwrap()
    );
}

#[test]
fn a_head_log_of_others_is_carried_on() {
    let world = World::new();
    put(&world.main(), "a", "1");
    std::fs::write(world.path().join("logs/HEAD"), b"").unwrap();
    let after = put(&world.main(), "a", "2");
    let log = world.git(&["reflog", "show", "HEAD", "--format=%H %gs"]);
    assert_eq!(log, format!("{} commit: ~ a", after.commit()));
    world.fsck();
}

#[test]
fn revisions_are_branches_then_tags_then_hashes() {
    let world = World::new();
    let first = put(&world.main(), "a", "1");
    let second = put(&first, "a", "2");
    world.git(&["tag", "main", &first.commit().to_string()]);
    world.git(&["tag", "v", &first.commit().to_string()]);
    let find = |rev: &str, back| world.store.snapshot(rev, back);
    assert_eq!(find("main", 0).unwrap(), second.with_changes(None));
    assert_eq!(find("main", 1).unwrap().commit(), first.commit());
    assert!(!find("v", 0).unwrap().writable());
    let hex = second.commit().to_string();
    let found = find(&hex[..10], 0).unwrap();
    assert_eq!((found.commit(), found.ref_name()), (second.commit(), None));
    assert_eq!(
        find(&hex.to_uppercase(), 0).unwrap().commit(),
        second.commit()
    );
    assert_eq!(find("nope", 0).unwrap_err().kind(), StoreErrorKind::Key);
    assert_eq!(
        find(&"0".repeat(40), 0).unwrap_err().kind(),
        StoreErrorKind::Key
    );
    assert_eq!(find("main", 9).unwrap_err().kind(), StoreErrorKind::Value);
    let tree = second.tree().to_string();
    assert_eq!(find(&tree, 0).unwrap_err().kind(), StoreErrorKind::Value);
}

#[test]
fn deleting_a_symbolic_ref_leaves_what_it_stands_for() {
    let world = World::new();
    let written = put(&world.main(), "a", "1");
    world.store.tags().set("v1", &written).unwrap();
    world.git(&["symbolic-ref", "refs/heads/sym", "refs/heads/main"]);
    world.git(&["symbolic-ref", "refs/tags/latest", "refs/tags/v1"]);

    world.store.branches().delete("sym").unwrap();
    world.store.tags().delete("latest").unwrap();

    assert_eq!(world.store.branches().names().unwrap(), ["main"]);
    assert_eq!(world.store.tags().names().unwrap(), ["v1"]);
    assert_eq!(
        world.git(&["rev-parse", "main"]),
        written.commit().to_string()
    );
    assert!(!world.path().join("refs/heads/sym").exists());
    // What is in its reflog is still there to go back to.
    assert_eq!(world.store.branches().reflog("main").unwrap().len(), 1);
    world.fsck();
}

#[test]
fn a_symbolic_ref_that_leads_nowhere_can_be_deleted() {
    let world = World::new();
    let before = world.main();
    let (branches, tags) = (world.store.branches(), world.store.tags());
    // To a ref that is not there, to a name that none can have, and round and round.
    for target in [
        "refs/heads/gone",
        "refs/heads/a..b",
        "refs/heads/sym",
        "nonsense",
    ] {
        for (map, file) in [(&branches, "refs/heads/sym"), (&tags, "refs/tags/sym")] {
            let file = world.path().join(file);
            std::fs::write(&file, format!("ref: {target}\n")).unwrap();
            assert!(!map.contains("sym").unwrap(), "{target}");
            map.delete("sym").unwrap();
            assert!(!file.exists(), "{target}");
            let again = map.delete("sym").unwrap_err();
            assert_eq!(again.kind(), StoreErrorKind::Key);
        }
    }
    // Beside a ref that is packed, and with HEAD on it.
    std::fs::write(world.path().join("refs/heads/sym"), "ref: refs/heads/x\n").unwrap();
    world.git(&["pack-refs", "--all"]);
    world.git(&["symbolic-ref", "HEAD", "refs/heads/sym"]);
    branches.delete("sym").unwrap();
    assert_eq!(branches.names().unwrap(), ["main"]);
    assert_eq!(branches.current_name().unwrap(), None);
    assert_eq!(branches.head_name().unwrap().unwrap(), "sym");
    assert_eq!(world.main().commit(), before.commit());
    world.git(&["symbolic-ref", "HEAD", "refs/heads/main"]);
    world.fsck();
}

#[test]
fn a_write_beside_a_working_copy_is_refused_because_of_it() {
    let folder = tempfile::tempdir().unwrap();
    git_in(folder.path(), &["init", "-q", "-b", "main", "work"]);
    let work = folder.path().join("work");
    git_in(&work, &["commit", "-q", "--allow-empty", "-m", "one"]);
    let store = open(work.join(".git"));
    let main = store.branches().get("main").unwrap();
    let error = main.write("a", b"1", &WriteOptions::default()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Permission);
    let error = error.to_string();
    assert!(error.contains("it has a working copy"), "{error}");
}

#[test]
fn commits_are_shown_in_the_encoding_that_they_name() {
    let world = World::new();
    let tree = world.git(&["rev-parse", "main^{tree}"]);
    let mut commit = format!("tree {tree}\nauthor ").into_bytes();
    commit
        .extend_from_slice(b"Zo\xeb <z@x> 5 +9959\ncommitter nobody\nencoding latin1\n\ncaf\xe9\n");
    let file = world.folder.path().join("commit");
    std::fs::write(&file, commit).unwrap();
    let file = file.to_str().unwrap();
    let id = world.git(&["hash-object", "-t", "commit", "-w", "--literally", file]);
    world.git(&["update-ref", "refs/heads/odd", &id]);
    let odd = world.store.branches().get("odd").unwrap();
    assert_eq!(odd.message(), "caf\u{e9}");
    assert_eq!(odd.author_name(), "Zo\u{eb}");
    assert_eq!(odd.calendar_time(), (0, 0));
    // What is made of it says so in UTF-8, which is what a commit of ours names.
    let squashed = odd.squash(None, None).unwrap();
    let id = squashed.commit().to_string();
    assert_eq!(world.git(&["log", "-1", "--format=%B", &id]), "caf\u{e9}");
    let after = put(&odd, "a", "1");
    assert_eq!(after.log(LogFilter::default()).unwrap().count(), 2);
}

#[test]
fn refs_whose_names_are_no_text_are_listed_and_used_by_their_quoted_names() {
    let world = World::new();
    let first = put(&world.main(), "a", "1");
    for folder in ["heads", "tags"] {
        let name = [b"refs/", folder.as_bytes(), b"/caf\xe9"].concat();
        let commit = format!("{}\n", first.commit());
        let file = world.path().join(std::ffi::OsStr::from_bytes(&name));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, commit).unwrap();
    }
    let (branches, tags) = (world.store.branches(), world.store.tags());
    let name = r#""caf\351""#;
    assert_eq!(branches.names().unwrap(), [name, "main"]);
    assert_eq!(tags.names().unwrap(), [name]);
    assert_eq!((branches.len().unwrap(), tags.len().unwrap()), (2, 1));
    assert_eq!(tags.get(name).unwrap().commit(), first.commit());
    assert_eq!(
        world.store.snapshot(name, 0).unwrap().ref_name(),
        Some(name)
    );
    let written = put(&branches.get(name).unwrap(), "b", "2");
    assert_eq!(branches.get(name).unwrap().commit(), written.commit());
    assert_eq!(branches.reflog(name).unwrap().len(), 1);
    branches.set_current(name).unwrap();
    assert_eq!(branches.current_name().unwrap().as_deref(), Some(name));
    assert_eq!(branches.head_name().unwrap().as_deref(), Some(name));
    assert!(world.git(&["cat-file", "-t", "HEAD:b"]) == "blob");
    branches.set_current("main").unwrap();
    // Such a name can be given, and a plain one is none of these.
    branches.set(r#""\377""#, &written).unwrap();
    let listed = world.git(&["for-each-ref", "--format=%(objectname)", "refs/heads"]);
    assert_eq!(listed.lines().count(), 3);
    branches.set(r#""quoted""#, &written).unwrap();
    assert!(branches.contains(r#""quoted""#).unwrap() && !branches.contains("quoted").unwrap());
    branches.delete(name).unwrap();
    assert!(!branches.contains(name).unwrap() && tags.contains(name).unwrap());
}
