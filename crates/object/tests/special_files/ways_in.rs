//! Whichever way they come in: in packs, under names they get later, as deltas, and in edits of trees.

use packhouse_object::{
    EditTreeError, EntryMode, NewObject, ObjectId, ObjectKind, PathEdit, PathError, ReceiveError,
    ReceiveLimits, RepoPath, SpecialFile, SpecialFileError, Tree, TreeEntry, edit_tree,
    receive_pack,
};
use tempfile::TempDir;

use super::{BAD_MODULES, blob, nothing, pack, receive};
use crate::packs::crafted::{Crafted, Op, delta, tree};

fn told(error: ReceiveError) -> (ObjectId, SpecialFile, SpecialFileError) {
    match error {
        ReceiveError::BadSpecialFile {
            id, file, reason, ..
        } => (id, file, reason),
        error => panic!("{error}"),
    }
}

#[test]
fn a_blob_is_judged_under_the_name_it_gets_later() {
    let bad = blob(BAD_MODULES);
    let expected = (
        bad.id,
        SpecialFile::Modules,
        SpecialFileError::ModulesUrl { line: 3 },
    );
    receive(&pack(&[(b"harmless", BAD_MODULES)]), &nothing()).unwrap();

    // The blob is in the repository, and the pack has nothing but a tree.
    let base = nothing().with_objects([bad.clone()]);
    let mut crafted = Crafted::new();
    crafted.object(
        ObjectKind::Tree,
        &tree(&[(b"100644", b".GITMODULES", bad.id)]),
    );
    let renamed = crafted.finish();
    assert_eq!(told(receive(&renamed, &base).unwrap_err()), expected);

    // One tree of the pack has it under a harmless name, another does not.
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Blob, BAD_MODULES);
    crafted.object(ObjectKind::Tree, &tree(&[(b"100644", b"harmless", bad.id)]));
    crafted.object(
        ObjectKind::Tree,
        &tree(&[(b"100644", b".gitmodules", bad.id)]),
    );
    assert_eq!(
        told(receive(&crafted.finish(), &nothing()).unwrap_err()),
        expected
    );

    // It is good as one of the two files and bad as the other.
    let both = pack(&[
        (b".gitattributes", BAD_MODULES),
        (b".gitmodules", BAD_MODULES),
    ]);
    assert_eq!(told(receive(&both, &nothing()).unwrap_err()), expected);
    receive(&pack(&[(b".gitattributes", BAD_MODULES)]), &nothing()).unwrap();
}

#[test]
fn a_blob_that_is_a_delta_is_judged_too() {
    let good = b"[submodule \"x\"]\n\tpath = a\n\turl = ./x\n";
    let base = blob(good);
    let bad = blob(BAD_MODULES);
    let named = tree(&[(b"100644", b".gitmodules", bad.id)]);
    let change = delta(
        good.len() as u64,
        BAD_MODULES.len() as u64,
        &[Op::Insert(BAD_MODULES)],
    );
    // On an object of the pack, and on one of the repository.
    let mut inside = Crafted::new();
    inside.object(ObjectKind::Tree, &named);
    inside.object(ObjectKind::Blob, good);
    inside.entry(
        packhouse_object::EntryKind::RefDelta { base: base.id },
        &change,
    );
    assert_eq!(
        told(receive(&inside.finish(), &nothing()).unwrap_err()).0,
        bad.id
    );
    let mut thin = Crafted::new();
    thin.object(ObjectKind::Tree, &named);
    thin.entry(
        packhouse_object::EntryKind::RefDelta { base: base.id },
        &change,
    );
    let repository = nothing().with_objects([base]);
    assert_eq!(
        told(receive(&thin.finish(), &repository).unwrap_err()).0,
        bad.id
    );
}

#[test]
fn what_is_read_to_judge_a_pack_counts_as_its_work() {
    let large: Vec<NewObject> = (0..8)
        .map(|n| blob(&[vec![b'\n'; 1 << 20], vec![n]].concat()))
        .collect();
    let base = nothing().with_objects(large.iter().cloned());
    let mut crafted = Crafted::new();
    for file in &large {
        crafted.object(
            ObjectKind::Tree,
            &tree(&[(b"100644", b".gitattributes", file.id)]),
        );
    }
    let pack = crafted.finish();
    let dir = TempDir::new().unwrap();
    let limits = |expansion_bytes| ReceiveLimits {
        expansion_bytes,
        expansion_ratio: 1,
        ..ReceiveLimits::default()
    };
    let received = |limits| receive_pack(&mut &pack[..], dir.path(), &base, &limits, &());
    assert!(received(limits(9 << 20)).is_ok());
    let refused = received(limits(7 << 20));
    assert!(
        matches!(refused, Err(ReceiveError::ExpandsTooMuch { .. })),
        "{refused:?}"
    );
}

fn upsert(path: &str, mode: EntryMode, id: ObjectId) -> PathEdit {
    let path = RepoPath::parse(path).unwrap();
    PathEdit::Upsert { path, mode, id }
}

#[test]
fn edits_are_judged_by_what_they_name() {
    let (bad, good, long) = (blob(BAD_MODULES), blob(b"* text\n"), blob(&[b'a'; 3000]));
    let db = nothing().with_objects([bad.clone(), good.clone(), long.clone()]);
    let edit = |root: Option<ObjectId>, edits: &[PathEdit]| {
        let mut out = Vec::new();
        edit_tree(&db, root, edits, &mut out).map(|_| ())
    };
    let file = EntryMode::Blob;
    edit(
        None,
        &[
            upsert("harmless", file, bad.id),
            upsert(".gitattributes", file, bad.id),
        ],
    )
    .unwrap();
    edit(None, &[upsert("a/.gitmodules", file, good.id)]).unwrap();
    for (path, mode, id) in [
        (".gitmodules", file, bad.id),
        ("a/b/.gitmodules", file, bad.id),
        ("a/GITMOD~1", file, bad.id),
        (".gitmodules", EntryMode::Executable, bad.id),
        (".gitattributes", file, long.id),
        ("x/gitatt~1 .", file, long.id),
    ] {
        let refused = edit(None, &[upsert(path, mode, id)]);
        assert!(
            matches!(refused, Err(EditTreeError::SpecialFile { .. })),
            "{path}: {refused:?}"
        );
    }
    for (path, mode, expected) in [
        (
            ".gitattributes/x",
            file,
            PathError::NoFile(SpecialFile::Attributes),
        ),
        (
            "a/.gitmodules/x",
            file,
            PathError::NoFile(SpecialFile::Modules),
        ),
        (
            ".gitmodules",
            EntryMode::Submodule,
            PathError::NoFile(SpecialFile::Modules),
        ),
        (
            ".gitmodules",
            EntryMode::Symlink,
            PathError::DotGitmodulesLink,
        ),
    ] {
        match edit(None, &[upsert(path, mode, good.id)]) {
            Err(EditTreeError::Name { source, .. }) => assert_eq!(source, expected, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    // A blob that is nowhere cannot be judged.
    let absent = blob(b"absent");
    assert!(matches!(
        edit(None, &[upsert(".gitmodules", file, absent.id)]),
        Err(EditTreeError::Read(_))
    ));
    // What was there before is left alone, and can be deleted.
    let entries = vec![TreeEntry {
        mode: file,
        name: ".gitmodules".into(),
        id: bad.id,
    }];
    let old = NewObject::new(ObjectKind::Tree, Tree { entries }.encode()).unwrap();
    let with_old = db.with_objects([old.clone()]);
    let delete = PathEdit::Delete {
        path: RepoPath::parse(".gitmodules").unwrap(),
    };
    for edits in [vec![upsert("a", file, good.id)], vec![delete]] {
        edit_tree(&with_old, Some(old.id), &edits, &mut Vec::new()).unwrap();
    }
}
