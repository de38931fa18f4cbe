//! Deltas that make no sense, and bases that are nowhere or twice.

use packhouse_object::pack::delta::DeltaError;
use packhouse_object::{
    EntryKind, NewObject, ObjectId, ObjectKind, ReceiveError, ReceiveLimits, Received,
};

use super::{id_of, receive_with, refused};
use crate::packs::crafted::{Crafted, Op, delta};

fn with_delta(delta: &[u8]) -> Vec<u8> {
    let mut crafted = Crafted::new();
    let base = crafted.object(ObjectKind::Blob, b"hello");
    let distance = crafted.next_offset() - base;
    crafted.entry(EntryKind::OffsetDelta { distance }, delta);
    crafted.finish()
}

#[test]
fn deltas_that_make_no_sense_are_refused() {
    let cases: [(&[u8], DeltaError); 9] = [
        (
            &delta(6, 1, &[Op::Copy(0, 1)]),
            DeltaError::BaseSize {
                expected: 6,
                found: 5,
            },
        ),
        (
            &delta(5, 6, &[Op::Copy(0, 6)]),
            DeltaError::CopyOutside { offset: 0, len: 6 },
        ),
        (
            &delta(5, 1, &[Op::Copy(0xffff_ffff, 1)]),
            DeltaError::CopyOutside {
                offset: 0xffff_ffff,
                len: 1,
            },
        ),
        (
            &delta(5, 2, &[Op::Copy(0, 1)]),
            DeltaError::ResultSize { expected: 2 },
        ),
        (
            &delta(5, 1, &[Op::Copy(0, 2)]),
            DeltaError::ResultSize { expected: 1 },
        ),
        (&[5, 1, 0], DeltaError::Reserved),
        (&[5, 3, 3, b'a'], DeltaError::Truncated),
        (&[5, 1, 0x91, 0], DeltaError::Truncated),
        (&[5], DeltaError::Truncated),
    ];
    for (bytes, expected) in cases {
        let error = refused(&with_delta(bytes));
        assert!(
            matches!(error, ReceiveError::BadDelta { source, .. } if source == expected),
            "{error:?} is not {expected}"
        );
    }
    let error = refused(&with_delta(&[0xff; 30]));
    assert!(
        matches!(
            error,
            ReceiveError::BadDelta {
                source: DeltaError::Overflow,
                ..
            }
        ),
        "{error}"
    );
    assert!(matches!(
        refused(&with_delta(&[])),
        ReceiveError::BadDelta { .. }
    ));
}

#[test]
fn bases_that_are_nowhere_are_refused() {
    for distance in [1, 5, 13, 1 << 40, u64::MAX >> 8] {
        let mut crafted = Crafted::new();
        crafted.object(ObjectKind::Blob, b"hello");
        crafted.entry(
            EntryKind::OffsetDelta { distance },
            &delta(5, 5, &[Op::Copy(0, 5)]),
        );
        let error = refused(&crafted.finish());
        assert!(
            matches!(error, ReceiveError::NoBaseEntry { .. }),
            "{distance}: {error}"
        );
    }
    let mut crafted = Crafted::new();
    let base = id_of(ObjectKind::Blob, b"not here");
    crafted.entry(
        EntryKind::RefDelta { base },
        &delta(8, 8, &[Op::Copy(0, 8)]),
    );
    let error = refused(&crafted.finish());
    assert!(
        matches!(error, ReceiveError::MissingBase { id, .. } if id == base),
        "{error}"
    );
}

#[test]
fn deltas_built_on_each_other_are_refused() {
    // Nobody can know ids that would make a circle; but nobody has to be right, either.
    let (one, two) = (ObjectId::from([1; 20]), ObjectId::from([2; 20]));
    let nothing = delta(5, 5, &[Op::Copy(0, 5)]);
    let mut crafted = Crafted::new();
    crafted.entry(EntryKind::RefDelta { base: two }, &nothing);
    crafted.entry(EntryKind::RefDelta { base: one }, &nothing);
    assert!(matches!(
        refused(&crafted.finish()),
        ReceiveError::MissingBase { .. }
    ));
    // An offset delta on a delta against an id that is nowhere.
    let mut crafted = Crafted::new();
    let first = crafted.entry(EntryKind::RefDelta { base: one }, &nothing);
    let distance = crafted.next_offset() - first;
    crafted.entry(EntryKind::OffsetDelta { distance }, &nothing);
    assert!(matches!(
        refused(&crafted.finish()),
        ReceiveError::MissingBase { .. }
    ));
}

#[test]
fn a_delta_before_its_base_is_fine() {
    let mut crafted = Crafted::new();
    let base = id_of(ObjectKind::Blob, b"hello");
    let middle = id_of(ObjectKind::Blob, b"hello!");
    crafted.entry(
        EntryKind::RefDelta { base: middle },
        &delta(6, 1, &[Op::Copy(5, 1)]),
    );
    crafted.entry(
        EntryKind::RefDelta { base },
        &delta(5, 6, &[Op::Copy(0, 5), Op::Insert(b"!")]),
    );
    crafted.object(ObjectKind::Blob, b"hello");
    let bytes = crafted.finish();
    let Ok(Received::Small(objects)) = receive_with(&bytes, Vec::new(), &ReceiveLimits::default())
    else {
        panic!("the pack is fine");
    };
    let contents: Vec<&[u8]> = objects.iter().map(|object| &object.data[..]).collect();
    assert_eq!(contents, [b"!".as_slice(), b"hello!", b"hello"]);
}

#[test]
fn a_base_that_is_in_the_repository_and_in_the_pack_is_not_added() {
    // The second delta is built on what the first makes, which the repository has too.
    let outside = NewObject::new(ObjectKind::Blob, b"hello".as_slice()).unwrap();
    let both = NewObject::new(ObjectKind::Blob, b"hello!".as_slice()).unwrap();
    let mut crafted = Crafted::new();
    crafted.entry(
        EntryKind::RefDelta { base: both.id },
        &delta(6, 1, &[Op::Copy(5, 1)]),
    );
    crafted.entry(
        EntryKind::RefDelta { base: outside.id },
        &delta(5, 6, &[Op::Copy(0, 5), Op::Insert(b"!")]),
    );
    let bytes = crafted.finish();
    let limits = ReceiveLimits {
        small_pack_bytes: 0,
        ..ReceiveLimits::default()
    };
    let Ok(Received::Large(pack)) = receive_with(&bytes, vec![outside, both], &limits) else {
        panic!("the pack is fine");
    };
    assert_eq!(pack.objects, 3);
}

#[test]
fn the_same_object_twice_is_refused() {
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Blob, b"hello");
    crafted.object(ObjectKind::Blob, b"hello");
    assert!(matches!(
        refused(&crafted.finish()),
        ReceiveError::Duplicate { .. }
    ));
    let mut crafted = Crafted::new();
    let first = crafted.object(ObjectKind::Blob, b"hello");
    let distance = crafted.next_offset() - first;
    crafted.entry(
        EntryKind::OffsetDelta { distance },
        &delta(5, 5, &[Op::Copy(0, 5)]),
    );
    assert!(matches!(
        refused(&crafted.finish()),
        ReceiveError::Duplicate { .. }
    ));
}
