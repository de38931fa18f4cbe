//! What copies out of a store delete, and what they leave when they do not know enough.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use packhouse_repo::store::{CopyOut, StoreErrorKind, SyncIn, SyncOut, WriteOptions};

use super::{Place, changes, disk};
use crate::somebody::is_somebody;

fn mirror(place: &Place, sources: &[&str]) -> CopyOut<'static> {
    CopyOut {
        sources: sources.iter().map(|source| (*source).into()).collect(),
        dest: place.local("o"),
        delete: true,
        ignore_errors: true,
        ..CopyOut::default()
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nothing_is_deleted_where_a_source_is_missing() {
    let place = Place::new();
    let snapshot = place.stored(&["d/a", "d/sub/b", "d/way"]);
    place.make(&["o/a", "o/old", "o/x/y", "o/sub", "o/way/under/it"]);
    fs::create_dir(place.local("o/empty")).unwrap();
    let before = disk(&place.local("o"));
    for dry_run in [true, false] {
        assert_eq!(disk(&place.local("o")), before);
        let options = CopyOut {
            dry_run,
            ..mirror(&place, &["missing", "d/"])
        };
        // What is written takes the place of what is there all the same.
        let expected = [
            "+ sub/b",
            "+ way",
            "~ a",
            "- sub",
            "- way/under/it",
            "! File not found in repo: missing",
        ];
        assert_eq!(changes(&snapshot.copy_out(&options).unwrap()), expected);
    }
    let expected = [
        "a: d/a",
        "empty/",
        "old: o/old",
        "sub/",
        "sub/b: d/sub/b",
        "way: d/way",
        "x/",
        "x/y: o/x/y",
    ];
    assert_eq!(disk(&place.local("o")), expected);

    let other = place.stored(&["more"]);
    let others = [(other, vec!["nowhere".into()])];
    let options = mirror(&place, &["d/"]);
    snapshot.copy_out_with(&others, &options).unwrap();
    assert_eq!(disk(&place.local("o")), expected);
    snapshot.copy_out(&options).unwrap();
    let mirrored = ["a: d/a", "sub/", "sub/b: d/sub/b", "way: d/way"];
    assert_eq!(disk(&place.local("o")), mirrored);
}

#[test]
fn nothing_is_deleted_where_a_folder_of_the_destination_cannot_be_read() {
    if !is_somebody("nothing_is_deleted_where_a_folder_of_the_destination_cannot_be_read") {
        return;
    }
    let place = Place::new();
    let snapshot = place.stored(&["d/a"]);
    place.make(&["o/old", "o/closed/x"]);
    let closed = place.local("o/closed");
    let options = SyncOut {
        ignore_errors: true,
        ..SyncOut::default()
    };
    set_mode(&closed, 0o000);
    let synced = snapshot.sync_out("d", place.local("o"), &options).unwrap();
    set_mode(&closed, 0o755);
    let done = changes(&synced);
    assert!(
        matches!(&done[..], [added, error] if added == "+ a" && error.starts_with("! ")),
        "{done:?}"
    );
    let expected = ["a: d/a", "closed/", "closed/x: o/closed/x", "old: o/old"];
    assert_eq!(disk(&place.local("o")), expected);
}

#[test]
fn nothing_is_deleted_from_a_store_where_a_file_cannot_be_read() {
    if !is_somebody("nothing_is_deleted_from_a_store_where_a_file_cannot_be_read") {
        return;
    }
    let place = Place::new();
    let snapshot = place.stored(&["t/x/y", "t/old"]);
    place.make(&["d/x", "d/new"]);
    set_mode(&place.local("d/x"), 0o000);
    let options = |dry_run| SyncIn {
        ignore_errors: true,
        dry_run,
        ..SyncIn::default()
    };
    for dry_run in [true, false] {
        let synced = snapshot.sync_in(place.local("d"), "t", &options(dry_run));
        let done = changes(&synced.unwrap());
        assert!(
            matches!(&done[..], [added, error] if added == "+ new" && error.starts_with("! ")),
            "{done:?}"
        );
    }
    assert_eq!(place.listed(), ["t/new", "t/old", "t/x/y"]);
    set_mode(&place.local("d/x"), 0o644);
    let synced = place.main().sync_in(place.local("d"), "t", &options(false));
    assert_eq!(changes(&synced.unwrap()), ["+ x", "- old", "- x/y"]);
}

#[test]
fn a_deletion_that_failed_is_not_reported_as_done() {
    if !is_somebody("a_deletion_that_failed_is_not_reported_as_done") {
        return;
    }
    let place = Place::new();
    let snapshot = place.stored(&["d/a"]);
    place.make(&["o/old", "o/closed/x"]);
    let closed = place.local("o/closed");
    set_mode(&closed, 0o555);
    let copied = snapshot.copy_out(&mirror(&place, &["d/"])).unwrap();
    set_mode(&closed, 0o755);
    let done = changes(&copied);
    assert!(
        matches!(&done[..], [added, deleted, error]
            if added == "+ a" && deleted == "- old" && error.starts_with("! ")),
        "{done:?}"
    );
    let expected = ["a: d/a", "closed/", "closed/x: o/closed/x"];
    assert_eq!(disk(&place.local("o")), expected);
}

#[test]
fn nothing_is_deleted_before_all_is_written() {
    if !is_somebody("nothing_is_deleted_before_all_is_written") {
        return;
    }
    let place = Place::new();
    let snapshot = place.stored(&["d/a", "d/closed/new"]);
    place.make(&["o/aged", "o/closed/x"]);
    let closed = place.local("o/closed");
    set_mode(&closed, 0o555);
    let options = CopyOut {
        ignore_errors: false,
        ..mirror(&place, &["d/"])
    };
    snapshot.copy_out(&options).unwrap_err();
    assert!(place.local("o/aged").exists() && place.local("o/closed/x").exists());
    // Nor where it goes on after what it could not write.
    let copied = snapshot.copy_out(&mirror(&place, &["d/"])).unwrap();
    let done = changes(&copied);
    assert!(
        done.iter().all(|change| !change.starts_with("- ")),
        "{done:?}"
    );
    assert!(
        done.iter().any(|change| change.starts_with("! ")),
        "{done:?}"
    );
    set_mode(&closed, 0o755);
    assert!(place.local("o/aged").exists() && place.local("o/closed/x").exists());
    snapshot.copy_out(&options).unwrap();
    let expected = ["a: d/a", "closed/", "closed/new: d/closed/new"];
    assert_eq!(disk(&place.local("o")), expected);
}

#[test]
fn files_and_folders_give_way_to_each_other() {
    let place = Place::new();
    let snapshot = place.stored(&["d/folder/deep/new", "d/file", "d/link/new"]);
    let snapshot = snapshot
        .write_symlink("d/now", "folder", &WriteOptions::default())
        .unwrap();
    place.make(&["o/folder", "o/file/x/y", "o/file/z", "o/link -> ../out"]);
    place.make(&["out/new", "o/now/deep/new", "o/now/other", "o/gone/x"]);
    for in_place in [false, true] {
        let options = CopyOut {
            in_place,
            ..mirror(&place, &["d/"])
        };
        snapshot.copy_out(&options).unwrap();
        let expected = [
            "file: d/file",
            "folder/",
            "folder/deep/",
            "folder/deep/new: d/folder/deep/new",
            "link/",
            "link/new: d/link/new",
            "now -> folder",
        ];
        assert_eq!(disk(&place.local("o")), expected);
        assert_eq!(disk(&place.local("out")), ["new: out/new"]);
    }
}

#[test]
fn a_local_folder_that_must_exist_is_not_taken_for_an_empty_one() {
    let place = Place::new();
    let snapshot = place.stored(&["d/a"]);
    place.make(&["file"]);
    for ignore_errors in [false, true] {
        let options = SyncIn {
            must_exist: true,
            ignore_errors,
            ..SyncIn::default()
        };
        for local in ["missing", "file"] {
            let local = place.local(local);
            snapshot.sync_in(&local, "d", &options).unwrap_err();
        }
    }
    let options = SyncIn {
        must_exist: true,
        ..SyncIn::default()
    };
    let missing = snapshot.sync_in(place.local("missing"), "d", &options);
    assert_eq!(missing.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(place.main(), snapshot);
    let emptied = snapshot.sync_in(place.local("missing"), "d", &SyncIn::default());
    assert_eq!(changes(&emptied.unwrap()), ["- a"]);
}

#[test]
fn a_local_folder_that_goes_while_it_is_read_takes_nothing_with_it() {
    let place = Place::new();
    let files: Vec<String> = (0..300)
        .map(|at| format!("in/{}/{at}/x", at % 20))
        .collect();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    place.make(&names);
    let (local, aside) = (place.local("in"), place.local("aside"));
    let options = SyncIn {
        must_exist: true,
        ..SyncIn::default()
    };
    let all = place.main().sync_in(&local, "d", &options).unwrap();
    for round in 0..100 {
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_micros(round * 50));
                fs::rename(&local, &aside).unwrap();
            });
            // Refused, or it was read before it went.
            let synced = all.sync_in(&local, "d", &options);
            if let Ok(synced) = synced {
                assert_eq!(synced.commit(), all.commit(), "{:?}", changes(&synced));
            }
        });
        fs::rename(&aside, &local).unwrap();
    }
}
