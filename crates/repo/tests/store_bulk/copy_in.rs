//! Local files into a store.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use bstr::ByteSlice;
use packhouse_repo::store::{CopyIn, ExcludeFilter, FileType, StoreErrorKind, WriteOptions};

use super::{Place, changes, from};

#[test]
fn sources_are_contents_folders_files_and_pivots() {
    let place = Place::new();
    place.make(&["d/a", "d/sub/b*", "d/link -> a", "d/gone -> nowhere", "f"]);
    fs::create_dir(place.local("d/empty")).unwrap();
    let copy = |source: &str, dest: &str| {
        let snapshot = place
            .main()
            .copy_in(&from(&[place.local(source)], dest))
            .unwrap();
        assert_eq!(snapshot.commit(), place.main().commit());
        changes(&snapshot)
    };
    assert_eq!(copy("d/", "one"), ["+ a", "+ gone@", "+ link@", "+ sub/b*"]);
    assert_eq!(
        copy("d", "two"),
        ["+ d/a", "+ d/gone@", "+ d/link@", "+ d/sub/b*"]
    );
    assert_eq!(copy("f", "three/"), ["+ f"]);
    assert_eq!(copy("d/./sub/b", "four"), ["+ sub/b*"]);
    assert_eq!(copy("d/./sub/", "five"), ["+ b*"]);
    assert_eq!(copy("./d/./sub", "six"), ["+ d/sub/b*"]);
    assert_eq!(
        copy("d/.", "seven"),
        ["+ a", "+ gone@", "+ link@", "+ sub/b*"]
    );
    assert_eq!(
        place.listed(),
        [
            "five/b*",
            "four/sub/b*",
            "one/a",
            "one/gone@",
            "one/link@",
            "one/sub/b*",
            "seven/a",
            "seven/gone@",
            "seven/link@",
            "seven/sub/b*",
            "six/d/sub/b*",
            "three/f",
            "two/d/a",
            "two/d/gone@",
            "two/d/link@",
            "two/d/sub/b*",
        ]
    );
    assert_eq!(place.main().readlink("one/gone").unwrap(), "nowhere");
    assert_eq!(place.main().message(), "Batch cp: +4");
    place.git(&["fsck", "--full", "--strict"]);
}

#[test]
fn missing_and_wrong_sources_are_told_apart() {
    let place = Place::new();
    place.make(&["f"]);
    let kind = |source: &str| {
        let error = place
            .main()
            .copy_in(&from(&[place.local(source)], ""))
            .unwrap_err();
        (error.kind(), error.to_string())
    };
    let (missing, text) = kind("nope");
    assert_eq!(missing, StoreErrorKind::NotFound);
    assert!(text.starts_with("Local file not found: "), "{text}");
    assert_eq!(kind("f/").0, StoreErrorKind::NotADirectory);
    assert_eq!(kind("nope/").0, StoreErrorKind::NotADirectory);
    assert_eq!(kind("./f/").0, StoreErrorKind::NotADirectory);
    assert_eq!(kind("f/x").0, StoreErrorKind::NotFound);
}

#[test]
fn a_copy_without_delete_writes_all_and_reports_by_existence() {
    let place = Place::new();
    place.make(&["d/a", "d/b"]);
    place.stored(&["x/d/a", "x/other"]);
    let options = from(&[place.local("d")], "x");
    let dry = CopyIn {
        dry_run: true,
        ..options.clone()
    };
    let before = place.main();
    assert_eq!(changes(&before.copy_in(&dry).unwrap()), ["+ d/b", "~ d/a"]);
    assert_eq!(place.main(), before);
    let first = before.copy_in(&options).unwrap();
    assert_eq!(changes(&first), ["+ d/b", "~ d/a"]);
    let entry = &first.changes().unwrap().add[0];
    assert_eq!(
        entry.source.as_ref().unwrap(),
        place.local("d/b").as_os_str().as_bytes()
    );
    let again = first.copy_in(&options).unwrap();
    assert_eq!(changes(&again), ["~ d/a", "~ d/b"]);
    assert_eq!(again.commit(), first.commit());
    assert_eq!(place.listed(), ["x/d/a", "x/d/b", "x/other"]);

    let existing = CopyIn {
        ignore_existing: true,
        ..options
    };
    place.make(&["d/c"]);
    fs::write(place.local("d/a"), "changed").unwrap();
    assert_eq!(changes(&first.copy_in(&existing).unwrap()), ["+ d/c"]);
    assert_eq!(place.main().read("x/d/a", 0, None).unwrap(), b"d/a");
}

#[test]
fn delete_makes_the_destination_the_same_and_writes_only_differences() {
    let place = Place::new();
    place.make(&[
        "d/same",
        "d/new",
        "d/differs",
        "d/run*",
        "d/file",
        "d/folder/x",
    ]);
    let snapshot = place.stored(&[
        "t/differs",
        "t/old",
        "t/run",
        "t/file/below",
        "t/folder",
        "outside",
    ]);
    fs::write(place.local("d/same"), "t/same").unwrap();
    let snapshot = snapshot
        .write("t/same", b"t/same", &WriteOptions::default())
        .unwrap();
    let options = CopyIn {
        delete: true,
        ..from(&[place.local("d/")], "t")
    };
    let expected = [
        "+ file",
        "+ folder/x",
        "+ new",
        "~ differs",
        "~ run*",
        "- file/below",
        "- folder",
        "- old",
    ];
    let dry = snapshot
        .copy_in(&CopyIn {
            dry_run: true,
            ..options.clone()
        })
        .unwrap();
    assert_eq!(changes(&dry), expected);
    let done = snapshot.copy_in(&options).unwrap();
    assert_eq!(changes(&done), expected);
    assert_eq!(
        place.listed(),
        [
            "outside",
            "t/differs",
            "t/file",
            "t/folder/x",
            "t/new",
            "t/run*",
            "t/same"
        ]
    );
    let again = done.copy_in(&options).unwrap();
    assert_eq!((again.commit(), again.changes()), (done.commit(), None));
}

#[test]
fn overlapping_sources_are_settled() {
    let place = Place::new();
    place.make(&["one/x", "two/x", "two/y"]);
    let sources = [place.local("one/"), place.local("two/")];
    let last = place.main().copy_in(&from(&sources, "")).unwrap();
    assert_eq!(last.read("x", 0, None).unwrap(), b"two/x");
    let options = CopyIn {
        delete: true,
        ..from(&sources, "")
    };
    let first = last.copy_in(&options).unwrap();
    assert_eq!(first.read("x", 0, None).unwrap(), b"one/x");
    assert_eq!(
        changes(&first),
        [
            "~ x",
            "? Overlapping destination 'x': skipping (kept earlier source)"
        ]
    );
}

#[test]
fn links_are_followed_only_on_request() {
    let place = Place::new();
    place.make(&[
        "d/real/f",
        "d/alias -> real",
        "d/file -> real/f",
        "d/real/up -> ..",
    ]);
    symlink(place.local("d"), place.local("top")).unwrap();
    let main = place.main();
    let kept = main.copy_in(&from(&[place.local("top")], "one")).unwrap();
    assert_eq!(changes(&kept), ["+ top@"]);
    let entered = kept.copy_in(&from(&[place.local("top/")], "two")).unwrap();
    assert_eq!(
        changes(&entered),
        ["+ alias@", "+ file@", "+ real/f", "+ real/up@"]
    );
    let options = CopyIn {
        follow_symlinks: true,
        ..from(&[place.local("top")], "three")
    };
    let followed = entered.copy_in(&options).unwrap();
    // Both names of one folder are copied, whichever is come by first; only circles are cut.
    assert_eq!(
        changes(&followed),
        ["+ top/alias/f", "+ top/file", "+ top/real/f"]
    );
    symlink("nowhere", place.local("d/dangling")).unwrap();
    let error = followed.copy_in(&options).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    let link = followed
        .copy_in(&from(&[place.local("d/dangling")], ""))
        .unwrap();
    assert_eq!(changes(&link), ["+ dangling@"]);
}

#[test]
fn errors_are_collected_if_so_told() {
    let place = Place::new();
    place.make(&["d/a", "d/bad -> nowhere"]);
    place.stored(&["t/old"]);
    let options = CopyIn {
        ignore_errors: true,
        delete: true,
        follow_symlinks: true,
        ..CopyIn::default()
    };
    let copy = |sources: &[&str]| {
        let sources: Vec<PathBuf> = sources.iter().map(|source| place.local(source)).collect();
        let from = from(&sources, "t");
        place.main().copy_in(&CopyIn {
            sources: from.sources,
            dest: from.dest,
            ..options.clone()
        })
    };
    let none = copy(&["missing", "none/"]).unwrap_err();
    assert_eq!(none.kind(), StoreErrorKind::Runtime);
    assert!(
        none.to_string().starts_with("All files failed to copy: "),
        "{none}"
    );
    // What is missing may be a mistake: nothing is deleted.
    let partly = copy(&["d/", "missing"]).unwrap();
    assert_eq!(partly.changes().unwrap().add.len(), 1);
    assert_eq!(partly.changes().unwrap().errors.len(), 2);
    assert_eq!(place.listed(), ["t/a", "t/old"]);
    assert_eq!(
        copy(&["d/bad"]).unwrap_err().kind(),
        StoreErrorKind::Runtime
    );
}

#[test]
fn no_sources_change_nothing() {
    let place = Place::new();
    let snapshot = place.stored(&["a"]);
    for delete in [false, true] {
        let same = snapshot
            .copy_in(&CopyIn {
                delete,
                ..from(&[], "")
            })
            .unwrap();
        assert_eq!((same.commit(), same.changes()), (snapshot.commit(), None));
    }
}

#[test]
fn modes_can_be_given() {
    let place = Place::new();
    place.make(&["d/a", "d/b*", "d/l -> a"]);
    let mode = |mode| CopyIn {
        mode: Some(mode),
        ..from(&[place.local("d/")], "")
    };
    let snapshot = place.main().copy_in(&mode(FileType::Executable)).unwrap();
    assert_eq!(place.listed(), ["a*", "b*", "l@"]);
    let same = CopyIn {
        delete: true,
        ..mode(FileType::Executable)
    };
    assert_eq!(snapshot.copy_in(&same).unwrap().commit(), snapshot.commit());
    snapshot.copy_in(&mode(FileType::Blob)).unwrap();
    assert_eq!(place.listed(), ["a", "b", "l@"]);
    let tree = place.main().copy_in(&mode(FileType::Tree)).unwrap_err();
    assert_eq!(tree.kind(), StoreErrorKind::Value);
}

#[test]
fn excluded_files_stay_out_and_may_stay_in_the_destination() {
    let place = Place::new();
    place.make(&[
        "d/a.txt",
        "d/b.log",
        "d/build/x",
        "d/sub/.gitignore",
        "d/sub/c.tmp",
        "d/sub/keep",
    ]);
    fs::write(place.local("d/sub/.gitignore"), "*.tmp\n").unwrap();
    let exclude = ExcludeFilter::new(["*.log", "build/"], None, true).unwrap();
    let options = CopyIn {
        exclude: Some(exclude),
        ..from(&[place.local("d/")], "")
    };
    place.main().copy_in(&options).unwrap();
    assert_eq!(place.listed(), ["a.txt", "sub/keep"]);
    let single = CopyIn {
        sources: vec![place.local("d/b.log").into()],
        ..options.clone()
    };
    assert_eq!(place.main().copy_in(&single).unwrap().changes(), None);

    let snapshot = place.stored(&["old.log", "build/y", "old.txt"]);
    let keep = CopyIn {
        delete: true,
        keep_excluded: true,
        ..options.clone()
    };
    assert_eq!(changes(&snapshot.copy_in(&keep).unwrap()), ["- old.txt"]);
    let delete = CopyIn {
        delete: true,
        ..options
    };
    assert_eq!(
        changes(&place.main().copy_in(&delete).unwrap()),
        ["- build/y", "- old.log"]
    );
}

#[test]
fn names_of_all_bytes_are_copied_and_git_names_are_refused() {
    let place = Place::new();
    fs::create_dir(place.local("d")).unwrap();
    let mut expected = Vec::new();
    for byte in (1..=255u8).filter(|byte| *byte != b'/') {
        let name = [b'x', byte, b'y'];
        fs::write(
            place.local("d").join(std::ffi::OsStr::from_bytes(&name)),
            [byte],
        )
        .unwrap();
        expected.push(name.to_vec());
    }
    let snapshot = place
        .main()
        .copy_in(&from(&[place.local("d/")], ""))
        .unwrap();
    let names: Vec<_> = snapshot
        .ls("")
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.to_vec())
        .collect();
    assert_eq!(names, expected);
    assert_eq!(snapshot.read(b"x\xffy", 0, None).unwrap(), [255]);

    place.make(&["w/.git/config", "w/f"]);
    let error = snapshot
        .copy_in(&from(&[place.local("w/")], ""))
        .unwrap_err();
    assert!(
        error.to_string().contains("'.git/config' cannot be stored"),
        "{error}"
    );
    let options = CopyIn {
        ignore_errors: true,
        ..from(&[place.local("w/")], "w")
    };
    let partly = snapshot.copy_in(&options).unwrap();
    assert_eq!(partly.changes().unwrap().add.len(), 1);
    let exclude = Some(ExcludeFilter::new([""; 0], None, true).unwrap());
    let without = CopyIn {
        exclude,
        ..from(&[place.local("w/")], "v")
    };
    assert_eq!(changes(&partly.copy_in(&without).unwrap()), ["+ f"]);
}

#[test]
fn the_store_itself_and_pipes_are_left_out() {
    let place = Place::new();
    place.make(&["f"]);
    let pipe = place.local("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let root = place.local("").parent().unwrap().to_owned();
    let snapshot = place.main().copy_in(&from(&[root.join("")], "")).unwrap();
    assert_eq!(place.listed(), ["local/f"]);
    let warnings = &snapshot.changes().unwrap().warnings;
    let mut texts: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.error.as_str())
        .collect();
    texts.sort_unstable();
    assert_eq!(
        texts,
        [
            "not a regular file: skipping",
            "the store itself is not copied"
        ]
    );
    let named = snapshot.copy_in(&from(&[pipe], "")).unwrap_err();
    assert!(named.to_string().contains("not a regular file"), "{named}");
}

#[test]
fn many_files_are_copied_and_unchanged_ones_are_remembered_safely() {
    let place = Place::new();
    for n in 0..300 {
        place.make(&[&format!("d/{}/{n}", n % 7)]);
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    let options = CopyIn {
        delete: true,
        ..from(&[place.local("d/")], "t")
    };
    let snapshot = place.main().copy_in(&options).unwrap();
    assert_eq!(snapshot.changes().unwrap().add.len(), 300);
    assert_eq!(place.listed().len(), 300);
    assert_eq!(snapshot.copy_in(&options).unwrap().changes(), None);
    let path = place.local("d/3/3");
    let times = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "D/3/3").unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(times)
        .unwrap();
    let changed = snapshot.copy_in(&options).unwrap();
    assert_eq!(changes(&changed), ["~ 3/3"]);
    assert_eq!(changed.read("t/3/3", 0, None).unwrap().as_bstr(), "D/3/3");
    // Remembered contents that the repository has forgotten are stored again.
    let other = Place::new();
    fs::create_dir_all(other.store.path().join("packhouse")).unwrap();
    let cache = std::process::Command::new("cp")
        .arg("-r")
        .arg(place.store.path().join("packhouse/stat-cache"))
        .arg(other.store.path().join("packhouse"))
        .status();
    assert!(cache.unwrap().success());
    other.main().copy_in(&options).unwrap();
    other.git(&["fsck", "--full", "--strict"]);
    assert_eq!(other.listed().len(), 300);
}

#[test]
fn large_files_pass_in_pieces() {
    let place = Place::new();
    let data: Vec<u8> = (0..3_000_000u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 16).to_le_bytes())
        .collect();
    fs::write(place.local("large"), &data).unwrap();
    let options = CopyIn {
        delete: true,
        ..from(&[place.local("")], "")
    };
    let snapshot = place.main().copy_in(&options).unwrap();
    assert!(snapshot.read("large", 0, None).unwrap() == data);
    assert_eq!(snapshot.copy_in(&options).unwrap().changes(), None);
    fs::write(place.local("large"), &data[1..]).unwrap();
    let changed = snapshot.copy_in(&options).unwrap();
    assert_eq!(changes(&changed), ["~ large"]);
    assert_eq!(changed.stat("large").unwrap().size, data.len() as u64 - 1);
    place.git(&["fsck", "--full", "--strict"]);
}

#[test]
fn copies_need_a_branch_that_has_not_moved() {
    let place = Place::new();
    place.make(&["f"]);
    let old = place.main();
    place.stored(&["x"]);
    let options = from(&[place.local("f")], "");
    assert_eq!(
        old.copy_in(&options).unwrap_err().kind(),
        StoreErrorKind::Stale
    );
    let read_only = place.main().detached();
    assert_eq!(
        read_only.copy_in(&options).unwrap_err().kind(),
        StoreErrorKind::Permission
    );
    let dry = CopyIn {
        dry_run: true,
        ..options
    };
    assert_eq!(changes(&read_only.copy_in(&dry).unwrap()), ["+ f"]);
}

#[test]
fn what_exists_is_left_alone_also_where_it_is_in_the_way() {
    let place = Place::new();
    place.make(&["d/a", "d/file/b", "d/folder", "d/new"]);
    let main = place.stored(&["a", "file", "folder/x"]);
    let options = CopyIn {
        ignore_existing: true,
        ..from(&[place.local("d/")], "")
    };
    let copied = main.copy_in(&options).unwrap();
    assert_eq!(changes(&copied), ["+ new"]);
    assert_eq!(place.listed(), ["a", "file", "folder/x", "new"]);
}
