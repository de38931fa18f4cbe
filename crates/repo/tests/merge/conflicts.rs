//! What a conflict says, and what stands in its place.

use packhouse_object::{Database, EntryMode, ObjectId, ObjectKind, find_path};
use packhouse_repo::merge::{
    ConflictKind, ConflictStyle, MergeError, MergeFavor, MergedTree, StopMerge, TreeMergeOptions,
    merge_commits,
};

use super::world::{Files, World};

fn files(entries: &[(&str, &'static str, &[u8])]) -> Files {
    let file = |(path, mode, content): &(&str, &'static str, &[u8])| {
        (path.to_string(), (*mode, content.to_vec()))
    };
    entries.iter().map(file).collect()
}

/// Merges `ours` and `theirs`, which come from `base`.
fn merge(
    base: &Files,
    ours: &Files,
    theirs: &Files,
    options: &TreeMergeOptions,
) -> (World, Database, Result<MergedTree, MergeError>) {
    let mut world = World::new();
    world.commit("b", base, &[]);
    world.commit("o", ours, &["b"]);
    world.commit("t", theirs, &["b"]);
    world.flush();
    let database = world.database();
    let merged = merge_commits(&database, world.id("o"), world.id("t"), false, options);
    let merged = merged.map(|merged| merged.merged);
    let objects = merged.iter().flat_map(|merged| merged.objects.clone());
    let database = database.with_objects(objects);
    (world, database, merged)
}

fn content(database: &Database, tree: ObjectId, path: &str) -> String {
    let entry = find_path(database, tree, &path.parse().unwrap())
        .unwrap()
        .unwrap();
    let data = database.bytes_of(entry.id, ObjectKind::Blob).unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

const FILE: &str = "100644";

#[test]
fn every_kind_of_conflict_is_named_with_its_three_sides() {
    let base = files(&[
        ("changed", FILE, b"one\n"),
        ("deleted", FILE, b"one\n"),
        ("binary", FILE, b"\0one\n"),
        ("link", "120000", b"one"),
        ("sub", "160000", b"1111111111111111111111111111111111111111"),
        ("turned", FILE, b"one\n"),
        ("folder/file", FILE, b"one\n"),
    ]);
    let ours = files(&[
        ("changed", FILE, b"two\n"),
        ("binary", FILE, b"\0two\n"),
        ("link", "120000", b"two"),
        ("sub", "160000", b"2222222222222222222222222222222222222222"),
        ("turned", FILE, b"two\n"),
        ("folder", FILE, b"a file\n"),
        ("added", FILE, b"ours\n"),
        ("run", FILE, b"same\n"),
    ]);
    let theirs = files(&[
        ("changed", FILE, b"three\n"),
        ("deleted", FILE, b"three\n"),
        ("binary", FILE, b"\0three\n"),
        ("link", "120000", b"three"),
        ("sub", "160000", b"3333333333333333333333333333333333333333"),
        ("turned", "120000", b"elsewhere"),
        ("folder/file", FILE, b"three\n"),
        ("added", FILE, b"theirs\n"),
        ("run", "100755", b"same\n"),
    ]);
    let (_world, database, merged) = merge(&base, &ours, &theirs, &TreeMergeOptions::default());
    let merged = merged.unwrap();
    let found: Vec<_> = merged
        .conflicts
        .iter()
        .map(|conflict| (conflict.path.to_string(), conflict.kind.as_str()))
        .collect();
    let expected = [
        ("added", "add/add"),
        ("binary", "binary"),
        ("changed", "content"),
        ("deleted", "modify/delete"),
        ("folder/file", "modify/delete"),
        ("folder~ours", "file/directory"),
        ("link", "content"),
        ("run", "add/add"),
        ("sub", "submodule"),
        ("turned", "distinct types"),
        ("turned~ours", "distinct types"),
    ];
    assert_eq!(found, expected.map(|(path, kind)| (path.to_owned(), kind)));

    let conflict = |path: &str| {
        merged
            .conflicts
            .iter()
            .find(|conflict| conflict.path == path)
            .unwrap()
    };
    let deleted = conflict("deleted");
    assert!(deleted.stages.base.is_some() && deleted.stages.ours.is_none());
    assert_eq!(deleted.merged, deleted.stages.theirs);
    assert_eq!(conflict("folder~ours").original_path, Some("folder".into()));
    assert_eq!(conflict("folder~ours").stages.theirs, None);
    assert_eq!(
        conflict("turned").stages.theirs.unwrap().0,
        EntryMode::Symlink
    );
    assert_eq!(conflict("binary").merged, conflict("binary").stages.ours);
    assert_eq!(
        content(&database, merged.tree, "changed"),
        "<<<<<<< ours\ntwo\n=======\nthree\n>>>>>>> theirs\n"
    );
}

#[test]
fn marks_can_show_what_was_before_and_a_side_can_win() {
    let lines = |third: &str| format!("1\n2\n{third}\n4\n5\n").into_bytes();
    let side = |third: &str| files(&[("f", FILE, &lines(third))]);
    let text = |options: &TreeMergeOptions| {
        let (_world, database, merged) = merge(&side("old"), &side("we"), &side("they"), options);
        let merged = merged.unwrap();
        (content(&database, merged.tree, "f"), merged.is_clean())
    };
    let diff3 = TreeMergeOptions {
        style: ConflictStyle::Diff3,
        base_label: "before".into(),
        ..TreeMergeOptions::default()
    };
    let marked =
        "1\n2\n<<<<<<< ours\nwe\n||||||| before\nold\n=======\nthey\n>>>>>>> theirs\n4\n5\n";
    assert_eq!(text(&diff3), (marked.to_owned(), false));
    for (favor, third) in [
        (MergeFavor::Ours, "we"),
        (MergeFavor::Theirs, "they"),
        (MergeFavor::Union, "we\nthey"),
    ] {
        let options = TreeMergeOptions {
            favor,
            ..TreeMergeOptions::default()
        };
        assert_eq!(text(&options), (format!("1\n2\n{third}\n4\n5\n"), true));
    }
}

#[test]
fn limits_bound_what_is_merged_as_text() {
    let side = |word: &str| files(&[("f", FILE, format!("1\n{word}\n2\n").repeat(50).as_bytes())]);
    let (base, ours, theirs) = (side("b"), side("o"), side("t"));
    let small = TreeMergeOptions {
        text_bytes: 10,
        ..TreeMergeOptions::default()
    };
    let (_world, _, merged) = merge(&base, &ours, &theirs, &small);
    assert_eq!(merged.unwrap().conflicts[0].kind, ConflictKind::Binary);
    let few = TreeMergeOptions {
        merged_bytes: 100,
        ..TreeMergeOptions::default()
    };
    let (_world, _, merged) = merge(&base, &ours, &theirs, &few);
    assert!(matches!(merged, Err(MergeError::TooLarge { limit: 100 })));
    let unwanted = TreeMergeOptions {
        stop: Some(StopMerge::when(|| true)),
        ..TreeMergeOptions::default()
    };
    let (_world, _, merged) = merge(&base, &ours, &theirs, &unwanted);
    assert!(matches!(merged, Err(MergeError::Stopped)));
}

#[test]
fn edits_lead_from_our_tree_to_the_merged_one() {
    let base = files(&[
        ("a", FILE, b"1\n"),
        ("b/x", FILE, b"1\n"),
        ("c", FILE, b"1\n"),
        ("gone", FILE, b"1\n"),
    ]);
    let ours = files(&[
        ("a", FILE, b"1\n"),
        ("b/x", FILE, b"1\n"),
        ("c", FILE, b"2\n"),
        ("gone", FILE, b"1\n"),
    ]);
    let theirs = files(&[
        ("a/y", FILE, b"1\n"),
        ("b", FILE, b"1\n"),
        ("c", FILE, b"1\n"),
    ]);
    let (_world, _, merged) = merge(&base, &ours, &theirs, &TreeMergeOptions::default());
    let merged = merged.unwrap();
    assert!(merged.is_clean());
    let edits: Vec<_> = merged
        .edits
        .iter()
        .map(|(path, stage)| (path.to_string(), stage.is_some()))
        .collect();
    let expected = [("a/y", true), ("b", true), ("gone", false)];
    assert_eq!(
        edits,
        expected.map(|(path, there)| (path.to_owned(), there))
    );
}
