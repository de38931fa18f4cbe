//! What a copy out of a store does with files that are in the destination.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Mutex;

use bstr::{BStr, ByteSlice};
use packhouse_repo::store::CopyOut;

use super::{out, some};
use crate::store_bulk::{Place, changes, disk};

#[test]
fn a_copy_without_delete_writes_all_and_leaves_the_rest() {
    let place = Place::new();
    let snapshot = some(&place);
    place.make(&["o/a", "o/other", "o/sub -> elsewhere"]);
    let options = out(&place, &["d/"], "o");
    let dry = CopyOut {
        dry_run: true,
        ..options.clone()
    };
    let expected = ["+ sub/b", "+ sub/run*", "~ a", "+ l@"];
    let mut sorted = changes(&snapshot.copy_out(&dry).unwrap());
    sorted.sort();
    let mut wanted = expected.map(str::to_owned).to_vec();
    wanted.sort();
    assert_eq!(sorted, wanted);
    assert_eq!(
        disk(&place.local("o")),
        ["a: o/a", "other: o/other", "sub -> elsewhere"]
    );

    let careful = CopyOut {
        ignore_existing: true,
        ..options.clone()
    };
    assert_eq!(changes(&snapshot.copy_out(&careful).unwrap()), ["+ l@"]);
    assert_eq!(
        changes(&snapshot.copy_out(&options).unwrap()),
        ["+ sub/b", "+ sub/run*", "~ a", "~ l@"]
    );
    assert_eq!(
        disk(&place.local("o")),
        [
            "a: d/a",
            "l -> sub/b",
            "other: o/other",
            "sub/",
            "sub/b: d/sub/b",
            "sub/run*: #!"
        ]
    );
}

#[test]
fn delete_makes_the_folder_the_same() {
    let place = Place::new();
    let snapshot = some(&place);
    place.make(&["o/a", "o/old/x/y", "o/l/below", "o/sub*", "o/.dot"]);
    fs::create_dir_all(place.local("o/empty/deep")).unwrap();
    let options = CopyOut {
        delete: true,
        ..out(&place, &["d/"], "o")
    };
    let expected = [
        "+ l@",
        "+ sub/b",
        "+ sub/run*",
        "~ a",
        "- .dot",
        "- l/below",
        "- old/x/y",
        "- sub",
    ];
    let dry = CopyOut {
        dry_run: true,
        ..options.clone()
    };
    assert_eq!(changes(&snapshot.copy_out(&dry).unwrap()), expected);
    assert_eq!(changes(&snapshot.copy_out(&options).unwrap()), expected);
    let same = [
        "a: d/a",
        "l -> sub/b",
        "sub/",
        "sub/b: d/sub/b",
        "sub/run*: #!",
    ];
    assert_eq!(disk(&place.local("o")), same);
    assert_eq!(snapshot.copy_out(&options).unwrap().changes(), None);

    // Only what differs is written again, by content and by the right to run.
    let before = fs::metadata(place.local("o/sub/b")).unwrap().ino();
    fs::set_permissions(place.local("o/a"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(place.local("o/sub/run"), "!!").unwrap();
    assert_eq!(
        changes(&snapshot.copy_out(&options).unwrap()),
        ["~ a", "~ sub/run*"]
    );
    assert_eq!(disk(&place.local("o")), same);
    assert_eq!(fs::metadata(place.local("o/sub/b")).unwrap().ino(), before);
    let existing = CopyOut {
        ignore_existing: true,
        ..options
    };
    fs::write(place.local("o/a"), "mine").unwrap();
    assert_eq!(snapshot.copy_out(&existing).unwrap().changes(), None);
}

#[test]
fn a_file_keeps_the_permissions_of_the_one_it_replaces() {
    let place = Place::new();
    let snapshot = some(&place);
    let modes = [
        // Of the file that is there, of a plain file in its place, of one that may be run.
        (0o640, 0o640, 0o750),
        (0o600, 0o600, 0o700),
        (0o664, 0o664, 0o775),
        (0o400, 0o400, 0o500),
        (0o751, 0o640, 0o751),
        (0o711, 0o600, 0o711),
        (0o4755, 0o644, 0o755),
    ];
    for delete in [false, true] {
        for (old, plain, executable) in modes {
            place.make(&["o/a", "o/sub/run"]);
            for path in ["o/a", "o/sub/run"] {
                let mode = fs::Permissions::from_mode(old);
                fs::set_permissions(place.local(path), mode).unwrap();
            }
            let options = CopyOut {
                delete,
                ..out(&place, &["d/"], "o")
            };
            snapshot.copy_out(&options).unwrap();
            for (path, expected) in [("o/a", plain), ("o/sub/run", executable)] {
                let found = fs::metadata(place.local(path)).unwrap().mode() & 0o7777;
                assert_eq!(found, expected, "{path} after {old:o}: {found:o}");
            }
            fs::remove_dir_all(place.local("o")).unwrap();
        }
    }
    // What is no file has no permissions that a file could keep.
    place.make(&["o/a -> ../elsewhere", "elsewhere"]);
    fs::set_permissions(place.local("elsewhere"), fs::Permissions::from_mode(0o600)).unwrap();
    snapshot.copy_out(&out(&place, &["d/a"], "o")).unwrap();
    fs::write(place.local("plain"), "").unwrap();
    let mode = |path: &str| fs::symlink_metadata(place.local(path)).unwrap().mode();
    assert_eq!(mode("o/a"), mode("plain"));
    assert_eq!(fs::read(place.local("elsewhere")).unwrap(), b"elsewhere");
}

/// Where a process of an ordinary user is to write.
const AS_SOMEBODY: &str = "PACKHOUSE_TEST_COPY_OUT_TO";

#[test]
fn a_file_keeps_the_owner_and_the_group_of_the_one_it_replaces_where_it_may() {
    let (somebody, another) = (23_456, 12_345);
    let place = Place::new();
    let snapshot = place.stored(&["d/theirs", "d/own"]);
    if let Ok(dest) = std::env::var(AS_SOMEBODY) {
        snapshot.copy_out(&out(&place, &["d/"], &dest)).unwrap();
        return;
    }
    place.make(&["o/theirs", "o/own", "o/plain"]);
    let plain = fs::metadata(place.local("o/plain")).unwrap();
    let theirs = |owner: u32, mode: u32| {
        for (name, owner) in [("o/theirs", owner), ("o/own", somebody)] {
            let path = place.local(name);
            if chown(&path, Some(owner), Some(another)).is_err() {
                return false;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        true
    };
    let state = |name: &str| {
        let found = fs::metadata(place.local(name)).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o777)
    };
    if !theirs(another, 0o640) {
        eprintln!("skipped: only root can give files away");
        return;
    }
    snapshot.copy_out(&out(&place, &["d/"], "o")).unwrap();
    assert_eq!(state("o/theirs"), (another, another, 0o640));
    assert_eq!(state("o/own"), (somebody, another, 0o640));

    place.make(&["o/theirs", "o/own"]);
    assert!(theirs(another, 0o660));
    for folder in ["o", "", ".."] {
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(place.local(folder), open).unwrap();
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .arg("a_file_keeps_the_owner_and_the_group_of_the_one_it_replaces_where_it_may")
        .env(AS_SOMEBODY, place.local("o"))
        .env_remove("TMPDIR")
        .current_dir("/")
        .uid(somebody)
        .gid(somebody)
        .output();
    match run {
        Ok(run) => assert!(run.status.success(), "{run:?}"),
        Err(error) => {
            eprintln!("skipped: nobody else can run the test: {error}");
            return;
        }
    }
    // Another's file becomes one as any new one; a group that cannot be kept leaves nothing to another.
    let fresh = plain.mode() & 0o777;
    assert_eq!(state("o/theirs"), (somebody, somebody, fresh));
    assert_eq!(state("o/own"), (somebody, somebody, 0o600));
}

#[test]
fn a_copy_in_place_is_the_same_as_one_that_is_not() {
    let place = Place::new();
    let snapshot = some(&place);
    let in_place = |dest: &str| CopyOut {
        in_place: true,
        ..out(&place, &[""], dest)
    };
    let copied = snapshot.copy_out(&out(&place, &[""], "renamed")).unwrap();
    let same = snapshot.copy_out(&in_place("at-once")).unwrap();
    assert_eq!(changes(&copied), changes(&same));
    assert_eq!(disk(&place.local("renamed")), disk(&place.local("at-once")));
    let time = |dest: &str| fs::metadata(place.local(dest)).unwrap().mtime();
    assert_eq!(time("renamed/d/sub/run"), time("at-once/d/sub/run"));
    // What is there is replaced whole, as ever: a link to elsewhere, a folder, a file with permissions of its own.
    let elsewhere = place.local("elsewhere");
    fs::write(&elsewhere, "mine").unwrap();
    fs::create_dir_all(place.local("mixed/d/a")).unwrap();
    symlink(&elsewhere, place.local("mixed/top")).unwrap();
    let old = place.local("mixed/d/old");
    fs::write(&old, "old").unwrap();
    fs::rename(&old, place.local("mixed/d/l")).unwrap();
    snapshot.copy_out(&in_place("mixed")).unwrap();
    assert_eq!(disk(&place.local("mixed")), disk(&place.local("at-once")));
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
}

#[test]
fn a_copy_in_place_tells_of_each_file_that_it_made_where_nothing_was() {
    let place = Place::new();
    let snapshot = some(&place);
    fs::create_dir(place.local("o")).unwrap();
    fs::write(place.local("o/top"), "old").unwrap();
    let told = Mutex::new(Vec::new());
    let tell = |path: &BStr, found: &fs::Metadata| {
        let there = fs::symlink_metadata(place.local("o").join(path.to_path().unwrap())).unwrap();
        let state =
            |of: &fs::Metadata| (of.ino(), of.len(), of.mtime(), of.ctime_nsec(), of.mode());
        assert_eq!(state(found), state(&there), "{path}");
        told.lock().unwrap().push(path.to_string());
    };
    let options = CopyOut {
        in_place: true,
        made: Some(&tell),
        ..out(&place, &[""], "o")
    };
    snapshot.copy_out(&options).unwrap();
    let mut told = told.into_inner().unwrap();
    told.sort();
    // Not of the link, nor of `top`, in whose place something was.
    assert_eq!(told, ["d/a", "d/sub/b", "d/sub/run"]);
}

#[test]
fn a_copy_goes_down_as_deep_as_the_tree_and_up_again() {
    let place = Place::new();
    let deep = ["d"; 40].join("/");
    let mut paths = vec!["d/other".to_owned(), "e/d/d/d".to_owned()];
    for name in ["d/one", "e/d/two", "e/e/three", "four"] {
        paths.push(format!("{deep}/{name}"));
    }
    let names: Vec<&str> = paths.iter().map(String::as_str).collect();
    let snapshot = place.stored(&names);
    for (dest, in_place) in [("renamed", false), ("at-once", true)] {
        let options = CopyOut {
            in_place,
            ..out(&place, &[""], dest)
        };
        snapshot.copy_out(&options).unwrap();
        for path in &paths {
            assert!(place.local(dest).join(path).is_file(), "{dest}/{path}");
        }
    }
    assert_eq!(disk(&place.local("renamed")), disk(&place.local("at-once")));
}
