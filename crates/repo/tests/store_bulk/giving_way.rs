//! What a written file or folder replaces is in the report, and in that of a dry run; submodules stay.

use std::fs;
use std::process::Command;

use packhouse_repo::store::{
    CommitOptions, CopyBetween, CopyIn, FileType, Rename, Snapshot, SyncIn, SyncOut, WriteOptions,
};

use super::{Place, changes};

const FILES: [&str; 4] = ["e", "new", "d/old", "d/e/deep"];

fn write(snapshot: &Snapshot, path: &str) -> Snapshot {
    snapshot
        .write(path, path.as_bytes(), &WriteOptions::default())
        .unwrap()
}

/// What is in the root.
fn names(snapshot: &Snapshot) -> Vec<String> {
    let entries = snapshot.ls("").unwrap().into_iter();
    entries.map(|entry| entry.name.to_string()).collect()
}

#[test]
fn a_write_reports_what_it_replaces() {
    let place = Place::new();
    let main = place.stored(&FILES);
    let written = write(&main, "new/z");
    assert_eq!(changes(&written), ["+ new/z", "- new"]);
    let written = write(&written, "d");
    assert_eq!(changes(&written), ["+ d", "- d/e/deep", "- d/old"]);
}

#[test]
fn a_batch_reports_what_it_replaces_in_the_end() {
    let place = Place::new();
    let main = place.stored(&FILES);
    // The folder wins, without what it had before the file; nothing is listed twice.
    let mut batch = main.batch(CommitOptions::default()).unwrap();
    batch.write("d", b"file", None).unwrap();
    batch.write("d/more", b"more", None).unwrap();
    batch.remove("new").unwrap();
    batch.write("new/z", b"z", None).unwrap();
    let written = batch.commit().unwrap();
    let expected = ["+ d/more", "+ new/z", "- d/e/deep", "- d/old", "- new"];
    assert_eq!(changes(&written), expected);
    assert!(!written.exists("d/old").unwrap());
}

#[test]
fn a_move_reports_what_it_replaces_dry_or_not() {
    let place = Place::new();
    let main = place.stored(&FILES);
    let dry = Rename {
        dry_run: true,
        ..Rename::default()
    };
    let expected = ["+ d/e", "- d/e/deep", "- e"];
    assert_eq!(changes(&main.rename(&["e"], "d", &dry).unwrap()), expected);
    let moved = main.rename(&["e"], "d", &Rename::default()).unwrap();
    assert_eq!(changes(&moved), expected);
    assert_eq!(moved.message(), "Batch mv: +1 -2");
}

#[test]
fn copies_report_what_they_replace_dry_or_not() {
    let place = Place::new();
    let main = place.stored(&FILES);
    let local = place.local("in");
    fs::create_dir_all(local.join("new")).unwrap();
    fs::write(local.join("d"), "file").unwrap();
    fs::write(local.join("new/z"), "z").unwrap();
    let mut source = local.clone().into_os_string();
    source.push("/");
    for delete in [false, true] {
        let expected: &[&str] = match delete {
            false => &["+ d", "+ new/z", "- d/e/deep", "- d/old", "- new"],
            true => &["+ d", "+ new/z", "- d/e/deep", "- d/old", "- e", "- new"],
        };
        for dry_run in [true, false] {
            place.store.branches().set("main", &main).unwrap();
            let copied = place
                .main()
                .copy_in(&CopyIn {
                    sources: vec![source.clone()],
                    delete,
                    dry_run,
                    ..CopyIn::default()
                })
                .unwrap();
            assert_eq!(changes(&copied), expected, "{delete} {dry_run}");
        }
    }
    let copied = place.main();
    assert_eq!(names(&copied), ["d", "new"]);
    for dry_run in [true, false] {
        let options = CopyBetween {
            dry_run,
            ..CopyBetween::default()
        };
        let back = place
            .main()
            .copy_from(&main, &["d", "new"], "", &options)
            .unwrap();
        let expected = ["+ d/e/deep", "+ d/old", "+ new", "- d", "- new/z"];
        assert_eq!(changes(&back), expected, "{dry_run}");
    }
}

#[test]
fn submodules_stay_when_a_folder_comes_back() {
    let place = Place::new();
    let commit = place.stored(&["a"]).commit().to_string();
    let index = |args: &[&str]| {
        let output = Command::new("git")
            .args(args)
            .current_dir(place.store.path())
            .env("GIT_INDEX_FILE", place.local("index"))
            .env("GIT_WORK_TREE", place.local(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let link = format!("160000,{commit},sub");
    index(&["read-tree", "main"]);
    index(&["update-index", "--add", "--cacheinfo", &link]);
    let tree = index(&["write-tree"]);
    let linked = place.git(&[
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "commit-tree",
        "-m",
        "link",
        tree.trim(),
    ]);
    place.git(&["update-ref", "refs/heads/main", linked.trim()]);
    let main = place.main();
    assert_eq!(
        main.entry("sub").unwrap().unwrap().file_type,
        FileType::Commit
    );

    let local = place.local("out");
    main.sync_out("", &local, &SyncOut::default()).unwrap();
    fs::remove_file(local.join("a")).unwrap();
    for from in [local.clone(), place.local("missing")] {
        place.git(&["update-ref", "refs/heads/main", linked.trim()]);
        for dry_run in [true, false] {
            let options = SyncIn {
                dry_run,
                ..SyncIn::default()
            };
            let synced = place.main().sync_in(&from, "", &options).unwrap();
            let expected = ["- a", "? a submodule: kept"];
            assert_eq!(changes(&synced), expected, "{}", from.display());
        }
        assert_eq!(names(&place.main()), ["sub"]);
    }
    // What is written in its place replaces it.
    fs::create_dir(local.join("sub")).unwrap();
    fs::write(local.join("sub/file"), "x").unwrap();
    let synced = place
        .main()
        .sync_in(&local, "", &SyncIn::default())
        .unwrap();
    assert_eq!(changes(&synced), ["+ sub/file", "- subcommit"]);
}
