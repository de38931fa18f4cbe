//! Laws that hold for any input.

use packhouse_object::pack::delta::{DeltaError, apply, parse_sizes};
use packhouse_object::pack::entry::{EntryError, parse_header, write_header};
use packhouse_object::pack::index::{Index, IndexEntry, write_index};
use packhouse_object::{
    EntryKind, ObjectId, ObjectKind, Pack, PackFileWriter, ReceiveLimits, Received, receive_pack,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::crafted::{Op, delta};
use super::{cache, nothing};

fn kind() -> impl Strategy<Value = ObjectKind> {
    proptest::sample::select(ObjectKind::ALL.to_vec())
}

fn entry_kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        kind().prop_map(EntryKind::Object),
        (1u64..1 << 62).prop_map(|distance| EntryKind::OffsetDelta { distance }),
        (1u64..1 << 20).prop_map(|distance| EntryKind::OffsetDelta { distance }),
        any::<[u8; 20]>().prop_map(|raw| EntryKind::RefDelta { base: raw.into() }),
    ]
}

/// An instruction of a delta, made to fit a base later.
#[derive(Clone, Debug)]
enum Piece {
    Copy(prop::sample::Index, prop::sample::Index),
    Insert(Vec<u8>),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        any::<(prop::sample::Index, prop::sample::Index)>().prop_map(|(a, b)| Piece::Copy(a, b)),
        vec(any::<u8>(), 1..300).prop_map(Piece::Insert),
    ]
}

proptest! {
    #[test]
    fn a_header_is_read_as_it_was_written(kind in entry_kind(), size: u64, tail: [u8; 3]) {
        let mut bytes = Vec::new();
        let len = write_header(kind, size, &mut bytes);
        prop_assert_eq!(len, bytes.len());
        for cut in 0..len {
            prop_assert_eq!(parse_header(&bytes[..cut]), Err(EntryError::Truncated));
        }
        bytes.extend_from_slice(&tail);
        let header = parse_header(&bytes).unwrap();
        prop_assert_eq!((header.kind, header.size, header.header_len), (kind, size, len));
    }

    #[test]
    fn any_bytes_are_a_header_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
        if let Ok(header) = parse_header(&bytes) {
            prop_assert!(header.header_len <= bytes.len());
        }
    }

    #[test]
    fn a_delta_makes_what_its_instructions_say(
        base in vec(any::<u8>(), 1..100_000),
        pieces in vec(piece(), 0..20),
    ) {
        let mut expected = Vec::new();
        let mut ops = Vec::new();
        for piece in &pieces {
            match piece {
                Piece::Copy(at, len) => {
                    let at = at.index(base.len());
                    let len = 1 + len.index((base.len() - at).min(0x10000));
                    expected.extend_from_slice(&base[at..at + len]);
                    ops.push(Op::Copy(at as u64, len as u64));
                }
                Piece::Insert(data) => {
                    expected.extend_from_slice(data);
                    ops.push(Op::Insert(data));
                }
            }
        }
        let size = expected.len() as u64;
        let bytes = delta(base.len() as u64, size, &ops);
        let made = apply(&base, &bytes, size).unwrap();
        prop_assert_eq!(&made, &expected);
        let sizes = parse_sizes(&bytes).unwrap();
        prop_assert_eq!((sizes.base, sizes.result), (base.len() as u64, size));
        if size > 0 {
            let too_large = DeltaError::TooLarge { size, limit: size - 1 };
            prop_assert_eq!(apply(&base, &bytes, size - 1), Err(too_large));
            for cut in 0..bytes.len().min(40) {
                prop_assert!(apply(&base, &bytes[..cut], size).is_err());
            }
        }
        prop_assert!(apply(&base[1..], &bytes, size).is_err());
    }

    #[test]
    fn any_bytes_are_a_delta_or_an_error(base in vec(any::<u8>(), 0..50), bytes in vec(any::<u8>(), 0..80)) {
        let mut with_size = vec![base.len() as u8];
        with_size.extend_from_slice(&bytes);
        for bytes in [bytes, with_size] {
            if let Ok(result) = apply(&base, &bytes, 1 << 20) {
                prop_assert_eq!(result.len() as u64, parse_sizes(&bytes).unwrap().result);
            }
        }
    }

    #[test]
    fn an_index_finds_what_was_written(
        raw in prop::collection::btree_map(any::<[u8; 20]>(), (any::<u32>(), any::<u64>()), 0..200),
    ) {
        let entries: Vec<IndexEntry> = raw
            .iter()
            .map(|(id, (crc32, offset))| IndexEntry { id: (*id).into(), crc32: *crc32, offset: *offset })
            .collect();
        let mut bytes = Vec::new();
        let checksum = ObjectId::from([9; 20]);
        let written = write_index(&entries, &checksum, &mut bytes).unwrap();
        prop_assert_eq!(written.bytes, bytes.len() as u64);
        let index = Index::from_bytes(bytes.into()).unwrap();
        prop_assert!(index.is_intact());
        prop_assert_eq!(index.pack_checksum(), checksum);
        prop_assert_eq!(index.count() as usize, entries.len());
        for entry in &entries {
            let position = index.lookup(&entry.id).unwrap();
            prop_assert_eq!(index.id(position), &*entry.id);
            prop_assert_eq!(index.offset(position), entry.offset);
            prop_assert_eq!(index.crc32(position), Some(entry.crc32));
        }
        let mut other = [3; 20];
        other[19] = 77;
        prop_assert_eq!(index.lookup(&ObjectId::from(other)).is_some(), raw.contains_key(&other));
    }

    #[test]
    fn any_bytes_are_an_index_or_an_error(bytes in vec(any::<u8>(), 0..3000), signed: bool) {
        let mut bytes = bytes;
        if signed && bytes.len() > 8 {
            bytes[..8].copy_from_slice(b"\xfftOc\0\0\0\x02");
        }
        if let Ok(index) = Index::from_bytes(bytes.into()) {
            for position in 0..index.count() {
                let _ = (index.lookup(index.id(position)), index.offset(position));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read_and_received(
        blobs in vec(vec(any::<u8>(), 0..3000), 0..30),
        repeat in 0usize..200_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = PackFileWriter::create(dir.path()).unwrap();
        let mut expected = std::collections::BTreeMap::new();
        for blob in blobs.into_iter().chain([vec![b'r'; repeat]]) {
            let id = writer.add(ObjectKind::Blob, &blob).unwrap();
            expected.insert(id, blob);
        }
        let finished = writer.finish().unwrap();
        prop_assert_eq!(finished.objects as usize, expected.len());
        let pack = Pack::open(&finished.pack, &finished.idx).unwrap();
        let cache = cache();
        for (id, blob) in &expected {
            let read = pack.read(pack.lookup(id).unwrap(), &cache).unwrap();
            prop_assert_eq!(&read.data[..], &blob[..]);
        }
        let bytes = std::fs::read(&finished.pack).unwrap();
        let nothing = nothing();
        let limits = ReceiveLimits::default();
        let received = receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &()).unwrap();
        let Received::Small(objects) = received else { panic!("the pack is small") };
        let received = objects.into_iter().map(|object| (object.id, object.data.to_vec()));
        prop_assert_eq!(received.collect::<std::collections::BTreeMap<_, _>>(), expected);
    }
}
