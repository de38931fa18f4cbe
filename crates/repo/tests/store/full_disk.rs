//! A disk without room: what cannot be stored is told and leaves nothing, and what was there stays.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use packhouse_repo::store::{
    CommitOptions, CopyIn, CopyOut, Durability, GcOptions, NewContent, NoProgress, Snapshot, Store,
    StoreError, StoreErrorKind, StoreOptions, WriteOptions,
};
use packhouse_testkit::small_disk::SmallDisk;

use super::{World, git_in, options};

/// Bytes that do not deflate.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn says_full(error: &StoreError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::StorageFull
        {
            return true;
        }
        cause = error.source();
    }
    error.to_string().contains("No space left")
}

/// Files under way that were left behind, and locks.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(leftovers(&path));
        } else if name.starts_with("tmp_")
            || name.ends_with(".lock") && name != "gitstore.lock"
            || path
                .parent()
                .is_some_and(|parent| parent.ends_with("quarantine"))
        {
            found.push(path);
        }
    }
    found
}

/// A new store on the disk, with an empty branch `main`.
fn store_on(disk: &SmallDisk, durability: Durability) -> Store {
    let options = StoreOptions {
        durability,
        ..options(Some("main"))
    };
    Store::open(disk.path().join("s.git"), options).unwrap()
}

fn check(store: &Store, expected: &Snapshot) {
    let path = store.path();
    assert_eq!(
        store.branches().get("main").unwrap().commit(),
        expected.commit()
    );
    assert_eq!(
        git_in(path, &["rev-parse", "main"]),
        expected.commit().to_string()
    );
    assert_eq!(
        git_in(path, &["fsck", "--full", "--strict", "--no-dangling"]),
        ""
    );
    assert_eq!(leftovers(path), Vec::<PathBuf>::new());
}

#[test]
fn small_commits_end_at_a_full_disk_and_go_on_when_there_is_room() {
    for durability in [Durability::Relaxed, Durability::Full] {
        let Some(disk) = SmallDisk::mount(4) else {
            return;
        };
        let store = store_on(&disk, durability);
        let mut last = store.branches().get("main").unwrap();
        disk.fill(400 << 10);
        let error = (0..100)
            .find_map(|n| {
                let data = noise(20_000, n);
                match last.write(format!("f{n}"), &data, &WriteOptions::default()) {
                    Ok(next) => {
                        last = next;
                        None
                    }
                    Err(error) => Some(error),
                }
            })
            .unwrap();
        assert!(says_full(&error), "{error:?}");
        check(&store, &last);
        disk.make_room();
        let next = last
            .write("more", &noise(20_000, 7), &WriteOptions::default())
            .unwrap();
        check(&store, &next);
    }
}

#[test]
fn large_writes_packs_and_collections_fail_whole_on_a_full_disk() {
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let store = Store::open(disk.path().join("s.git"), options(Some("main"))).unwrap();
    let mut last = store.branches().get("main").unwrap();
    for n in 0..60 {
        let data = noise(9_000, n);
        last = last
            .write(format!("f{n}"), &data, &WriteOptions::default())
            .unwrap();
    }
    let local = tempfile::tempdir().unwrap();
    for n in 0..300 {
        fs::write(local.path().join(n.to_string()), noise(4_000, 1000 + n)).unwrap();
    }
    fs::write(local.path().join("large"), noise(2 << 20, 3)).unwrap();
    disk.fill(300 << 10);

    let write = WriteOptions::default();
    let large = noise(3 << 20, 1);
    let many: Vec<_> = (0..400)
        .map(|n| (format!("d/{n}"), NewContent::Bytes(noise(4_000, n)), None))
        .collect();
    let copied = CopyIn {
        sources: vec![local.path().into()],
        ..CopyIn::default()
    };
    let no_removes: [&str; 0] = [];
    let errors = [
        last.write("large", &large, &write).unwrap_err(),
        last.write_reader("large", &mut &*large, &write)
            .unwrap_err(),
        last.apply(many, no_removes, CommitOptions::default())
            .unwrap_err(),
        last.copy_in(&copied).unwrap_err(),
        store.pack(&NoProgress).unwrap_err(),
        store
            .gc_with(&GcOptions::default(), &NoProgress)
            .unwrap_err(),
    ];
    for error in &errors {
        assert!(says_full(error), "{error:?}");
        assert_eq!(error.kind(), StoreErrorKind::Os, "{error:?}");
    }
    check(&store, &last);
    disk.make_room();
    store.gc_with(&GcOptions::default(), &NoProgress).unwrap();
    let next = last.write("large", &large, &write).unwrap();
    check(&store, &next);
}

#[test]
fn what_was_lost_on_a_full_disk_is_never_committed() {
    let Some(disk) = SmallDisk::mount(4) else {
        return;
    };
    let store = Store::open(disk.path().join("s.git"), options(Some("main"))).unwrap();
    let last = super::put(&store.branches().get("main").unwrap(), "a", "1");
    disk.fill(300 << 10);

    // Blobs of a batch wait in memory until they are many. Its caller may think that those before the failure are safe.
    let mut batch = last.batch(CommitOptions::default()).unwrap();
    let error = (0..3000)
        .find_map(|n| batch.write(format!("f{n}"), &noise(9_000, n), None).err())
        .unwrap();
    assert!(says_full(&error), "{error:?}");
    assert_eq!(error.kind(), StoreErrorKind::Os);
    let mut other = last.batch(CommitOptions::default()).unwrap();
    let mut in_batch = other.writer("large", None).unwrap();
    let mut alone = last.writer("large", WriteOptions::default()).unwrap();
    for writer in [&mut in_batch as &mut dyn Write, &mut alone] {
        let error = (0..100)
            .find_map(|n| writer.write_all(&noise(100_000, n)).err())
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    disk.make_room();
    batch.write("small", b"1", None).unwrap_err();
    batch.commit().unwrap_err();
    alone.write_all(b"more").unwrap_err();
    for error in [
        alone.finish().unwrap_err(),
        other.add_writer(in_batch).unwrap_err(),
    ] {
        assert!(says_full(&error), "{error:?}");
        assert_eq!(error.kind(), StoreErrorKind::Os);
    }
    assert_eq!(other.commit().unwrap(), last);
    drop((batch, other));
    check(&store, &last);
    let next = last
        .write("large", &noise(2 << 20, 1), &WriteOptions::default())
        .unwrap();
    check(&store, &next);
}

#[test]
fn refs_stay_where_they_are_on_a_full_disk() {
    for durability in [Durability::Relaxed, Durability::Full] {
        let Some(disk) = SmallDisk::mount(4) else {
            return;
        };
        let store = store_on(&disk, durability);
        let first = super::put(&store.branches().get("main").unwrap(), "a", "1");
        let last = super::put(&first, "a", "2");
        let refs = || git_in(store.path(), &["for-each-ref"]);
        let (branches, tags) = (store.branches(), store.tags());
        let before = (refs(), branches.reflog("main").unwrap());
        disk.fill(0);
        let notes = store.notes("commits").unwrap();
        for error in [
            branches.set("b", &last).unwrap_err(),
            branches.set("main", &first).unwrap_err(),
            tags.set("v1", &last).unwrap_err(),
            last.undo(1).unwrap_err(),
            notes.set("main", "text").unwrap_err(),
        ] {
            assert!(says_full(&error), "{error:?}");
            assert_eq!(error.kind(), StoreErrorKind::Os);
        }
        assert_eq!((refs(), branches.reflog("main").unwrap()), before);
        check(&store, &last);
        disk.make_room();
        tags.set("v1", &last).unwrap();
        notes.set("main", "text").unwrap();
        let undone = last.undo(1).unwrap();
        assert_eq!(undone.commit(), first.commit());
        check(&store, &undone.redo(1).unwrap());
    }
}

#[test]
fn a_copy_to_a_full_disk_leaves_whole_files() {
    let Some(disk) = SmallDisk::mount(4) else {
        return;
    };
    let world = World::new();
    let mut at = world.main();
    let names = ["a", "b", "c", "d", "e", "f"];
    for (seed, name) in names.iter().enumerate() {
        let data = noise(100_000, seed as u64);
        at = at.write(name, &data, &WriteOptions::default()).unwrap();
    }
    let dest = disk.path().join("out");
    fs::create_dir(&dest).unwrap();
    let age = || names.map(|name| fs::write(dest.join(name), "old").unwrap());
    age();
    disk.fill(250 << 10);
    for ignore_errors in [false, true] {
        age();
        let options = CopyOut {
            sources: vec!["".into()],
            dest: dest.clone(),
            ignore_errors,
            ..CopyOut::default()
        };
        match at.copy_out(&options) {
            Ok(copied) => {
                assert!(ignore_errors);
                let report = copied.changes().unwrap();
                assert!(!report.errors.is_empty(), "{report:?}");
            }
            Err(error) => {
                assert!(!ignore_errors && says_full(&error), "{error:?}");
                assert_eq!(error.kind(), StoreErrorKind::Os);
            }
        }
        let mut found: Vec<_> = fs::read_dir(&dest)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, names);
        for name in names {
            let data = fs::read(dest.join(name)).unwrap();
            assert!(data == b"old" || data == at.read(name, 0, None).unwrap());
        }
    }
    disk.make_room();
    let whole = CopyOut {
        sources: vec!["".into()],
        dest: dest.clone(),
        ..CopyOut::default()
    };
    at.copy_out(&whole).unwrap();
    for name in names {
        assert!(fs::read(dest.join(name)).unwrap() == at.read(name, 0, None).unwrap());
    }
}
