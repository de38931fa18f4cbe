//! Packs from people who mean harm, and from broken disks.

mod damage;
mod deltas;
mod limits;
mod objects;

use packhouse_object::{
    EntryKind, NewObject, ObjectId, ObjectKind, ReceiveError, ReceiveLimits, Received, hash_object,
    receive_pack,
};

use super::crafted::{Crafted, Op, delta, tree};
use super::{memory_database, nothing};

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
