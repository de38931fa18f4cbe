//! A disk without room: what cannot be stored is told and leaves nothing, and what was there stays.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use packhouse_repo::store::{
    CommitOptions, CopyIn, Durability, GcOptions, NewContent, NoProgress, Snapshot, Store,
    StoreError, StoreOptions, WriteOptions,
};
use packhouse_testkit::small_disk::SmallDisk;

use super::{git_in, options};

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
        let options = StoreOptions {
            durability,
            ..options(Some("main"))
        };
        let store = Store::open(disk.path().join("s.git"), options).unwrap();
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
    }
    check(&store, &last);
    disk.make_room();
    store.gc_with(&GcOptions::default(), &NoProgress).unwrap();
    let next = last.write("large", &large, &write).unwrap();
    check(&store, &next);
}
