//! What a copy out of a store writes, and as what.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use packhouse_repo::store::{CopyOut, StoreErrorKind, WriteOptions};

use super::{out, some};
use crate::store_bulk::{Place, changes, disk};

#[test]
fn sources_are_contents_folders_files_and_pivots() {
    let place = Place::new();
    let snapshot = some(&place);
    let copy = |source: &str, dest: &str| {
        let copied = snapshot.copy_out(&out(&place, &[source], dest)).unwrap();
        assert_eq!(copied, snapshot);
        changes(&copied)
    };
    assert_eq!(copy("d/", "one"), ["+ a", "+ l@", "+ sub/b", "+ sub/run*"]);
    assert_eq!(
        copy("d", "two"),
        ["+ d/a", "+ d/l@", "+ d/sub/b", "+ d/sub/run*"]
    );
    assert_eq!(copy("top", "three"), ["+ top"]);
    assert_eq!(copy("d/./sub/b", "four"), ["+ sub/b"]);
    assert_eq!(copy("d\\.\\sub", "five"), ["+ sub/b", "+ sub/run*"]);
    assert_eq!(copy("d/./sub/", "six"), ["+ b", "+ run*"]);
    assert_eq!(copy("", "seven").len(), 5);
    assert_eq!(copy("/", "seven").len(), 5);
    assert_eq!(
        disk(&place.local("one")),
        [
            "a: d/a",
            "l -> sub/b",
            "sub/",
            "sub/b: d/sub/b",
            "sub/run*: #!"
        ]
    );
    for path in ["one/a", "one/sub/run", "one/l"] {
        let found = fs::symlink_metadata(place.local(path)).unwrap();
        assert_eq!(found.mtime(), snapshot.seconds(), "{path}");
    }
    let kind = |source: &str| {
        let error = snapshot.copy_out(&out(&place, &[source], "x")).unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(
        kind("nope"),
        (
            StoreErrorKind::NotFound,
            "File not found in repo: nope".to_owned()
        )
    );
    assert_eq!(kind("top/").0, StoreErrorKind::NotADirectory);
    assert_eq!(kind("d/./a/").0, StoreErrorKind::NotADirectory);
    assert!(!place.local("x").exists());
}

#[test]
fn permissions_follow_the_umask() {
    let place = Place::new();
    some(&place).copy_out(&out(&place, &["d/"], "o")).unwrap();
    let mode = |path: &str| {
        fs::metadata(place.local(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    fs::write(place.local("plain"), "").unwrap();
    let plain = mode("plain");
    assert_eq!(mode("o/a"), plain);
    assert_eq!(mode("o/sub/run"), plain | (plain & 0o444) >> 2);
}

#[test]
fn files_agree_with_git_archive() {
    let place = Place::new();
    let snapshot = some(&place);
    snapshot.copy_out(&out(&place, &[""], "ours")).unwrap();
    fs::create_dir(place.local("gits")).unwrap();
    let pipe = format!(
        "git -C '{}' archive main | tar -x -C '{}'",
        place.store.path().display(),
        place.local("gits").display()
    );
    assert!(
        Command::new("sh")
            .args(["-c", &pipe])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(disk(&place.local("ours")), disk(&place.local("gits")));
}

#[test]
fn errors_are_collected_if_so_told() {
    let place = Place::new();
    // No file system here takes such a link.
    let snapshot = place
        .stored(&["good"])
        .write_symlink("long", "n".repeat(5000), &WriteOptions::default())
        .unwrap();
    let error = snapshot.copy_out(&out(&place, &[""], "o")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Os, "{error}");
    let options = CopyOut {
        ignore_errors: true,
        ..out(&place, &["", "missing"], "o")
    };
    let copied = snapshot.copy_out(&options).unwrap();
    let report = copied.changes().unwrap();
    assert_eq!((report.update.len(), report.errors.len()), (1, 2));
    for sources in [&["missing"][..], &["long"]] {
        let options = CopyOut {
            ignore_errors: true,
            ..out(&place, sources, "o")
        };
        let error = snapshot.copy_out(&options).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Runtime, "{error}");
    }
    let left: Vec<_> = fs::read_dir(place.local("o")).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays behind");
}

#[test]
fn names_of_all_bytes_and_large_files_come_out() {
    let place = Place::new();
    let mut snapshot = place.main();
    for byte in [1, b'\n', b'\\', b':', 0x80, 0xff] {
        snapshot = snapshot
            .write([b'x', byte], &[byte], &WriteOptions::default())
            .unwrap();
    }
    let data: Vec<u8> = (0..1_500_000u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 16).to_le_bytes())
        .collect();
    snapshot = snapshot
        .write("large", &data, &WriteOptions::default())
        .unwrap();
    snapshot.copy_out(&out(&place, &[""], "o")).unwrap();
    for byte in [1, b'\n', b'\\', b':', 0x80, 0xff] {
        let name = [b'x', byte];
        let path = place.local("o").join(std::ffi::OsStr::from_bytes(&name));
        assert_eq!(fs::read(path).unwrap(), [byte]);
    }
    assert!(fs::read(place.local("o/large")).unwrap() == data);
}

#[test]
fn one_file_can_become_exactly_the_destination() {
    let place = Place::new();
    place.make(&["there", "link -> there", "folder/x"]);
    fs::set_permissions(place.local("there"), fs::Permissions::from_mode(0o640)).unwrap();
    let snapshot = some(&place);
    let exactly = |source: &str, dest: &str, dry_run: bool| {
        let options = CopyOut {
            exact: true,
            dry_run,
            ..out(&place, &[source], dest)
        };
        snapshot
            .copy_out(&options)
            .map(|copied| changes(&copied))
            .map_err(|error| error.kind())
    };
    for dry_run in [true, false] {
        assert_eq!(exactly("d/a", "there", dry_run).unwrap(), ["~ there"]);
        assert_eq!(
            exactly("d/sub/run", "new/.git", dry_run).unwrap(),
            ["+ .git*"]
        );
        assert_eq!(exactly("d/l", "link", dry_run).unwrap(), ["~ link@"]);
        let folder = exactly("d/a", "folder", dry_run);
        assert_eq!(folder, Err(StoreErrorKind::IsADirectory));
        for wrong in ["d", "d/", ""] {
            let refused = exactly(wrong, "x", dry_run);
            assert_eq!(refused, Err(StoreErrorKind::Value), "{wrong}");
        }
        assert_eq!(exactly("nope", "x", dry_run), Err(StoreErrorKind::NotFound));
    }
    let expected = [
        "folder/",
        "folder/x: folder/x",
        "link -> sub/b",
        "new/",
        "new/.git*: #!",
        "there: d/a",
    ];
    assert_eq!(disk(&place.local("")), expected);
    assert_eq!(
        fs::metadata(place.local("there")).unwrap().mode() & 0o777,
        0o640
    );
}
