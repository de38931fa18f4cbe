//! A folder of a store and a local folder made the same.

use std::fs;
use std::os::unix::fs::symlink;

use packhouse_repo::store::{StoreErrorKind, SyncIn, SyncOut};

use super::{Place, changes, disk};

#[test]
fn a_local_folder_is_mirrored_in_one_commit() {
    let place = Place::new();
    place.make(&["d/a", "d/sub/b*"]);
    let snapshot = place.stored(&["t/a", "t/old", "outside"]);
    let options = SyncIn::default();
    let dry = SyncIn {
        dry_run: true,
        ..SyncIn::default()
    };
    assert_eq!(
        changes(&snapshot.sync_in(place.local("d"), "t", &dry).unwrap()),
        ["+ sub/b*", "~ a", "- old"]
    );
    let done = snapshot.sync_in(place.local("d"), "t", &options).unwrap();
    assert_eq!(changes(&done), ["+ sub/b*", "~ a", "- old"]);
    assert_eq!(done.message(), "Batch sync: +1 ~1 -1");
    assert_eq!(place.listed(), ["outside", "t/a", "t/sub/b*"]);
    let again = done.sync_in(place.local("./d/"), "/t/", &options).unwrap();
    assert_eq!((again.commit(), again.changes()), (done.commit(), None));
}

#[test]
fn a_missing_local_folder_is_an_empty_one_and_a_file_is_a_mistake() {
    let place = Place::new();
    place.make(&["file"]);
    symlink("nowhere", place.local("dangling")).unwrap();
    let snapshot = place.stored(&["t/a", "t/b/c", "f", "outside"]);
    for wrong in ["file", "dangling", "file/below"] {
        let error = snapshot
            .sync_in(place.local(wrong), "t", &SyncIn::default())
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NotADirectory, "{wrong}");
    }
    assert!(snapshot.sync_in("", "t", &SyncIn::default()).is_err());
    let dry = SyncIn {
        dry_run: true,
        ..SyncIn::default()
    };
    let missing = place.local("missing");
    assert_eq!(
        changes(&snapshot.sync_in(&missing, "t", &dry).unwrap()),
        ["- a", "- b/c"]
    );
    assert_eq!(
        changes(&snapshot.sync_in(&missing, "f", &dry).unwrap()),
        ["- f"]
    );
    let nothing = snapshot
        .sync_in(&missing, "nope", &SyncIn::default())
        .unwrap();
    assert_eq!(
        (nothing.commit(), nothing.changes()),
        (snapshot.commit(), None)
    );
    let done = snapshot.sync_in(&missing, "t", &SyncIn::default()).unwrap();
    assert_eq!(changes(&done), ["- a", "- b/c"]);
    let done = done.sync_in(&missing, "f", &SyncIn::default()).unwrap();
    assert_eq!(place.listed(), ["outside"]);
    done.sync_in(&missing, "", &SyncIn::default()).unwrap();
    assert!(place.listed().is_empty());
}

#[test]
fn a_local_folder_becomes_a_mirror() {
    let place = Place::new();
    place.make(&["o/old", "o/keep/x"]);
    let snapshot = place.stored(&["t/a", "t/keep/x", "outside"]);
    let options = SyncOut::default();
    let done = snapshot.sync_out("t", place.local("o"), &options).unwrap();
    assert_eq!(changes(&done), ["+ a", "~ keep/x", "- old"]);
    assert_eq!(
        disk(&place.local("o")),
        ["a: t/a", "keep/", "keep/x: t/keep/x"]
    );
    assert_eq!(
        snapshot
            .sync_out("/t/", place.local("o"), &options)
            .unwrap()
            .changes(),
        None
    );
    snapshot.sync_out("", place.local("all"), &options).unwrap();
    assert_eq!(disk(&place.local("all")).len(), 5);

    let error = snapshot
        .sync_out("outside", place.local("o"), &options)
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotADirectory);
    let dry = SyncOut {
        dry_run: true,
        ..SyncOut::default()
    };
    let gone = snapshot
        .sync_out("missing", place.local("o"), &dry)
        .unwrap();
    assert_eq!(changes(&gone), ["- a", "- keep/x"]);
    assert_eq!(
        changes(
            &snapshot
                .sync_out("missing", place.local("o"), &options)
                .unwrap()
        ),
        ["- a", "- keep/x"]
    );
    assert!(disk(&place.local("o")).is_empty());
    snapshot
        .sync_out("missing", place.local("made"), &options)
        .unwrap();
    assert!(fs::metadata(place.local("made")).unwrap().is_dir());
    assert_eq!(
        snapshot
            .sync_out("missing", place.local("not made"), &dry)
            .unwrap()
            .changes(),
        None
    );
    assert!(!place.local("not made").exists());
}
