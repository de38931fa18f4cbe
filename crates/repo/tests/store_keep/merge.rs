use packhouse_repo::merge::{ConflictKind, MergeFavor};
use packhouse_repo::store::{
    FileType, MergeOptions, NewContent, Snapshot, StoreErrorKind, WriteOptions,
};

use super::place::{Place, write};

/// A store with a branch `side` that left `main` at its state of now.
fn forked(files: &[(&str, &str)]) -> (Place, Snapshot, Snapshot) {
    let place = Place::new();
    let mut main = place.main();
    for (path, text) in files {
        main = write(&main, path, text);
    }
    let side = place.store.branches().set("side", &main).unwrap();
    (place, main, side)
}

fn read(snapshot: &Snapshot, path: &str) -> String {
    String::from_utf8(snapshot.read(path, 0, None).unwrap()).unwrap()
}

#[test]
fn a_clean_merge_is_one_commit_with_both_parents() {
    let (place, main, side) = forked(&[("both", "1\n2\n3\n4\n5\n"), ("gone", "x")]);
    let main = write(&main, "both", "one\n2\n3\n4\n5\n");
    let side = write(&side, "both", "1\n2\n3\n4\nfive\n");
    let side = write(&side, "folder/new", "new");
    let side = side
        .apply(
            [] as [(&str, NewContent, Option<FileType>); 0],
            ["gone"],
            Default::default(),
        )
        .unwrap();
    let outcome = main.merge(&side, &MergeOptions::default()).unwrap();
    assert!(outcome.is_clean());
    let merged = outcome.snapshot.unwrap();
    assert_eq!(merged.parents(), [main.commit(), side.commit()]);
    assert_eq!(merged.message(), "Merge side");
    assert_eq!(read(&merged, "both"), "one\n2\n3\n4\nfive\n");
    assert_eq!(read(&merged, "folder/new"), "new");
    assert!(!merged.exists("gone").unwrap());
    assert_eq!(place.main().commit(), merged.commit());
    assert_eq!(merged.changes().unwrap().total(), 3);
    place.fsck();

    // Once more: it is part of the history now.
    let again = merged.merge(&side, &MergeOptions::default()).unwrap();
    assert_eq!(again.snapshot.unwrap().commit(), merged.commit());
}

#[test]
fn conflicts_are_values_and_nothing_is_committed() {
    let (place, main, side) = forked(&[("f", "old\n"), ("d", "old\n")]);
    let main = write(&main, "f", "ours\n");
    let main = write(&main, "d", "changed\n");
    let side = write(&side, "f", "theirs\n");
    let side = side
        .apply(
            [] as [(&str, NewContent, Option<FileType>); 0],
            ["d"],
            Default::default(),
        )
        .unwrap();
    let outcome = main.merge(&side, &MergeOptions::default()).unwrap();
    assert!(outcome.snapshot.is_none());
    let kinds: Vec<_> = outcome
        .conflicts
        .iter()
        .map(|conflict| conflict.kind)
        .collect();
    assert_eq!(kinds, [ConflictKind::ModifyDelete, ConflictKind::Content]);
    let text = outcome.text(&outcome.conflicts[1]).unwrap();
    assert_eq!(
        &text[..],
        b"<<<<<<< main\nours\n=======\ntheirs\n>>>>>>> side\n"
    );
    assert_eq!(place.main().commit(), main.commit());

    let mut options = MergeOptions::default();
    let text = NewContent::Bytes(b"both\n".to_vec());
    options
        .resolutions
        .insert("f".into(), Some((text, FileType::Blob)));
    let half = main.merge(&side, &options).unwrap();
    assert_eq!(half.conflicts.len(), 1);
    options.resolutions.insert("d".into(), None);
    let merged = main.merge(&side, &options).unwrap().snapshot.unwrap();
    assert_eq!(read(&merged, "f"), "both\n");
    assert!(!merged.exists("d").unwrap());
    assert_eq!(merged.parents().len(), 2);
    place.fsck();
}

#[test]
fn a_side_can_win_and_a_merge_can_be_tried() {
    let (place, main, side) = forked(&[("f", "old\n")]);
    let main = write(&main, "f", "ours\n");
    let side = write(&side, "f", "theirs\n");
    let mut options = MergeOptions {
        favor: MergeFavor::Theirs,
        dry_run: true,
        message: Some("join {total_count}".to_owned()),
        ..MergeOptions::default()
    };
    let tried = main.merge(&side, &options).unwrap();
    assert!(tried.is_clean() && tried.snapshot.is_none());
    options.dry_run = false;
    let merged = main.merge(&side, &options).unwrap().snapshot.unwrap();
    assert_eq!(read(&merged, "f"), "theirs\n");
    assert_eq!(merged.message(), "join 1");
    place.fsck();
}

#[test]
fn a_merge_that_changes_nothing_is_recorded_all_the_same() {
    let (place, main, side) = forked(&[("f", "old\n")]);
    let main = write(&main, "f", "same\n");
    // Not the very same commit.
    let side = write(&write(&side, "f", "other\n"), "f", "same\n");
    let merged = main
        .merge(&side, &MergeOptions::default())
        .unwrap()
        .snapshot
        .unwrap();
    assert_eq!(merged.tree(), main.tree());
    assert_eq!(merged.parents(), [main.commit(), side.commit()]);
    let bases = place.store.merge_bases(&merged, &side).unwrap();
    assert_eq!(bases[0].commit(), side.commit());
    place.fsck();
}

#[test]
fn stale_read_only_and_foreign_snapshots_are_told() {
    let (place, main, side) = forked(&[("f", "old\n")]);
    let side = write(&side, "g", "new\n");
    let newer = write(&main, "f", "newer\n");
    let kind = |ours: &Snapshot, theirs: &Snapshot| {
        ours.merge(theirs, &MergeOptions::default())
            .unwrap_err()
            .kind()
    };
    assert_eq!(kind(&main, &side), StoreErrorKind::Stale);
    assert_eq!(kind(&newer.detached(), &side), StoreErrorKind::Permission);
    let other = Place::new();
    assert_eq!(kind(&newer, &other.main()), StoreErrorKind::Value);
    let lone = place.store.branches();
    place.git(&[
        "commit-tree",
        "-m",
        "x",
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    ]);
    let root = place.git(&[
        "commit-tree",
        "-m",
        "y",
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    ]);
    place.git(&["update-ref", "refs/heads/lone", &root]);
    let lone = lone.get("lone").unwrap();
    assert_eq!(kind(&newer, &lone), StoreErrorKind::Value);
    let options = MergeOptions {
        allow_unrelated: true,
        ..MergeOptions::default()
    };
    assert!(newer.merge(&lone, &options).unwrap().is_clean());
}

#[test]
fn names_that_only_some_systems_can_hold_are_merged_too() {
    let (place, main, side) = forked(&[("f", "old\n")]);
    let main = write(&main, "f", "newer\n");
    let odd = b"tab\there \xff".as_slice();
    let side = match side.write(odd, b"x", &WriteOptions::default()) {
        Ok(side) => side,
        // Then no merge can meet such a name but in what others wrote.
        Err(_) => return,
    };
    let merged = main
        .merge(&side, &MergeOptions::default())
        .unwrap()
        .snapshot
        .unwrap();
    assert_eq!(merged.read(odd, 0, None).unwrap(), b"x");
    place.fsck();
}
