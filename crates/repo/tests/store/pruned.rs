//! What no ref leads to any more, a collection may have removed. A branch never comes to name it.

use packhouse_object::ObjectId;
use packhouse_repo::store::{
    CommitOptions, CopyBetween, FileType, MergeOptions, NewContent, Snapshot, StoreError,
    StoreErrorKind, WriteOptions,
};

use super::{World, put};

/// A snapshot that is held still, whose branch was deleted and whose objects are gone.
fn lost(world: &World) -> Snapshot {
    let side = unnamed(world);
    prune(world);
    let database = world.store.database().unwrap();
    assert!(!database.contains(&side.commit()).unwrap());
    side
}

/// A snapshot that no ref leads to any more, whose objects are here.
fn unnamed(world: &World) -> Snapshot {
    let branches = world.store.branches();
    let side = branches.set("side", &world.main()).unwrap();
    let side = put(&side, "lost/file", "nowhere else");
    branches.delete("side").unwrap();
    side
}

fn prune(world: &World) {
    world.git(&["reflog", "expire", "--expire-unreachable=now", "--all"]);
    world.git(&["gc", "--quiet", "--prune=now"]);
}

fn is_gone<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::NoSuchObject { .. }))
}

#[test]
fn files_of_a_snapshot_that_is_gone_are_not_copied() {
    let world = World::new();
    let main = put(&world.main(), "kept", "kept");
    let lost = lost(&world);
    let copy = |options: &CopyBetween| main.copy_from(&lost, &[""], "", options);
    assert!(is_gone(copy(&CopyBetween::default())));
    let dry_run = CopyBetween {
        dry_run: true,
        ..CopyBetween::default()
    };
    assert!(is_gone(copy(&dry_run)));
    assert_eq!(world.main().commit(), main.commit());
    world.fsck();
    // What is here still is copied, whatever leads to it.
    let copied = main
        .copy_from(
            &unnamed(&world),
            &["lost"],
            "again",
            &CopyBetween::default(),
        )
        .unwrap();
    assert_eq!(
        copied.read("again/lost/file", 0, None).unwrap(),
        b"nowhere else"
    );
    world.fsck();
}

#[test]
fn a_snapshot_that_is_gone_is_neither_squashed_nor_the_parent_of_one_that_is() {
    let world = World::new();
    let main = put(&world.main(), "kept", "kept");
    let lost = lost(&world);
    assert!(is_gone(lost.squash(None, None)));
    assert!(is_gone(lost.squash(Some(&main), None)));
    assert!(is_gone(main.squash(Some(&lost), None)));
    // Nor is a commit made whose objects nobody could read.
    world.fsck();
    let squashed = main.squash(None, None).unwrap();
    assert!(main.squash(Some(&squashed), None).is_ok());
}

fn with_parents(parents: &[ObjectId]) -> CommitOptions {
    CommitOptions {
        parents: parents.to_vec(),
        ..CommitOptions::default()
    }
}

type Written = Result<Snapshot, StoreError>;

/// Every kind of write, with a further parent.
fn writes_on(main: &Snapshot, parent: ObjectId) -> Vec<(&'static str, Written)> {
    let options = with_parents(&[parent]);
    let apply = |path: &str, text: &str, options: CommitOptions| {
        let content = NewContent::Bytes(text.into());
        main.apply([(path, content, Some(FileType::Blob))], [""; 0], options)
    };
    let write = WriteOptions {
        parents: vec![parent],
        ..WriteOptions::default()
    };
    let mut batch = main.batch(options.clone()).unwrap();
    for number in 0..60 {
        let text = format!("{number}");
        batch.write(&text, text.as_bytes(), None).unwrap();
    }
    let copy = CopyBetween {
        parents: vec![parent],
        ..CopyBetween::default()
    };
    let dry_run = CommitOptions {
        dry_run: true,
        ..options.clone()
    };
    let nothing: [(&str, NewContent, Option<FileType>); 0] = [];
    vec![
        ("write", main.write("a", b"a", &write)),
        ("apply", apply("a", "a", options.clone())),
        ("dry run", apply("a", "a", dry_run)),
        ("no change", apply("kept", "kept", options.clone())),
        ("remove", main.apply(nothing, ["kept"], options)),
        ("copy", main.copy_from(main, &["kept"], "there", &copy)),
        ("batch", batch.commit()),
    ]
}

#[test]
fn a_further_parent_is_a_commit_that_is_here() {
    let world = World::new();
    let main = put(&world.main(), "kept", "kept");
    let lost = lost(&world);
    let elsewhere = World::new();
    let foreign = put(&elsewhere.main(), "foreign", "foreign");
    for parent in [lost.commit(), foreign.commit(), main.tree()] {
        for (way, result) in writes_on(&main, parent) {
            let error = match result {
                Ok(_) => panic!("{way} took {parent}"),
                Err(error) => error,
            };
            assert_eq!(error.kind(), StoreErrorKind::Value, "{way}: {error}");
            assert!(error.to_string().contains(&parent.to_string()), "{error}");
        }
        assert_eq!(world.main().commit(), main.commit());
    }
    world.fsck();
    // One that no ref leads to and that is here is as good as any.
    let parent = main.squash(None, None).unwrap().commit();
    let options = WriteOptions {
        parents: vec![parent],
        ..WriteOptions::default()
    };
    let written = main.write("a", b"a", &options).unwrap();
    assert_eq!(written.parents(), [main.commit(), parent]);
    world.fsck();
}

#[test]
fn a_snapshot_that_is_gone_is_not_merged() {
    let world = World::new();
    let lost = lost(&world);
    let main = put(&world.main(), "kept", "kept");
    assert!(main.merge(&lost, &MergeOptions::default()).is_err());
    assert_eq!(world.main().commit(), main.commit());
    world.fsck();
}

#[test]
fn a_redo_does_not_go_where_nothing_is_left() {
    let world = World::new();
    let written = put(&world.main(), "a", "a");
    let undone = written.undo(1).unwrap();
    // As it is where objects are lost that it names.
    let log_file = world.path().join("logs/refs/heads/main");
    let log = std::fs::read(&log_file).unwrap();
    prune(&world);
    std::fs::write(&log_file, log).unwrap();
    let log = world.store.branches().reflog("main").unwrap();
    assert_eq!(log.last().unwrap().old, written.commit());
    assert!(is_gone(undone.redo(1)));
    assert_eq!(world.main().commit(), undone.commit());
    // `git fsck` tells of the log as well.
    std::fs::remove_file(log_file).unwrap();
    world.fsck();
}
