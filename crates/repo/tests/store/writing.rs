//! Commits: what they hold, when there are none, and who is told what.

use std::io::Write;

use packhouse_repo::store::{
    ChangeKind, CommitOptions, Durability, FileType, NewContent, Store, StoreError, StoreErrorKind,
    StoreOptions, WriteOptions,
};

use super::{World, options, put};

fn with_message(message: &str) -> WriteOptions {
    WriteOptions {
        message: Some(message.to_owned()),
        ..WriteOptions::default()
    }
}

#[test]
fn a_write_is_one_commit_that_git_reads() {
    for durability in [Durability::Relaxed, Durability::Full] {
        let world = World::with(StoreOptions {
            durability,
            ..options(Some("main"))
        });
        let start = world.main();
        let first = put(&start, "docs/a.txt", "hello");
        assert_eq!(first.parent().unwrap().unwrap().commit(), start.commit());
        assert_eq!(first.message(), "+ docs/a.txt");
        assert_eq!(first.ref_name(), Some("main"));
        assert!(first.writable());
        assert_eq!(first.read("docs/a.txt", 0, None).unwrap(), b"hello");
        assert!(!start.exists("docs/a.txt").unwrap());
        let second = first
            .write("docs/a.txt", b"bye", &with_message("Said goodbye\n\n"))
            .unwrap();
        assert_eq!(second.message(), "Said goodbye");
        let changes = second.changes().unwrap();
        assert_eq!(changes.update[0].path, "docs/a.txt");
        assert_eq!(changes.actions()[0].kind, ChangeKind::Update);
        assert_eq!(
            world.git(&["rev-parse", "main"]),
            second.commit().to_string()
        );
        assert_eq!(world.git(&["show", "main:docs/a.txt"]), "bye");
        let raw = world.git(&["cat-file", "commit", "main"]);
        assert!(raw.ends_with("encoding UTF-8\n\nSaid goodbye"), "{raw}");
        let log = std::fs::read_to_string(world.path().join("logs/refs/heads/main")).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with(&format!(
            "{} {} gitstore <gitstore@localhost> ",
            first.commit(),
            second.commit()
        )));
        assert!(lines[1].ends_with(" +0000\tcommit: Said goodbye"));
        assert!(!world.path().join("logs/HEAD").exists());
        world.fsck();
    }
}

#[test]
fn writing_the_same_again_gives_the_same_snapshot() {
    let world = World::new();
    let first = put(&world.main(), "a", "1");
    let again = put(&first, "a", "1");
    assert_eq!(again, first);
    let runs = WriteOptions {
        mode: Some(FileType::Executable),
        ..WriteOptions::default()
    };
    let runnable = first.write("a", b"1", &runs).unwrap();
    assert_eq!(runnable.message(), "~ a (executable)");
    // A stale write is told so even if it would change nothing.
    let stale = first.write("a", b"1", &WriteOptions::default());
    assert_eq!(stale.unwrap_err().kind(), StoreErrorKind::Stale);
    assert_eq!(world.git(&["rev-list", "--count", "main"]), "3");
}

#[test]
fn whoever_is_late_is_told_and_stores_nothing() {
    let world = World::new();
    let start = world.main();
    put(&start, "a", "1");
    let count = world.git(&["count-objects"]);
    let error = start
        .write("b", b"2", &WriteOptions::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Branch 'main' has advanced since this snapshot"
    );
    assert_eq!(world.git(&["count-objects"]), count);
    world.git(&["update-ref", "-d", "refs/heads/main"]);
    let error = start.write("b", b"2", &WriteOptions::default());
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Key);
    let error = start.write("b", b"2", &WriteOptions::default());
    assert!(matches!(error, Err(StoreError::NoSuchBranch { name }) if name == "main"));
}

#[test]
fn read_only_snapshots_say_what_they_refuse() {
    let world = World::new();
    let detached = world.main().detached();
    let write = |snapshot: &packhouse_repo::store::Snapshot| {
        snapshot
            .write("a", b"", &WriteOptions::default())
            .unwrap_err()
    };
    assert_eq!(
        write(&detached).to_string(),
        "Cannot write to read-only snapshot"
    );
    assert_eq!(write(&detached).kind(), StoreErrorKind::Permission);
    world.git(&["tag", "v1", "main"]);
    let tagged = world.store.tags().get("v1").unwrap();
    assert_eq!(
        write(&tagged).to_string(),
        "Cannot write to read-only snapshot (ref 'v1')"
    );
    let error = tagged.batch(CommitOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Cannot batch on read-only snapshot (ref 'v1')"
    );
}

#[test]
fn files_and_folders_replace_each_other() {
    let world = World::new();
    let mut at = put(&world.main(), "a", "file");
    at = put(&at, "a/b/c", "deep");
    assert!(at.is_dir("a/b").unwrap());
    at = put(&at, "a/b", "file again");
    assert_eq!(at.read("a/b", 0, None).unwrap(), b"file again");
    at = put(&at, "a", "flat");
    assert_eq!(at.ls("").unwrap().len(), 1);
    let bytes = |text: &str| NewContent::Bytes(text.into());
    let none: [&str; 0] = [];
    at = at
        .apply(
            [("c", bytes("x"), None), ("c/d", bytes("y"), None)],
            none,
            CommitOptions::default(),
        )
        .unwrap();
    assert!(at.is_dir("c").unwrap());
    assert_eq!(at.message(), "+ c/d");
    // A folder that loses its last file goes too.
    at = at
        .apply(
            [("e/f", bytes("1"), None)],
            ["c/d", "nothing"],
            CommitOptions::default(),
        )
        .unwrap();
    assert!(!at.exists("c").unwrap());
    assert_eq!(at.message(), "Batch: +1 -1");
    // A removal of what is written at the same time wins.
    let same = at.apply([("g", bytes("1"), None)], ["g"], CommitOptions::default());
    assert_eq!(same.unwrap(), at);
    world.fsck();
}

#[test]
fn a_folder_is_removed_with_all_that_is_in_it_and_can_be_made_anew() {
    let world = World::new();
    let mut at = put(&world.main(), "d/x", "1");
    at = put(&at, "d/y/z", "2");
    at = put(&at, "d-more", "3");
    let mut edits = packhouse_repo::store::Edits::new(&world.store);
    edits.remove("d").unwrap();
    edits
        .put("d/new", NewContent::Bytes(b"4".to_vec()), None)
        .unwrap();
    at = at.commit_edits(edits, CommitOptions::default()).unwrap();
    let deleted: Vec<_> = at
        .changes()
        .unwrap()
        .delete
        .iter()
        .map(|entry| entry.path.to_string())
        .collect();
    assert_eq!(deleted, ["d/x", "d/y/z"]);
    assert_eq!(
        world.git(&["ls-tree", "-r", "--name-only", "main"]),
        "d-more\nd/new"
    );
    world.fsck();
}

#[test]
fn modes_links_and_local_files_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let local = world.folder.path().join("script");
    std::fs::write(&local, b"#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&local, std::fs::Permissions::from_mode(0o711)).unwrap();
    let write = WriteOptions::default();
    let mut at = world
        .main()
        .write_from_file("bin/run", &local, &write)
        .unwrap();
    at = at.write_symlink("link", "bin/run", &write).unwrap();
    assert_eq!(at.message(), "+ link (link)");
    assert_eq!(at.readlink("link").unwrap(), "bin/run");
    assert_eq!(at.stat("bin/run").unwrap().file_type, FileType::Executable);
    let missing = world.folder.path().join("missing");
    let error = at.write_from_file("x", &missing, &write).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    let error = at
        .write_from_file("x", world.folder.path(), &write)
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::IsADirectory);
    let folder_mode = WriteOptions {
        mode: Some(FileType::Tree),
        ..WriteOptions::default()
    };
    let error = at.write("x", b"", &folder_mode).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    for bad in [".git/config", "a/.GIT", "a//b", "..", ""] {
        let error = at.write(bad, b"", &write).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value, "{bad}");
    }
    world.fsck();
}

#[test]
fn names_of_any_bytes_are_kept() {
    let world = World::new();
    let mut at = world.main();
    let long = [b'n'; 300];
    let names: [&[u8]; 5] = [
        b"a\nb",
        b"\xff\xfe/\x01",
        b"tab\there",
        "ü".as_bytes(),
        &long,
    ];
    for name in names {
        at = at.write(name, name, &WriteOptions::default()).unwrap();
    }
    for name in names {
        assert_eq!(at.read(name, 0, None).unwrap(), name);
    }
    assert_eq!(
        world
            .git(&["ls-tree", "-rz", "--name-only", "main"])
            .split('\0')
            .count(),
        6
    );
    world.fsck();
}

#[test]
fn a_link_that_no_disk_could_hold_is_refused() {
    let world = World::new();
    for target in [&b""[..], b"a\0b"] {
        let error = world
            .main()
            .write_symlink("l", target, &WriteOptions::default())
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value);
    }
}

#[test]
fn a_batch_commits_once() {
    let world = World::new();
    let start = put(&world.main(), "old", "1");
    let mut batch = start.batch(CommitOptions::default()).unwrap();
    batch.write("a", b"1", None).unwrap();
    batch.write("b", b"2", None).unwrap();
    batch.write("a", b"3", None).unwrap();
    batch.remove("old").unwrap();
    batch.remove("b").unwrap();
    assert_eq!(
        batch.remove("b").unwrap_err().kind(),
        StoreErrorKind::NotFound
    );
    assert_eq!(
        batch.remove("old").unwrap_err().kind(),
        StoreErrorKind::NotFound
    );
    let mut writer = batch.writer("c/d", Some(FileType::Executable)).unwrap();
    writer.write_all(b"piece ").unwrap();
    writer.write_all(b"by piece").unwrap();
    batch.add_writer(writer).unwrap();
    assert!(batch.result().is_none());
    let done = batch.commit().unwrap();
    assert_eq!(done.message(), "Batch: +2 -1");
    assert_eq!(batch.result(), Some(&done));
    assert_eq!(done.read("c/d", 0, None).unwrap(), b"piece by piece");
    let error = batch.write("x", b"", None).unwrap_err();
    assert_eq!(error.to_string(), "Batch is closed");
    assert_eq!(error.kind(), StoreErrorKind::Runtime);

    let mut empty = done.batch(CommitOptions::default()).unwrap();
    assert_eq!(empty.commit().unwrap(), done);
    let mut folder = done.batch(CommitOptions::default()).unwrap();
    assert_eq!(
        folder.remove("c").unwrap_err().kind(),
        StoreErrorKind::IsADirectory
    );

    let mut stale = start.batch(CommitOptions::default()).unwrap();
    stale.write("z", b"", None).unwrap();
    assert_eq!(stale.commit().unwrap_err().kind(), StoreErrorKind::Stale);
    assert!(!stale.is_closed() && stale.result().is_none());
    // What was gathered is gone; a second commit must not pass for one with it.
    assert_eq!(stale.commit().unwrap_err().kind(), StoreErrorKind::Runtime);
    assert!(stale.result().is_none());
    world.fsck();
}

#[test]
fn many_files_become_one_pack() {
    let world = World::new();
    let mut batch = world.main().batch(CommitOptions::default()).unwrap();
    for n in 0..5000 {
        let path = format!("f{:02}/{n}.txt", n % 50);
        batch
            .write(path, format!("file {n}").as_bytes(), None)
            .unwrap();
    }
    let done = batch.commit().unwrap();
    assert_eq!(done.message(), "Batch: +5000");
    assert_eq!(done.read("f49/4999.txt", 0, None).unwrap(), b"file 4999");
    assert_eq!(
        world
            .git(&["ls-tree", "-r", "--name-only", "main"])
            .lines()
            .count(),
        5000
    );
    let packs = std::fs::read_dir(world.path().join("objects/pack"))
        .unwrap()
        .count();
    assert_eq!(packs, 2);
    put(&done, "one", "more");
    world.fsck();
}

#[test]
fn large_files_stream_in_and_out() {
    let world = World::new();
    let mut state = 1u64;
    let mut noise = vec![0u8; 5 << 20];
    for byte in &mut noise {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    let local = world.folder.path().join("noise");
    std::fs::write(&local, &noise).unwrap();
    let write = WriteOptions::default();
    let mut at = world.main().write_from_file("a", &local, &write).unwrap();
    at = at.write_reader("b", &mut &noise[1..], &write).unwrap();
    at = at.write("c", &noise[2..], &write).unwrap();
    let mut writer = at.writer("d", WriteOptions::default()).unwrap();
    for piece in noise.chunks(100_000) {
        writer.write_all(piece).unwrap();
    }
    at = writer.finish().unwrap();
    assert_eq!(at.read("a", 0, None).unwrap(), noise);
    assert_eq!(at.read("b", 0, None).unwrap(), &noise[1..]);
    assert_eq!(
        at.read("c", 3_000_000, Some(10)).unwrap(),
        &noise[3_000_002..3_000_012]
    );
    assert_eq!(at.stat("d").unwrap().id, at.stat("a").unwrap().id);
    assert_eq!(
        world.git(&["hash-object", local.to_str().unwrap()]),
        at.stat("a").unwrap().id.to_string()
    );
    world.fsck();
}

#[test]
fn further_parents_are_recorded() {
    let world = World::new();
    let start = world.main();
    let first = put(&start, "a", "1");
    let options = WriteOptions {
        parents: vec![start.commit(), first.commit()],
        ..WriteOptions::default()
    };
    let merged = first.write("b", b"2", &options).unwrap();
    assert_eq!(merged.parents(), [first.commit(), start.commit()]);
    world.fsck();
}

#[test]
fn templates_fill_in_what_changed() {
    let world = World::new();
    let written = world
        .main()
        .write(
            "a",
            b"1",
            &with_message("Deploy: {default} ({total_count})"),
        )
        .unwrap();
    assert_eq!(written.message(), "Deploy: + a (1)");
    let error = written
        .write("a", b"2", &with_message("{nope}"))
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Key);
    let error = written.write("a", b"2", &with_message("{")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    assert_eq!(world.main(), written.with_changes(None));
}

#[test]
fn a_batch_is_committed_on_snapshots_of_its_repository_that_can_be_written() {
    let world = World::new();
    let main = world.main();
    let mut batch = main.batch(CommitOptions::default()).unwrap();
    batch.write("a", b"1", None).unwrap();
    let tag = world.store.tags().set("v1", &main).unwrap();
    let refused = batch.commit_on(&tag).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused}");
    let refused = batch.commit_on(&World::new().main()).unwrap_err();
    assert!(matches!(refused, StoreError::Invalid { .. }), "{refused}");
    // It was moved, and whoever opens it now finds it at another path.
    let moved = world.folder.path().join("moved.git");
    std::fs::rename(world.path(), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, world.path()).unwrap();
    let store = Store::open(&moved, options(None)).unwrap();
    let newer = put(&store.branches().get("main").unwrap(), "b", "2");
    let written = batch.commit_on(&newer).unwrap();
    assert_eq!(written.parents(), [newer.commit()]);
    assert!(written.exists("a").unwrap() && written.exists("b").unwrap());
    world.fsck();
}
