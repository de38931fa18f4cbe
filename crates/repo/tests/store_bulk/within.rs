//! Removing, moving and copying within a store.

use packhouse_repo::store::{
    CommitOptions, CopyBetween, FileType, NewContent, Remove, Rename, Snapshot, StoreErrorKind,
    WriteOptions,
};

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
    let moved = snapshot.rename(&["d/"], "", &recursive).unwrap();
    assert_eq!(moved.read("d/f", 0, None).unwrap(), b"d/d/f");
    assert_eq!(moved.read("f", 0, None).unwrap(), b"d/f");
    assert_eq!(place.listed(), ["d/f", "f", "one/x", "two/x"]);
}

#[test]
fn each_file_is_moved_to_a_place_of_its_own() {
    let place = Place::new();
    let snapshot = place.stored(&["a", "b", "c", "d/x", "d/y"]);
    let dry = Rename {
        dry_run: true,
        ..Rename::default()
    };
    let at = |moves: &[(&str, &str)]| {
        let moved = snapshot.rename_each(moves.iter().copied(), &dry);
        moved.map(|moved| changes(&moved))
    };
    assert_eq!(
        at(&[("d/x", "e/1"), ("a", "f"), ("b", "b")]).unwrap(),
        ["+ b", "+ e/1", "+ f", "- a", "- b", "- d/x"]
    );
    // A file gives way to a folder, but no folder to a file.
    assert_eq!(
        at(&[("d/x", "a/x"), ("b", "b/b")]).unwrap(),
        ["+ a/x", "+ b/b", "- a", "- b", "- d/x"]
    );
    for (moves, kind) in [
        (&[("a", "d")][..], StoreErrorKind::IsADirectory),
        (&[("d", "e")], StoreErrorKind::IsADirectory),
        (&[("a", "e"), ("nope", "f")], StoreErrorKind::NotFound),
        (&[("a", "e"), ("a/b", "f")], StoreErrorKind::NotFound),
        (&[("a", "e"), ("a", "f")], StoreErrorKind::Value),
        (&[("a", "e"), ("b", "e/b")], StoreErrorKind::Value),
        (&[("b", "e/b"), ("a", "e")], StoreErrorKind::Value),
    ] {
        assert_eq!(at(moves).unwrap_err().kind(), kind, "{moves:?}");
    }
    let moves = [("a", "b"), ("b", "a"), ("d/x", "e/z"), ("d/y", "e/z")];
    let moved = snapshot.rename_each(moves, &Rename::default()).unwrap();
    assert_eq!(moved.back(1).unwrap().commit(), snapshot.commit());
    assert_eq!(place.listed(), ["a", "b", "c", "e/z"]);
    for (path, content) in [("a", "b"), ("b", "a"), ("e/z", "d/y")] {
        assert_eq!(moved.read(path, 0, None).unwrap(), content.as_bytes());
    }
}

#[test]
fn nothing_is_moved_onto_or_into_itself() {
    let place = Place::new();
    let snapshot = place.stored(&["a", "d/a", "d/sub/x", "da/x"]);
    let recursive = Rename {
        recursive: true,
        ..Rename::default()
    };
    let said = |sources: &[&str], dest: &str| {
        let refused = snapshot.rename(sources, dest, &recursive).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Value);
        assert_eq!(place.main().commit(), snapshot.commit());
        refused.to_string()
    };
    for (source, dest) in [
        ("d", "d"),
        ("d", "d/"),
        ("d/", "d"),
        ("d/", "/d/"),
        ("", ""),
        ("a", "a/"),
        ("d/sub", "d"),
    ] {
        let said = said(&[source], dest);
        let same = "Source and destination are the same: ";
        assert!(said.starts_with(same), "{source} {dest}: {said}");
    }
    for (sources, dest, thing, place) in [
        (&["d"][..], "d/sub", "d", "d/sub/d"),
        (&["d"], "d/new", "d", "d/new"),
        (&["d"], "d/new/", "d", "d/new/d"),
        (&["d/"], "d/sub", "d/sub", "d/sub"),
        (&["d/"], "d/sub/deep", "d/sub", "d/sub/deep"),
        (&[""], "d", "d", "d"),
        (&["d/a"], "d/a/b", "d/a", "d/a/b"),
        (&["a", "d"], "d/sub", "d", "d/sub/d"),
        (&["a"], "a/b/c", "a", "a/b/c"),
    ] {
        let wanted = format!("'{thing}' cannot be moved into itself: '{place}'");
        assert_eq!(said(sources, dest), wanted, "{sources:?} {dest}");
    }
    let twice = said(&["d", "d/a"], "new");
    assert_eq!(twice, "'d/a' cannot be moved to both 'new/d/a' and 'new/a'");
    // A name that only begins alike is another folder, and so is one in the folder that is not there yet.
    let moved = snapshot.rename(&["d"], "da", &recursive).unwrap();
    let moved = moved.rename(&[""], "all", &recursive).unwrap();
    moved
        .rename(&["all/da/"], "all/da/new", &recursive)
        .unwrap();
    assert_eq!(
        place.listed(),
        [
            "all/a",
            "all/da/new/d/a",
            "all/da/new/d/sub/x",
            "all/da/new/x"
        ]
    );
}

#[test]
fn nothing_is_copied_onto_or_into_itself() {
    let place = Place::new();
    let main = place.stored(&["a", "d/a", "d/sub/x", "da/x"]);
    let copy = |sources: &[&str], dest: &str, options: &CopyBetween| {
        let options = CopyBetween {
            dry_run: true,
            ..options.clone()
        };
        main.copy_from(&main, sources, dest, &options)
            .map(|copied| changes(&copied))
    };
    let plain = CopyBetween::default();
    let exact = CopyBetween {
        exact: true,
        ..CopyBetween::default()
    };
    let delete = CopyBetween {
        delete: true,
        ..CopyBetween::default()
    };
    for (sources, dest, options, path, at) in [
        (&["d"][..], "d/sub", &plain, "d", "d/sub/d"),
        (&["d"], "d/new", &plain, "d", "d/new/d"),
        (&["d/"], "d/sub", &plain, "d/sub", "d/sub"),
        (&[""], "d", &plain, "d", "d"),
        (&["a", "d"], "d/sub", &plain, "d", "d/sub/d"),
        (&["a"], "a/b", &exact, "a", "a/b"),
        (
            &["d/./sub"],
            "d/sub/deep",
            &plain,
            "d/sub",
            "d/sub/deep/sub",
        ),
        // What is to hold the same as its own surroundings never would.
        (&["d/"], "d/new", &delete, "d/new", "d/new"),
    ] {
        let refused = copy(sources, dest, options).unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Value);
        let wanted = format!("'{path}' cannot be copied into itself: '{at}'");
        assert_eq!(refused.to_string(), wanted, "{sources:?} {dest}");
    }
    let same = "Source and destination are the same: ";
    for (sources, dest) in [(&["d"][..], "d"), (&["a"], "a"), (&["a", "d"], "d")] {
        let refused = copy(sources, dest, &plain).unwrap_err().to_string();
        assert!(refused.starts_with(same), "{sources:?} {dest}: {refused}");
    }
    // What is there already is nothing to do, unless it is asked for as an error.
    let refuse_same = CopyBetween {
        refuse_same: true,
        ..CopyBetween::default()
    };
    for (source, dest) in [("", ""), ("d", ""), ("d/", "d"), ("d/sub", "d"), ("a", "")] {
        assert_eq!(copy(&[source], dest, &plain).unwrap(), [] as [&str; 0]);
        assert_eq!(copy(&[source], dest, &delete).unwrap(), [] as [&str; 0]);
        let refused = copy(&[source], dest, &refuse_same).unwrap_err();
        assert!(refused.to_string().starts_with(same), "{source} {dest}");
    }
    assert_eq!(copy(&["d/a", "a"], "d", &refuse_same).unwrap(), ["~ d/a"]);
    // Another name, a folder that is not there yet, and another branch are elsewhere.
    assert!(copy(&["d"], "da", &plain).is_ok());
    assert_eq!(
        copy(&["d/"], "d/new", &plain).unwrap(),
        ["+ d/new/a", "+ d/new/sub/x"]
    );
    let dev = place.store.branches().set("dev", &main).unwrap();
    let copied = main.copy_from(&dev, &["d"], "d/sub", &plain).unwrap();
    assert_eq!(changes(&copied), ["+ d/sub/d/a", "+ d/sub/d/sub/x"]);
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

#[test]
fn delete_is_limited_to_the_folders_that_are_copied() {
    let place = Place::new();
    let source = place.stored(&["a", "d/x", "d/e/y"]);
    let branches = place.store.branches();
    let dev = branches.set("dev", &source).unwrap();
    let dev = write_all(
        &dev,
        &["keep", "d/extra", "d/e/extra", "t/keep", "t/d/extra"],
    );
    let dry = |sources: &[&str], dest: &str| {
        let options = CopyBetween {
            delete: true,
            dry_run: true,
            ..CopyBetween::default()
        };
        changes(&dev.copy_from(&source, sources, dest, &options).unwrap())
    };
    // A file has no folder of its own.
    assert_eq!(dry(&["a"], ""), [] as [&str; 0]);
    assert_eq!(dry(&["a"], "t"), ["+ t/a"]);
    assert_eq!(dry(&["d/x"], "d"), [] as [&str; 0]);
    assert_eq!(dry(&["d/./e/y"], "d"), [] as [&str; 0]);
    assert_eq!(dry(&["d/e"], "d"), ["- d/e/extra"]);
    assert_eq!(
        dry(&["d/./e/"], "d"),
        ["+ d/y", "- d/e/extra", "- d/e/y", "- d/extra", "- d/x"]
    );
    assert_eq!(
        dry(&["a", "d"], "t"),
        ["+ t/a", "+ t/d/e/y", "+ t/d/x", "- t/d/extra"]
    );
    assert_eq!(
        dry(&["a", "d/"], "t"),
        ["+ t/a", "+ t/e/y", "+ t/x", "- t/d/extra", "- t/keep"]
    );
    // What has to give way goes all the same.
    assert_eq!(dry(&["a"], "keep"), ["+ keep/a", "- keep"]);
}

fn write_all(snapshot: &Snapshot, files: &[&str]) -> Snapshot {
    let files = files.iter();
    let contents = files.map(|file| (file, NewContent::Bytes(file.as_bytes().to_vec()), None));
    let removes: [&str; 0] = [];
    snapshot
        .apply(contents, removes, CommitOptions::default())
        .unwrap()
}

#[test]
fn several_snapshots_are_copied_from_at_once() {
    let place = Place::new();
    let main = place.stored(&[
        "one/a",
        "one/same",
        "two/b",
        "two/old",
        "t/one/old",
        "t/two/old",
    ]);
    let branches = place.store.branches();
    let other = branches.set("other", &main).unwrap();
    let other = write_all(&other, &["two/same", "two/new"]);
    let options = CopyBetween {
        delete: true,
        operation: Some("sync".to_owned()),
        ..CopyBetween::default()
    };
    let sources = [(&main, &["one"][..]), (&other, &["two"][..])];
    let done = main.copy_from_each(sources, "t", &options).unwrap();
    let expected = [
        "+ t/one/a",
        "+ t/one/same",
        "+ t/two/b",
        "+ t/two/new",
        "+ t/two/same",
        "~ t/two/old",
        "- t/one/old",
    ];
    assert_eq!(changes(&done), expected);
    assert_eq!(done.message(), "Batch sync: +5 ~1 -1");
}

#[test]
fn one_file_can_become_exactly_the_destination() {
    let place = Place::new();
    let main = place.stored(&["a", "d/x", "there", "below/file"]);
    let exactly = |sources: &[&str], dest: &str, ignore_existing: bool| {
        let options = CopyBetween {
            exact: true,
            ignore_existing,
            dry_run: true,
            ..CopyBetween::default()
        };
        main.copy_from(&main, sources, dest, &options)
            .map(|copied| changes(&copied))
            .map_err(|error| error.kind())
    };
    assert_eq!(exactly(&["a"], "new/name", false).unwrap(), ["+ new/name"]);
    assert_eq!(exactly(&["a"], "there", false).unwrap(), ["~ there"]);
    assert_eq!(
        exactly(&["a"], "there/x", false).unwrap(),
        ["+ there/x", "- there"]
    );
    assert_eq!(
        exactly(&["a"], "below", false).unwrap(),
        ["+ below", "- below/file"]
    );
    for taken in ["there", "there/x", "below"] {
        assert_eq!(exactly(&["a"], taken, true).unwrap(), [] as [&str; 0]);
    }
    for (sources, dest) in [(&["a", "there"][..], "x"), (&["d"], "x"), (&["a"], "")] {
        let refused = exactly(sources, dest, false);
        assert_eq!(refused, Err(StoreErrorKind::Value), "{sources:?}");
    }
}
