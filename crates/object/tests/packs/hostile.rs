//! Packs from people who mean harm, and from broken disks.

use std::time::{Duration, Instant};

use packhouse_object::pack::check::SyntaxError;
use packhouse_object::pack::delta::DeltaError;
use packhouse_object::pack::entry::EntryError;
use packhouse_object::{
    EntryKind, HashKind, NewObject, ObjectId, ObjectKind, ReceiveError, ReceiveLimits, Received,
    hash_object, receive_pack,
};

use super::crafted::{Crafted, Op, delta, seal, tree, zlib};
use super::{history, memory_database, nothing};

fn receive_with(
    bytes: &[u8],
    base: Vec<NewObject>,
    limits: &ReceiveLimits,
) -> Result<Received, ReceiveError> {
    let dir = tempfile::tempdir().unwrap();
    let base = match base.is_empty() {
        true => nothing(),
        false => memory_database(base),
    };
    let result = receive_pack(&mut &bytes[..], dir.path(), &base, limits, &());
    if result.is_err() {
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing is left"
        );
    }
    result
}

/// The error for a pack; it must not depend on whether the pack is kept in memory.
fn refused(bytes: &[u8]) -> ReceiveError {
    let small = receive_with(bytes, Vec::new(), &ReceiveLimits::default()).unwrap_err();
    let in_file = ReceiveLimits {
        small_pack_bytes: 0,
        ..ReceiveLimits::default()
    };
    let large = receive_with(bytes, Vec::new(), &in_file).unwrap_err();
    assert_eq!(
        std::mem::discriminant(&small),
        std::mem::discriminant(&large),
        "{small} / {large}"
    );
    small
}

fn id_of(kind: ObjectKind, data: &[u8]) -> ObjectId {
    hash_object(kind, data).unwrap()
}

const BLOB: EntryKind = EntryKind::Object(ObjectKind::Blob);

/// A pack of all kinds and both kinds of deltas, small enough to be cut everywhere.
fn sample() -> Vec<u8> {
    let mut crafted = Crafted::new();
    let text = b"some text, some text, some text, some text";
    let blob = crafted.object(ObjectKind::Blob, text);
    let longer = delta(42, 45, &[Op::Copy(0, 42), Op::Insert(b"!!!")]);
    let distance = crafted.next_offset() - blob;
    crafted.entry(EntryKind::OffsetDelta { distance }, &longer);
    let base = id_of(ObjectKind::Blob, text);
    crafted.entry(
        EntryKind::RefDelta { base },
        &delta(42, 3, &[Op::Copy(5, 3)]),
    );
    let root = tree(&[(b"100644", b"file", base)]);
    crafted.object(ObjectKind::Tree, &root);
    let commit = format!(
        "tree {}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nhello\n",
        id_of(ObjectKind::Tree, &root)
    );
    crafted.object(ObjectKind::Commit, commit.as_bytes());
    let tag = format!(
        "object {}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nhello\n",
        id_of(ObjectKind::Commit, commit.as_bytes())
    );
    crafted.object(ObjectKind::Tag, tag.as_bytes());
    crafted.finish()
}

#[test]
fn a_pack_cut_anywhere_is_refused() {
    let bytes = sample();
    receive_with(&bytes, Vec::new(), &ReceiveLimits::default()).unwrap();
    for len in 0..bytes.len() {
        let error = refused(&bytes[..len]);
        assert!(
            matches!(error, ReceiveError::Truncated { received } if received == len as u64),
            "{len}: {error}"
        );
    }
}

#[test]
fn a_pack_with_any_byte_changed_is_refused() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            refused(&damaged);
        }
    }
}

#[test]
fn a_pack_damaged_by_someone_who_can_hash_harms_nothing() {
    let bytes = sample();
    let content = &bytes[..bytes.len() - 20];
    let mut numbers = history::Numbers::new(3);
    let (dir, nothing) = (tempfile::tempdir().unwrap(), nothing());
    for _ in 0..20_000 {
        let mut damaged = content.to_vec();
        for _ in 0..1 + numbers.below(3) {
            let at = 12 + numbers.below(damaged.len() as u64 - 12) as usize;
            damaged[at] = numbers.next() as u8;
        }
        // Mostly an error; never a panic, and never an object that is not what its id says.
        let (bytes, limits) = (seal(damaged), ReceiveLimits::default());
        let received = receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &());
        if let Ok(Received::Small(objects)) = received {
            for object in objects {
                assert_eq!(object.id, id_of(object.kind, &object.data));
            }
        }
    }
}

#[test]
fn headers_that_make_no_sense_are_refused() {
    assert!(matches!(
        refused(b"not a pack at all, but long enough"),
        ReceiveError::NotAPack
    ));
    let mut version = sample();
    version[7] = 4;
    assert!(matches!(refused(&version), ReceiveError::UnknownVersion(4)));
    let mut many = sample();
    many[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(
        refused(&many),
        ReceiveError::TooManyObjects { .. }
    ));
    let mut more = sample();
    more[11] += 1;
    refused(&more);
    let mut fewer = sample();
    fewer[11] -= 1;
    assert!(matches!(refused(&fewer), ReceiveError::BadChecksum { .. }));
    // Many objects are claimed and few sent: that takes no memory.
    let claimed = Crafted::new().finish_counting(16 << 20);
    assert!(matches!(
        refused(&claimed),
        ReceiveError::BadEntry { .. } | ReceiveError::Truncated { .. }
    ));
}

#[test]
fn entries_that_make_no_sense_are_refused() {
    let with_raw = |bytes: &[u8]| {
        let mut crafted = Crafted::new();
        crafted.raw(bytes);
        crafted.object(ObjectKind::Blob, b"then one that is fine");
        crafted.finish()
    };
    for kind in [0, 5] {
        let error = refused(&with_raw(&[kind << 4]));
        assert!(
            matches!(error, ReceiveError::BadEntry { source: EntryError::UnknownKind(k), .. } if k == kind),
            "{error}"
        );
    }
    let overlong = [[0xb0].as_slice(), &[0xff; 12], &[1]].concat();
    let error = refused(&with_raw(&overlong));
    assert!(
        matches!(
            error,
            ReceiveError::BadEntry {
                source: EntryError::Overflow,
                ..
            }
        ),
        "{error}"
    );
    let error = refused(&with_raw(&[0x31, 1, 2, 3, 4, 5]));
    assert!(matches!(error, ReceiveError::BadZlib { .. }), "{error}");

    for (claimed, data) in [(4, b"hello"), (6, b"hello")] {
        let mut crafted = Crafted::new();
        crafted.entry_claiming(BLOB, claimed, data);
        assert!(matches!(
            refused(&crafted.finish()),
            ReceiveError::BadZlib { .. }
        ));
    }

    let mut crafted = Crafted::new();
    crafted.raw(&{
        let mut entry = vec![0x35];
        let mut stream = zlib(b"hello");
        let last = stream.len() - 1;
        stream[last] ^= 1;
        entry.extend(stream);
        entry
    });
    assert!(
        matches!(refused(&crafted.finish()), ReceiveError::BadZlib { .. }),
        "Adler-32"
    );
}

#[test]
fn the_wrong_checksum_is_refused() {
    let mut bytes = sample();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error = refused(&bytes);
    assert!(matches!(error, ReceiveError::BadChecksum { .. }), "{error}");
}

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

#[test]
fn a_delta_bomb_is_refused_before_it_goes_off() {
    let limits = ReceiveLimits {
        object_bytes: 1 << 30,
        ..ReceiveLimits::default()
    };
    let mut crafted = Crafted::new();
    let base = crafted.object(ObjectKind::Blob, &vec![0; 0x10000]);
    // A result of exabytes.
    let distance = crafted.next_offset() - base;
    crafted.entry(
        EntryKind::OffsetDelta { distance },
        &delta(0x10000, 1 << 60, &[Op::Copy(0, 0x10000)]),
    );
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::TooLarge { size, .. } if size == 1 << 60),
        "{error}"
    );

    // Each is a hundred times the one before: the numbers add up before anything is made.
    let started = Instant::now();
    let mut crafted = Crafted::new();
    let mut last = crafted.object(ObjectKind::Blob, &vec![0; 0x10000]);
    let mut size = 0x10000;
    while size < 1 << 36 {
        let ops: Vec<Op<'_>> = (0..100).map(|_| Op::Copy(0, size.min(0xff_ffff))).collect();
        let result = ops.len() as u64 * size.min(0xff_ffff);
        let distance = crafted.next_offset() - last;
        last = crafted.entry(
            EntryKind::OffsetDelta { distance },
            &delta(size, result, &ops),
        );
        if result <= size {
            break;
        }
        size = result;
    }
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(matches!(error, ReceiveError::TooLarge { .. }), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn many_large_results_of_small_deltas_are_refused_together() {
    let limits = ReceiveLimits {
        expansion_bytes: 64 << 20,
        expansion_ratio: 10,
        ..ReceiveLimits::default()
    };
    let mut crafted = Crafted::new();
    let content = vec![7; 1 << 20];
    let base = crafted.object(ObjectKind::Blob, &content);
    for n in 0..1000u32 {
        let number = n.to_be_bytes();
        let ops = [Op::Copy(0, 1 << 20), Op::Insert(&number)];
        let distance = crafted.next_offset() - base;
        crafted.entry(
            EntryKind::OffsetDelta { distance },
            &delta(1 << 20, (1 << 20) + 4, &ops),
        );
    }
    let started = Instant::now();
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::ExpandsTooMuch { .. }),
        "{error}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn many_small_copies_from_a_large_base_are_charged_for() {
    // Base and delta are over what is in memory, so that each copy reads a file.
    let limits = ReceiveLimits {
        memory_bytes: 64 << 10,
        expansion_bytes: 64 << 20,
        expansion_ratio: 10,
        ..ReceiveLimits::default()
    };
    let mut crafted = Crafted::new();
    let content = history::Numbers::new(4).bytes(1 << 20);
    let base = crafted.object(ObjectKind::Blob, &content);
    let ops: Vec<Op<'_>> = (0..1u64 << 20)
        .map(|n| Op::Copy(n * 7919 % (1 << 20), 1))
        .collect();
    let distance = crafted.next_offset() - base;
    crafted.entry(
        EntryKind::OffsetDelta { distance },
        &delta(1 << 20, 1 << 20, &ops),
    );
    let error = receive_with(&crafted.finish(), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::ExpandsTooMuch { .. }),
        "{error}"
    );
}

#[test]
fn a_chain_of_deltas_is_followed_so_far() {
    let chain = |len: u32| {
        let mut crafted = Crafted::new();
        let mut last = crafted.object(ObjectKind::Blob, b"hello");
        for n in 0..len {
            let distance = crafted.next_offset() - last;
            let number = n.to_be_bytes();
            let ops = [Op::Copy(0, 5), Op::Insert(&number)];
            let size = if n == 0 { 5 } else { 9 };
            last = crafted.entry(EntryKind::OffsetDelta { distance }, &delta(size, 9, &ops));
        }
        crafted.finish()
    };
    let limits = ReceiveLimits {
        small_pack_bytes: 0,
        ..ReceiveLimits::default()
    };
    receive_with(&chain(4095), Vec::new(), &limits).unwrap();
    let error = receive_with(&chain(4096), Vec::new(), &limits).unwrap_err();
    assert!(
        matches!(error, ReceiveError::DeltaTooDeep { limit: 4095, .. }),
        "{error}"
    );
}

#[test]
fn limits_on_size_and_number_are_kept() {
    let bytes = sample();
    let at = |change: fn(&mut ReceiveLimits)| {
        let mut limits = ReceiveLimits::default();
        change(&mut limits);
        receive_with(&bytes, Vec::new(), &limits).map(drop)
    };
    assert!(at(|limits| limits.objects = 6).is_ok());
    assert!(matches!(
        at(|limits| limits.objects = 5),
        Err(ReceiveError::TooManyObjects { .. })
    ));
    assert!(matches!(
        at(|limits| limits.object_bytes = 41),
        Err(ReceiveError::TooLarge { .. })
    ));
    assert!(matches!(
        at(|limits| limits.pack_bytes = 100),
        Err(ReceiveError::PackTooLarge { .. })
    ));
}

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

#[test]
fn trees_that_name_ids_made_up_by_the_thousand_are_refused_early() {
    // More distinct ids than are gathered before any is looked up.
    let mut crafted = Crafted::new();
    let mut numbers = history::Numbers::new(5);
    for _ in 0..8 {
        let mut entries = Vec::new();
        for n in 0..40_000u32 {
            let raw: [u8; 20] = numbers.bytes(20).try_into().unwrap();
            entries.push((format!("{n:06}"), ObjectId::from(raw)));
        }
        let entries: Vec<_> = entries
            .iter()
            .map(|(name, id)| (b"100644".as_slice(), name.as_bytes(), *id))
            .collect();
        crafted.object(ObjectKind::Tree, &tree(&entries));
    }
    let error = refused(&crafted.finish());
    assert!(
        matches!(error, ReceiveError::MissingObjects { .. }),
        "{error}"
    );
}
