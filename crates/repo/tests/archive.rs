//! Archives, byte for byte those of `git archive`.

use std::process::Command;

use packhouse_object::{ObjectId, ObjectKind};
use packhouse_repo::{Archive, ArchiveError, ArchiveFilter, ArchiveForm};
use packhouse_testkit::history::{HistoryOptions, create};

use crate::merge::world::database;
use crate::plain_git::git;

fn archive(commit: ObjectId, format: ArchiveForm) -> Archive {
    Archive {
        commit,
        format,
        prefix: "".into(),
        filter: ArchiveFilter::default(),
        max_blob_size: None,
    }
}

#[test]
fn tars_of_random_histories_are_those_of_git() {
    for seed in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &HistoryOptions::small(seed)).unwrap();
        let database = database(folder.path());
        let revisions = git(folder.path(), &["rev-list", "--all"]);
        for (number, id) in revisions.lines().enumerate().step_by(7) {
            let commit = ObjectId::from_hex(id.as_bytes()).unwrap();
            let mut wanted = archive(commit, ArchiveForm::Tar);
            let mut arguments = vec!["archive", "--format=tar"];
            if number % 2 == 1 {
                wanted.prefix = "some folder/".into();
                arguments.push("--prefix=some folder/");
            }
            arguments.push(id);
            let out = Command::new("git")
                .args(&arguments)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(out.status.success());
            let mut ours = Vec::new();
            wanted.write(&database, &mut ours, &|| false).unwrap();
            assert!(ours == out.stdout, "seed {seed} {id}: the bytes differ");
        }
    }
}

#[test]
fn long_names_and_targets_are_written_as_git_writes_them() {
    use crate::patch::world::{Files, World};
    let mut world = World::new();
    let file = |text: &str| ("100644", text.as_bytes().to_vec());
    let files: Files = [
        (
            format!("{}/{}", "d".repeat(120), "f".repeat(90)),
            file("split"),
        ),
        (
            format!("{}/{}", "d".repeat(90), "e".repeat(99)),
            file("split, too"),
        ),
        ("n".repeat(180), file("a record")),
        (format!("{}/x", "p".repeat(200)), file("another")),
        ("link".to_owned(), ("120000", "t".repeat(150).into_bytes())),
        ("short".to_owned(), ("120000", b"target".to_vec())),
        ("m".repeat(101), ("160000", "1".repeat(40).into_bytes())),
    ]
    .into_iter()
    .collect();
    world.add("base", &files);
    world.flush();
    let expected = world.git(&["archive", "--format=tar", "base"], b"");
    let commit = world.git(&["rev-parse", "base"], b"");
    let commit = ObjectId::from_hex(commit.trim_ascii()).unwrap();
    let mut ours = Vec::new();
    let count = archive(commit, ArchiveForm::Tar).write(&world.database(), &mut ours, &|| false);
    assert_eq!(count.unwrap(), 6);
    assert!(ours == expected, "the bytes differ");
}

#[test]
fn trees_without_an_end_are_given_up() {
    // Forty levels, in each of which the next one stands twice.
    let mut objects = Vec::new();
    let blob = packhouse_object::NewObject::new(ObjectKind::Blob, "x").unwrap();
    let entry = |name: &str, mode, id| packhouse_object::TreeEntry {
        mode,
        name: name.into(),
        id,
    };
    let mut inner = vec![entry("f", packhouse_object::EntryMode::Blob, blob.id)];
    objects.push(blob);
    for _ in 0..40 {
        let tree = packhouse_object::Tree { entries: inner };
        let tree = packhouse_object::NewObject::new(ObjectKind::Tree, tree.encode()).unwrap();
        let mode = packhouse_object::EntryMode::Tree;
        inner = vec![entry("a", mode, tree.id), entry("b", mode, tree.id)];
        objects.push(tree);
    }
    let tree = objects.last().unwrap().id;
    let text = format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n");
    let commit = packhouse_object::NewObject::new(ObjectKind::Commit, text).unwrap();
    let id = commit.id;
    objects.push(commit);
    let cache = std::sync::Arc::new(packhouse_object::ObjectCache::new(1 << 20));
    let database = packhouse_object::Database::new(cache, 1).with_objects(objects);
    let mut wanted = archive(id, ArchiveForm::TarGz);
    wanted.filter = ArchiveFilter::default().include(&["nothing*here"]).unwrap();
    // Nothing is ever written, and still it ends when nobody waits for it any more, however long a match takes.
    let asked = std::cell::Cell::new(0);
    let is_unwanted = || asked.replace(asked.get() + 1) > 2;
    let error = wanted
        .write(&database, &mut Vec::new(), &is_unwanted)
        .unwrap_err();
    assert!(matches!(error, ArchiveError::Cancelled), "{error}");
    let globs = vec!["*a".repeat(50) + "/x"; 20];
    wanted.filter = ArchiveFilter::default().include(&globs).unwrap();
    let begin = std::time::Instant::now();
    let error = wanted.write(&database, &mut Vec::new(), &|| {
        begin.elapsed().as_secs() > 0
    });
    assert!(matches!(error, Err(ArchiveError::Cancelled)));
    assert!(begin.elapsed().as_secs() < 30);
}
