//! Objects that are malformed, or that name what is nowhere or of the wrong kind.

use packhouse_object::pack::check::SyntaxError;
use packhouse_object::{
    EntryKind, HashKind, NewObject, ObjectId, ObjectKind, ReceiveError, ReceiveLimits,
};

use super::{id_of, receive_with, refused};
use crate::packs::crafted::{Crafted, Op, delta, tree};

#[test]
fn objects_that_name_what_is_nowhere_are_refused() {
    let missing = id_of(ObjectKind::Blob, b"missing");
    let root = tree(&[(b"100644", b"file", missing)]);
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Tree, &root);
    let bytes = crafted.finish();
    let error = refused(&bytes);
    let root_id = id_of(ObjectKind::Tree, &root);
    assert!(
        matches!(error, ReceiveError::MissingObject { id, kind: ObjectKind::Blob, named_by }
            if id == missing && named_by == root_id),
        "{error}"
    );
    let blob = NewObject::new(ObjectKind::Blob, b"missing".as_slice()).unwrap();
    receive_with(&bytes, vec![blob], &ReceiveLimits::default()).unwrap();
}

#[test]
fn objects_of_the_wrong_kind_are_refused() {
    let blob = id_of(ObjectKind::Blob, b"hello");
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Blob, b"hello");
    crafted.object(ObjectKind::Tree, &tree(&[(b"40000", b"folder", blob)]));
    let error = refused(&crafted.finish());
    assert!(
        matches!(error, ReceiveError::WrongKind { id, expected: ObjectKind::Tree, found: ObjectKind::Blob, .. } if id == blob),
        "{error}"
    );
    // The same in the repository.
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Tree, &tree(&[(b"40000", b"folder", blob)]));
    let base = vec![NewObject::new(ObjectKind::Blob, b"hello".as_slice()).unwrap()];
    let error = receive_with(&crafted.finish(), base, &ReceiveLimits::default()).unwrap_err();
    assert!(matches!(error, ReceiveError::WrongKind { .. }), "{error}");
    // Named as two kinds: one is wrong, whatever it is.
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Blob, b"hello");
    crafted.object(
        ObjectKind::Tree,
        &tree(&[(b"100644", b"a", blob), (b"40000", b"b", blob)]),
    );
    assert!(matches!(
        refused(&crafted.finish()),
        ReceiveError::WrongKind { .. }
    ));
}

#[test]
fn a_commit_of_another_repository_need_not_be_here() {
    let elsewhere = ObjectId::from([5; 20]);
    let mut crafted = Crafted::new();
    crafted.object(
        ObjectKind::Tree,
        &tree(&[(b"160000", b"module", elsewhere)]),
    );
    receive_with(&crafted.finish(), Vec::new(), &ReceiveLimits::default()).unwrap();
}

#[test]
fn malformed_objects_are_refused_whole_or_as_deltas() {
    let null = ObjectId::null(HashKind::Sha1);
    let bad = tree(&[(b"100644", b"file", null)]);
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Tree, &bad);
    let error = refused(&crafted.finish());
    assert!(
        matches!(
            error,
            ReceiveError::BadObject {
                kind: ObjectKind::Tree,
                reason: SyntaxError::NullId,
                ..
            }
        ),
        "{error}"
    );
    let mut crafted = Crafted::new();
    let base = crafted.object(ObjectKind::Tree, b"");
    let distance = crafted.next_offset() - base;
    let ops = [Op::Insert(&bad)];
    crafted.entry(
        EntryKind::OffsetDelta { distance },
        &delta(0, bad.len() as u64, &ops),
    );
    let error = refused(&crafted.finish());
    assert!(matches!(error, ReceiveError::BadObject { .. }), "{error}");
}
