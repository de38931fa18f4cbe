//! Work under way when a process is forked: it is the parent's, to go on with and to end.

use std::cell::Cell;
use std::io::Write;

use packhouse_repo::store::{StoreError, StoreErrorKind, WriteOptions};
use packhouse_testkit::forked::in_child;

use super::World;

/// More files than are stored as such.
const MANY: usize = 60;

fn is_refused<T>(result: Result<T, StoreError>) -> bool {
    result.is_err_and(|error| {
        error.kind() == StoreErrorKind::Runtime && error.to_string().contains("forked")
    })
}

#[test]
fn a_forked_copy_of_a_batch_commits_nothing_and_removes_nothing() {
    let world = World::new();
    let main = world.main();
    let mut batch = main.batch(Default::default()).unwrap();
    for number in 0..MANY {
        let text = format!("{number}");
        batch
            .write(format!("f/{number}"), text.as_bytes(), None)
            .unwrap();
    }
    assert!(in_child(|| {
        is_refused(batch.write("child", b"child", None))
            && is_refused(batch.write_reader("child", &mut &[7_u8; 3 << 20][..], None))
            && is_refused(batch.remove("f/1"))
            && is_refused(batch.writer("child", None))
            && is_refused(batch.commit())
    }));
    assert_eq!(world.main().commit(), main.commit());
    let batch = Cell::new(Some(batch));
    assert!(in_child(|| {
        drop(batch.take());
        true
    }));
    let mut batch = batch.take().unwrap();
    batch.write("last", b"last", None).unwrap();
    let written = batch.commit().unwrap();
    assert_eq!(written.read("f/7", 0, None).unwrap(), b"7");
    world.fsck();
    let names = world.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert_eq!(names.lines().count(), MANY + 1);
}

#[test]
fn a_large_file_of_a_batch_is_not_removed_by_a_child() {
    let world = World::new();
    let mut batch = world.main().batch(Default::default()).unwrap();
    let large = vec![7_u8; 3 << 20];
    batch.write("large", &large, None).unwrap();
    let under_way = || {
        let entries = std::fs::read_dir(world.path().join("objects")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("tmp_obj_"))
            .count()
    };
    assert_eq!(under_way(), 1);
    let batch = Cell::new(Some(batch));
    assert!(in_child(|| {
        drop(batch.take());
        true
    }));
    assert_eq!(under_way(), 1);
    let written = batch.take().unwrap().commit().unwrap();
    assert_eq!(written.read("large", 0, None).unwrap(), large);
    world.fsck();
}

#[test]
fn a_file_that_is_written_in_pieces_gets_none_from_a_child() {
    let world = World::new();
    let main = world.main();
    let mut writer = main.writer("f", WriteOptions::default()).unwrap();
    let piece = vec![b'p'; 2 << 20];
    writer.write_all(&piece).unwrap();
    let writer = Cell::new(Some(writer));
    assert!(in_child(|| {
        let mut copy = writer.take().expect("it is there");
        let refused = copy.write_all(b"child").unwrap_err();
        refused.to_string().contains("forked") && is_refused(copy.finish())
    }));
    assert_eq!(world.main().commit(), main.commit());
    let mut writer = writer.take().unwrap();
    writer.write_all(b"end").unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(
        written.read("f", 0, None).unwrap(),
        [&piece[..], b"end"].concat()
    );
    world.fsck();
}

#[test]
fn what_is_made_for_a_piece_of_work_is_taken_back_by_its_maker() {
    let world = World::with(super::options(None));
    let first = Cell::new(world.store.begin("first").unwrap());
    assert!(in_child(|| {
        drop(first.take());
        true
    }));
    assert!(world.store.branches().contains("first").unwrap());
    drop(first.take());
    assert!(!world.store.branches().contains("first").unwrap());
}
