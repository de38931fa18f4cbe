//! Submodules of repositories that others made: they go along where ids do, and have no content that could be copied.

use std::process::Command;

use packhouse_object::ObjectId;
use packhouse_repo::store::{
    ArchiveFormat, CommitOptions, CopyBetween, CopyOut, Edits, FileType, NoProgress, Remove,
    Rename, Snapshot,
};

use super::{Place, changes, disk};

/// A branch with two of them, whose commits are elsewhere.
fn linked(place: &Place) -> Snapshot {
    let main = place.stored(&["a", "d/file"]);
    let elsewhere = ObjectId::from_hex(&[b'1'; 40]).unwrap();
    let mut edits = Edits::new(&place.store);
    for path in ["sub", "d/sub"] {
        edits.set(path, FileType::Commit, elsewhere).unwrap();
    }
    main.commit_edits(edits, CommitOptions::default()).unwrap()
}

#[test]
fn copies_to_disk_leave_them_out_and_say_so() {
    let place = Place::new();
    let main = linked(&place);
    let skipped = "? a submodule: skipping";
    let copy = |source: &str, delete: bool| {
        let options = CopyOut {
            sources: vec![source.into()],
            dest: place.local("out"),
            delete,
            ..CopyOut::default()
        };
        changes(&main.copy_out(&options).unwrap())
    };
    assert_eq!(copy("", false), ["+ a", "+ d/file", skipped, skipped]);
    assert_eq!(copy("", true), [skipped, skipped]);
    assert_eq!(copy("sub", false), [skipped]);
    assert_eq!(disk(&place.local("out")), ["a: a", "d/", "d/file: d/file"]);
}

#[test]
fn they_are_moved_copied_and_removed_like_files() {
    let place = Place::new();
    let main = linked(&place);
    let moved = main.rename(&["sub"], "moved", &Rename::default()).unwrap();
    assert_eq!(changes(&moved), ["+ movedcommit", "- subcommit"]);
    let folder = Rename {
        recursive: true,
        ..Rename::default()
    };
    let moved = moved.rename(&["d"], "e", &folder).unwrap();
    let copied = moved
        .copy_from(&main, &["d"], "copy", &CopyBetween::default())
        .unwrap();
    assert_eq!(
        place.listed(),
        [
            "a",
            "copy/d/file",
            "copy/d/sub!",
            "e/file",
            "e/sub!",
            "moved!"
        ]
    );
    let mirror = CopyBetween {
        delete: true,
        ..CopyBetween::default()
    };
    let same = copied.copy_from(&main, &["d/"], "e", &mirror).unwrap();
    assert_eq!(same, copied);
    let all = Remove {
        recursive: true,
        ..Remove::default()
    };
    copied.remove(&["moved", "copy", "e"], &all).unwrap();
    assert_eq!(place.listed(), ["a"]);
    place.git(&["fsck", "--full", "--strict"]);
}

#[test]
fn archives_have_empty_folders_for_them() {
    let place = Place::new();
    let main = linked(&place);
    let mut tar = Vec::new();
    let files = main.archive_out("", &mut tar, ArchiveFormat::Tar, &NoProgress);
    assert_eq!(files.unwrap(), 2);
    std::fs::write(place.local("ours.tar"), tar).unwrap();
    let gits = place.local("gits.tar").display().to_string();
    place.git(&["archive", "-o", &gits, "main"]);
    let listed = |name: &str| {
        let list = Command::new("tar")
            .arg("-tf")
            .arg(place.local(name))
            .output();
        let list = String::from_utf8(list.unwrap().stdout).unwrap();
        // Git has an entry for every folder.
        let lines = list.lines().filter(|line| *line != "d/").map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(listed("ours.tar"), ["a", "d/file", "d/sub/", "sub/"]);
    assert_eq!(listed("ours.tar"), listed("gits.tar"));
}

#[test]
fn packing_and_collecting_do_not_look_for_their_commits() {
    let place = Place::new();
    let main = linked(&place);
    assert!(place.store.pack(&NoProgress).unwrap() > 0);
    place.store.gc(&NoProgress).unwrap();
    assert_eq!(place.main(), main);
    assert_eq!(place.listed(), ["a", "d/file", "d/sub!", "sub!"]);
    place.git(&["fsck", "--full", "--strict"]);
}
