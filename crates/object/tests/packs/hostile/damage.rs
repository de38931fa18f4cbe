//! Packs that are cut, changed, or make no sense.

use packhouse_object::pack::entry::EntryError;
use packhouse_object::{ObjectKind, ReceiveError, ReceiveLimits, Received, receive_pack};

use super::{BLOB, id_of, receive_with, refused, sample};
use crate::packs::crafted::{Crafted, seal, zlib};
use crate::packs::{history, nothing};

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
