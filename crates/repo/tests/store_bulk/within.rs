//! Removing, moving and copying within a store.

use packhouse_repo::store::{CopyBetween, FileType, Remove, Rename, StoreErrorKind, WriteOptions};

use super::{Place, changes};

#[test]
fn files_and_folders_are_removed() {
    let place = Place::new();
    let snapshot = place.stored(&["a", "b", "d/x", "d/e/y"]);
    let recursive = Remove {
        recursive: true,
        ..Remove::default()
    };
    let error = snapshot
        .remove(&["a", "d"], &Remove::default())
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::IsADirectory);
    assert_eq!(error.to_string(), "d is a directory (use recursive=True)");
    for missing in [&["nope"][..], &["a", "d/nope"], &[]] {
        let error = snapshot.remove(missing, &recursive).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotFound);
    }
    let dry = Remove {
        dry_run: true,
        ..recursive.clone()
    };
    let expected = ["- a", "- d/e/y", "- d/x"];
    assert_eq!(
        changes(
            &snapshot
                .detached()
                .remove(&["a", "d", "d/x"], &dry)
                .unwrap()
        ),
        expected
    );
    let done = snapshot.remove(&["a", "d", "d/x"], &recursive).unwrap();
    assert_eq!(changes(&done), expected);
    assert_eq!(done.message(), "Batch rm: -3");
    assert_eq!(place.listed(), ["b"]);
    done.remove(&[""], &recursive).unwrap();
    assert!(place.listed().is_empty());
}

#[test]
fn files_and_folders_are_moved() {
    let place = Place::new();
    let run = WriteOptions {
        mode: Some(FileType::Executable),
        ..WriteOptions::default()
    };
    let snapshot = place
        .stored(&["a", "d/x", "d/e/y"])
        .write("run", b"!", &run)
        .unwrap();
    let recursive = Rename {
        recursive: true,
        ..Rename::default()
    };
    let at = |sources: &[&str], dest: &str| {
        let dry = Rename {
            dry_run: true,
            ..recursive.clone()
        };
        snapshot
            .rename(sources, dest, &dry)
            .map(|moved| changes(&moved))
    };
    assert_eq!(at(&["a"], "b").unwrap(), ["+ b", "- a"]);
    assert_eq!(at(&["run"], "new/name").unwrap(), ["+ new/name*", "- run*"]);
    assert_eq!(at(&["a"], "new/").unwrap(), ["+ new/a", "- a"]);
    assert_eq!(at(&["a"], "d").unwrap(), ["+ d/a", "- a"]);
    assert_eq!(
        at(&["d"], "f").unwrap(),
        ["+ f/e/y", "+ f/x", "- d/e/y", "- d/x"]
    );
    assert_eq!(
        at(&["d"], "f/").unwrap(),
        ["+ f/d/e/y", "+ f/d/x", "- d/e/y", "- d/x"]
    );
    assert_eq!(at(&["d/e"], "").unwrap(), ["+ e/y", "- d/e/y"]);
    assert_eq!(
        at(&["d/"], "f").unwrap(),
        ["+ f/e/y", "+ f/x", "- d/e/y", "- d/x"]
    );
    assert_eq!(
        at(&["a", "run"], "into").unwrap(),
        ["+ into/a", "+ into/run*", "- a", "- run*"]
    );
    assert_eq!(at(&["d/./e/y"], "into").unwrap(), ["+ into", "- d/e/y"]);
    for same in [
        at(&["a"], "a"),
        at(&["d/x"], "d"),
        at(&["d"], ""),
        at(&["d/x", "a"], "d"),
    ] {
        let error = same.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value);
        assert!(
            error
                .to_string()
                .starts_with("Source and destination are the same"),
            "{error}"
        );
    }
    assert_eq!(
        at(&["nope"], "b").unwrap_err().kind(),
        StoreErrorKind::NotFound
    );
    let folder = snapshot
        .rename(&["d"], "f", &Rename::default())
        .unwrap_err();
    assert_eq!(folder.kind(), StoreErrorKind::IsADirectory);

    let moved = snapshot.rename(&["d", "run"], "into", &recursive).unwrap();
    assert_eq!(moved.message(), "Batch mv: +3 -3");
    assert_eq!(place.listed(), ["a", "into/d/e/y", "into/d/x", "into/run*"]);
    assert_eq!(moved.read("into/d/x", 0, None).unwrap(), b"d/x");
}

#[test]
fn moves_lose_nothing() {
    let place = Place::new();
    let snapshot = place.stored(&["one/x", "two/x", "d/d/f", "d/f"]);
    let recursive = Rename {
        recursive: true,
        ..Rename::default()
    };
    let error = snapshot
        .rename(&["one/x", "two/x"], "to", &recursive)
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    // One file takes the place of another that moves away in the same step.
    let moved = snapshot.rename(&["d"], "d/d/", &recursive).unwrap();
    assert_eq!(moved.read("d/d/d/d/f", 0, None).unwrap(), b"d/d/f");
    assert_eq!(moved.read("d/d/d/f", 0, None).unwrap(), b"d/f");
    assert_eq!(place.listed(), ["d/d/d/d/f", "d/d/d/f", "one/x", "two/x"]);
}

#[test]
fn files_are_copied_between_branches_by_their_ids() {
    let place = Place::new();
    let source = place.stored(&["conf/a", "conf/sub/b", "top"]);
    let branches = place.store.branches();
    branches.set("dev", &source).unwrap();
    let dev = branches.get("dev").unwrap();
    let dev = dev
        .write("conf/a", b"changed", &WriteOptions::default())
        .unwrap();
    let dev = dev
        .write("conf/extra", b"", &WriteOptions::default())
        .unwrap();
    let dev = dev.write("other", b"", &WriteOptions::default()).unwrap();
    let options = CopyBetween::default();
    let delete = CopyBetween {
        delete: true,
        ..CopyBetween::default()
    };
    let dry = |options: &CopyBetween, sources: &[&str], dest: &str| {
        let options = CopyBetween {
            dry_run: true,
            ..options.clone()
        };
        changes(&dev.copy_from(&source, sources, dest, &options).unwrap())
    };
    assert_eq!(dry(&options, &["conf"], ""), ["~ conf/a"]);
    assert_eq!(dry(&delete, &["conf"], ""), ["~ conf/a", "- conf/extra"]);
    assert_eq!(
        dry(&delete, &["conf/"], "conf"),
        ["~ conf/a", "- conf/extra"]
    );
    assert_eq!(
        dry(&delete, &[""], ""),
        ["~ conf/a", "- conf/extra", "- other"]
    );
    assert_eq!(
        dry(&options, &["conf/sub/b", "top"], "new/"),
        ["+ new/b", "+ new/top"]
    );
    assert_eq!(dry(&options, &["conf/./sub/b"], "new"), ["+ new/sub/b"]);
    assert_eq!(
        dry(&options, &["conf/a"], "other"),
        ["+ other/a", "- other"]
    );
    let done = dev.copy_from(&source, &["conf"], "", &delete).unwrap();
    assert_eq!(done.message(), "Batch cp: ~1 -1");
    assert_eq!(done.entry("conf").unwrap(), source.entry("conf").unwrap());
    let same = done.copy_from(&source, &["conf"], "", &delete).unwrap();
    assert_eq!((same.commit(), same.changes()), (done.commit(), None));
    let missing = done
        .copy_from(&source, &["nope"], "", &options)
        .unwrap_err();
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);

    let other = Place::new();
    let error = done
        .copy_from(&other.main(), &[""], "", &options)
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    let read_only = done
        .detached()
        .copy_from(&source, &[""], "", &options)
        .unwrap_err();
    assert_eq!(read_only.kind(), StoreErrorKind::Permission);
}
