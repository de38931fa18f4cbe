//! Files of a store into local folders.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use bstr::BString;
use packhouse_repo::store::{CopyOut, FileType, Snapshot, StoreErrorKind, WriteOptions};

use super::{Place, changes, disk};

fn out(place: &Place, sources: &[&str], dest: &str) -> CopyOut<'static> {
    CopyOut {
        sources: sources
            .iter()
            .map(|source| BString::from(*source))
            .collect(),
        dest: place.local(dest),
        ..CopyOut::default()
    }
}

/// Two files, one of them executable, and a link, in `d`.
fn some(place: &Place) -> Snapshot {
    let run = WriteOptions {
        mode: Some(FileType::Executable),
        ..WriteOptions::default()
    };
    let snapshot = place.stored(&["d/a", "d/sub/b", "top"]);
    let snapshot = snapshot.write("d/sub/run", b"#!", &run).unwrap();
    snapshot
        .write_symlink("d/l", "sub/b", &WriteOptions::default())
        .unwrap()
}

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
fn times_are_trusted_instead_of_contents_if_so_told() {
    let place = Place::new();
    let snapshot = some(&place);
    let options = CopyOut {
        delete: true,
        checksum: false,
        ..out(&place, &["d/"], "o")
    };
    snapshot.copy_out(&options).unwrap();
    let path = place.local("o/a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let set = |seconds: u64| {
        fs::write(&path, "hidden").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time + std::time::Duration::from_secs(seconds))
            .unwrap();
    };
    set(0);
    assert_eq!(snapshot.copy_out(&options).unwrap().changes(), None);
    set(2);
    assert_eq!(changes(&snapshot.copy_out(&options).unwrap()), ["~ a"]);
}

#[test]
fn links_in_the_destination_are_never_followed() {
    for delete in [false, true] {
        let place = Place::new();
        let snapshot = place.stored(&["d/x/file", "d/y", "d/z/deep/er"]);
        place.make(&["outside/file", "outside/keep", "outside/deep/er", "y"]);
        fs::create_dir_all(place.local("o/more")).unwrap();
        symlink(place.local("outside"), place.local("o/x")).unwrap();
        symlink(place.local("y"), place.local("o/y")).unwrap();
        symlink("../outside", place.local("o/z")).unwrap();
        symlink(place.local("outside"), place.local("o/more/link")).unwrap();
        let outside = disk(&place.local("outside"));
        let options = CopyOut {
            delete,
            ..out(&place, &["d/"], "o")
        };
        snapshot.copy_out(&options).unwrap();
        assert_eq!(disk(&place.local("outside")), outside);
        assert_eq!(fs::read(place.local("y")).unwrap(), b"y");
        assert!(
            place
                .local("o/x/file")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
        assert!(place.local("o/y").symlink_metadata().unwrap().is_file());
        assert!(place.local("o/z").symlink_metadata().unwrap().is_dir());
        assert_eq!(place.local("o/more/link").is_symlink(), !delete);
    }
}

#[test]
fn the_destination_itself_may_be_reached_through_links() {
    let place = Place::new();
    let snapshot = place.stored(&["a"]);
    fs::create_dir(place.local("real")).unwrap();
    symlink("real", place.local("alias")).unwrap();
    snapshot.copy_out(&out(&place, &[""], "alias")).unwrap();
    snapshot
        .copy_out(&out(&place, &[""], "alias/new/er"))
        .unwrap();
    assert_eq!(
        disk(&place.local("real")),
        ["a: a", "new/", "new/er/", "new/er/a: a"]
    );
    place.make(&["file"]);
    let error = snapshot.copy_out(&out(&place, &[""], "file")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotADirectory);
}

#[test]
fn a_hostile_tree_cannot_leave_the_destination() {
    let place = Place::new();
    let blob = place.git(&["hash-object", "-w", "--stdin"]);
    let blob = blob.trim();
    let tree = |listing: String| {
        let path = place.local("listing");
        fs::write(&path, listing).unwrap();
        let mut git = Command::new("git");
        git.args(["mktree", "--missing"])
            .current_dir(place.store.path());
        let output = git.stdin(fs::File::open(path).unwrap()).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let inner = tree(format!("100644 blob {blob}\tescaped\n"));
    for name in ["..", ".git", "."] {
        let root = tree(format!(
            "040000 tree {inner}\t{name}\n100644 blob {blob}\tgood\n"
        ));
        let commit = place.git(&["commit-tree", "-m", "hostile", &root]);
        place.git(&["update-ref", "refs/heads/hostile", commit.trim()]);
        let snapshot = place.store.branches().get("hostile").unwrap();
        let options = out(&place, &[""], "o/in");
        let error = snapshot.copy_out(&options).unwrap_err();
        assert!(
            error.to_string().contains("cannot be written to disk"),
            "{error}"
        );
        let partly = CopyOut {
            ignore_errors: true,
            ..options
        };
        let copied = snapshot.copy_out(&partly).unwrap();
        assert_eq!(copied.changes().unwrap().errors.len(), 1);
        assert_eq!(disk(&place.local("o")), ["in/", "in/good: "]);
    }
}

#[test]
fn the_store_is_neither_written_into_nor_deleted() {
    let place = Place::new();
    let snapshot = place.stored(&["store.git/config", "f"]);
    let root = place.local("").parent().unwrap().to_owned();
    let at = |dest: PathBuf| CopyOut {
        dest,
        ..out(&place, &[""], "")
    };
    let config = fs::read(place.store.path().join("config")).unwrap();
    for dest in [
        place.store.path().to_owned(),
        place.store.path().join("new"),
    ] {
        let error = snapshot.copy_out(&at(dest)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Value);
    }
    let error = snapshot.copy_out(&at(root.clone())).unwrap_err();
    assert!(
        error.to_string().contains("the store is in the way"),
        "{error}"
    );
    let mirror = CopyOut {
        delete: true,
        ..at(root.clone())
    };
    let files = CopyOut {
        sources: vec!["f".into()],
        ..mirror
    };
    let copied = snapshot.copy_out(&files).unwrap();
    assert_eq!(copied.changes().unwrap().warnings.len(), 1);
    assert_eq!(fs::read(place.store.path().join("config")).unwrap(), config);
    assert_eq!(place.main().read("f", 0, None).unwrap(), b"f");
    assert!(!place.local("").exists());
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

#[test]
fn a_file_of_the_stores_name_does_not_replace_the_store() {
    let place = Place::new();
    let root = place.local("").parent().unwrap().to_owned();
    // The store is `root/store.git`: neither that nor a folder it is in gives way to a file.
    let above = root.file_name().unwrap().to_str().unwrap().to_owned();
    let snapshot = place.stored(&["store.git", &above]);
    for (source, dest) in [
        ("store.git", root.clone()),
        (&above, root.parent().unwrap().into()),
    ] {
        for delete in [false, true] {
            for dry_run in [true, false] {
                // Nothing but a copy of one file is safe to try above the folder.
                if delete && dest != root {
                    continue;
                }
                let options = CopyOut {
                    dest: dest.clone(),
                    delete,
                    dry_run,
                    ..out(&place, &[source], "")
                };
                let error = snapshot.copy_out(&options).unwrap_err();
                assert!(
                    error.to_string().contains("the store is in the way"),
                    "{error}"
                );
                assert_eq!(place.main(), snapshot);
            }
        }
    }
    place.git(&["fsck", "--full", "--strict"]);
}

#[test]
fn a_dangling_link_is_no_folder_to_copy_into() {
    let place = Place::new();
    place.make(&["link -> nowhere", "file"]);
    let snapshot = some(&place);
    for dest in ["link", "link/below", "file", "file/below"] {
        for dry_run in [true, false] {
            let options = CopyOut {
                dry_run,
                ..out(&place, &["d"], dest)
            };
            let error = snapshot.copy_out(&options).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::NotADirectory, "{dest}");
        }
    }
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
