//! Packs that Git made, read here.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use packhouse_object::pack::index::Index;
use packhouse_object::{EntryKind, ObjectId, Pack, PackError};

use super::cache;
use super::crafted::{Crafted, Op, delta};
use super::history;
use crate::git::Git;

fn open(pack: &Path) -> Arc<Pack> {
    let idx = pack.with_extension("idx");
    Arc::new(Pack::open(&pack.with_extension("pack"), &idx).unwrap())
}

/// Checks every way of reading against `git cat-file`.
fn compare(git: &Git) -> Arc<Pack> {
    let packs = git.packs();
    assert_eq!(packs.len(), 1);
    let pack = open(&packs[0]);
    let expected = git.objects();
    assert_eq!(pack.object_count() as usize, expected.len());
    // A cache with room for little, so that chains are walked in parts.
    let cache = packhouse_object::ObjectCache::new(64 << 10);
    for object in &expected {
        let offset = pack.lookup(&object.id).unwrap();
        assert_eq!(pack.id_at(offset), Some(object.id));
        let header = pack.header(offset).unwrap();
        assert_eq!(
            (header.kind, header.size),
            (object.kind, object.data.len() as u64)
        );
        let read = pack.read(offset, &cache).unwrap();
        assert_eq!((read.kind, &read.data[..]), (object.kind, &object.data[..]));
        let mut stream = pack.stream(offset, &cache).unwrap();
        assert_eq!((stream.kind, stream.size), (header.kind, header.size));
        let mut streamed = Vec::new();
        stream.read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, object.data);
        let raw = pack.raw_entry(offset).unwrap();
        let mut copied = Vec::new();
        pack.copy_raw(&raw, &mut copied).unwrap();
        assert_eq!(copied.len() as u64, raw.data.end - raw.data.start);
    }
    let by_id: Vec<ObjectId> = pack.iter().map(|(id, _)| id).collect();
    assert!(
        by_id.iter().eq(expected.iter().map(|object| &object.id)),
        "git lists by id as well"
    );
    let by_offset: Vec<u64> = pack.iter_by_offset().map(|(_, offset)| offset).collect();
    assert!(by_offset.is_sorted() && by_offset.len() == by_id.len());
    pack
}

fn count_kinds(pack: &Pack, wanted: impl Fn(EntryKind) -> bool) -> usize {
    pack.iter()
        .filter(|(_, offset)| wanted(pack.entry(*offset).unwrap().kind))
        .count()
}

#[test]
fn every_object_of_a_pack_with_offset_deltas_is_read() {
    let git = history::random(1, 150);
    git.run(&["repack", "-adfq", "--depth=50", "--window=20"]);
    let pack = compare(&git);
    assert!(count_kinds(&pack, |kind| matches!(kind, EntryKind::OffsetDelta { .. })) > 100);
}

#[test]
fn every_object_of_a_pack_with_deltas_against_ids_is_read() {
    let git = history::random(2, 150);
    git.run(&["config", "repack.useDeltaBaseOffset", "false"]);
    git.run(&["repack", "-adfq", "--depth=50", "--window=20"]);
    let pack = compare(&git);
    assert!(count_kinds(&pack, |kind| matches!(kind, EntryKind::RefDelta { .. })) > 100);
}

#[test]
fn an_index_of_version_1_is_read() {
    let git = history::random(3, 30);
    git.run(&["config", "pack.indexVersion", "1"]);
    git.run(&["repack", "-adfq"]);
    let pack = compare(&git);
    assert_eq!(pack.raw_entry(12).unwrap().crc32, None);
    assert!(pack.index().is_intact());
}

#[test]
fn abbreviated_ids_find_what_git_finds() {
    let git = history::random(4, 60);
    git.run(&["repack", "-adfq"]);
    let pack = open(&git.packs()[0]);
    let ids: Vec<ObjectId> = pack.iter().map(|(id, _)| id).collect();
    for id in &ids {
        for len in [1, 2, 3, 7, 39, 40] {
            let prefix = &id.to_string()[..len];
            let expected: Vec<_> = ids
                .iter()
                .filter(|id| id.to_string().starts_with(prefix))
                .take(2)
                .collect();
            let mut found = Vec::new();
            pack.prefix(prefix, &mut found, 2);
            assert!(found.iter().eq(expected), "{prefix}");
        }
    }
    let mut found = Vec::new();
    pack.prefix("", &mut found, 5);
    assert_eq!(found, ids[..5]);
    for bad in ["g", "0x", "é", &"0".repeat(41)] {
        pack.prefix(bad, &mut found, 100);
        assert_eq!(found.len(), 5, "{bad}");
    }
    let upper = ids[0].to_string().to_uppercase();
    let mut found = Vec::new();
    pack.prefix(&upper, &mut found, 2);
    assert_eq!(found, ids[..1]);
}

#[test]
fn a_copied_entry_is_held_against_its_checksum() {
    let git = history::random(5, 10);
    git.run(&["repack", "-adfq"]);
    let path = git.packs()[0].with_extension("pack");
    let pack = open(&git.packs()[0]);
    let (_, offset) = pack.iter_by_offset().nth(3).unwrap();
    let raw = pack.raw_entry(offset).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[raw.data.start as usize + 2] ^= 1;
    let dir = tempfile::tempdir().unwrap();
    let damaged = dir.path().join("damaged.pack");
    std::fs::write(&damaged, bytes).unwrap();
    let pack = Pack::open(&damaged, &path.with_extension("idx")).unwrap();
    let error = pack.copy_raw(&raw, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn a_large_delta_is_streamed_through_files() {
    // Base and result are over what is applied in memory.
    let git = Git::init();
    let mut numbers = history::Numbers::new(6);
    let base = numbers.bytes(9 << 20);
    let mut changed = base.clone();
    changed.splice(5 << 20..5 << 20, *b"something in the middle");
    changed.truncate(9 << 20);
    let blob = |data: &[u8]| {
        let hex = git.run_with(&["hash-object", "-w", "--stdin"], data);
        String::from_utf8(hex).unwrap()
    };
    let list = format!("{}{}", blob(&base), blob(&changed));
    git.run_with(
        &["pack-objects", "-q", "--window=2", "objects/pack/pack"],
        list.as_bytes(),
    );
    git.run(&["prune-packed"]);
    let pack = compare(&git);
    assert_eq!(
        count_kinds(&pack, |kind| matches!(kind, EntryKind::Object(_))),
        1
    );
}

/// Opens a crafted pack with an index that Git does not have to agree with.
fn open_crafted(bytes: &[u8], entries: &[(ObjectId, u64)]) -> Pack {
    use packhouse_object::pack::index::{IndexEntry, write_index};
    let dir = tempfile::tempdir().unwrap();
    let (pack, idx) = (dir.path().join("a.pack"), dir.path().join("a.idx"));
    std::fs::write(&pack, bytes).unwrap();
    let mut entries: Vec<IndexEntry> = entries
        .iter()
        .map(|(id, offset)| IndexEntry {
            id: *id,
            crc32: 0,
            offset: *offset,
        })
        .collect();
    entries.sort_by_key(|entry| entry.id);
    let checksum = ObjectId::try_from(&bytes[bytes.len() - 20..]).unwrap();
    let mut file = std::fs::File::create(&idx).unwrap();
    write_index(&entries, &checksum, &mut file).unwrap();
    Pack::open(&pack, &idx).unwrap()
}

fn id(n: u8) -> ObjectId {
    ObjectId::from([n; 20])
}

#[test]
fn a_chain_that_comes_back_to_itself_ends_in_an_error() {
    let mut crafted = Crafted::new();
    let nothing = delta(5, 5, &[Op::Copy(0, 5)]);
    let first = crafted.entry(EntryKind::RefDelta { base: id(2) }, &nothing);
    let second = crafted.entry(EntryKind::RefDelta { base: id(1) }, &nothing);
    let alone = crafted.entry(EntryKind::RefDelta { base: id(3) }, &nothing);
    let lost = crafted.entry(EntryKind::RefDelta { base: id(9) }, &nothing);
    let pack = open_crafted(
        &crafted.finish(),
        &[
            (id(1), first),
            (id(2), second),
            (id(3), alone),
            (id(4), lost),
        ],
    );
    for offset in [first, second, alone] {
        let error = pack.read(offset, &cache()).unwrap_err();
        assert!(matches!(error, PackError::DeltaCycle { .. }), "{error}");
        assert!(matches!(
            pack.header(offset),
            Err(PackError::DeltaCycle { .. })
        ));
    }
    let error = pack.read(lost, &cache()).unwrap_err();
    assert!(matches!(error, PackError::MissingBase { .. }), "{error}");
}

#[test]
fn a_chain_that_is_too_long_is_refused() {
    let mut crafted = Crafted::new();
    let mut last = crafted.object(packhouse_object::ObjectKind::Blob, b"hello");
    let mut entries = vec![(id(0), last)];
    for n in 1..=4096u32 {
        let distance = crafted.next_offset() - last;
        last = crafted.entry(
            EntryKind::OffsetDelta { distance },
            &delta(5, 5, &[Op::Copy(0, 5)]),
        );
        let mut raw = [1; 20];
        raw[..4].copy_from_slice(&n.to_be_bytes());
        entries.push((ObjectId::from(raw), last));
    }
    let pack = open_crafted(&crafted.finish(), &entries);
    let deepest = entries[4095].1;
    assert_eq!(
        &pack
            .read(deepest, &packhouse_object::ObjectCache::new(0))
            .unwrap()
            .data[..],
        b"hello"
    );
    let error = pack
        .read(last, &packhouse_object::ObjectCache::new(0))
        .unwrap_err();
    assert!(matches!(error, PackError::DeltaTooDeep { .. }), "{error}");
}

#[test]
fn sizes_that_are_claimed_are_not_believed() {
    let mut crafted = Crafted::new();
    let blob = EntryKind::Object(packhouse_object::ObjectKind::Blob);
    let huge = crafted.entry_claiming(blob, u64::MAX, b"hello");
    let long = crafted.entry_claiming(blob, 6, b"hello");
    let short = crafted.entry_claiming(blob, 4, b"hello");
    let pack = open_crafted(
        &crafted.finish(),
        &[(id(1), huge), (id(2), long), (id(3), short)],
    );
    assert!(matches!(
        pack.read(huge, &cache()),
        Err(PackError::TooLarge { .. })
    ));
    assert!(matches!(
        pack.read(long, &cache()),
        Err(PackError::Inflate { .. })
    ));
    assert!(matches!(
        pack.read(short, &cache()),
        Err(PackError::Inflate { .. })
    ));
    let pack = Arc::new(pack);
    for offset in [huge, long, short] {
        let mut stream = pack.stream(offset, &cache()).unwrap();
        assert!(stream.read_to_end(&mut Vec::new()).is_err());
    }
    for offset in [
        0,
        1,
        11,
        u64::MAX,
        u64::MAX / 2,
        pack.bytes() - 20,
        pack.bytes(),
    ] {
        assert!(pack.read(offset, &cache()).is_err(), "{offset}");
        assert!(pack.raw_entry(offset).is_err(), "{offset}");
    }
}

#[test]
fn a_pack_opens_only_with_its_own_index() {
    let [one, two] = [7, 8].map(|seed| {
        let git = history::random(seed, 5);
        git.run(&["repack", "-adfq"]);
        git
    });
    let pack = one.packs()[0].with_extension("pack");
    let other = two.packs()[0].with_extension("idx");
    assert!(matches!(
        Pack::open(&pack, &other),
        Err(PackError::Damaged { .. })
    ));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p");
    let bytes = std::fs::read(&pack).unwrap();
    for len in [0, 1, 11, 12, 31, 32, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        assert!(
            Pack::open(&path, &pack.with_extension("idx")).is_err(),
            "{len}"
        );
    }
}

#[test]
fn a_damaged_index_is_refused_or_answers_without_harm() {
    let git = history::random(9, 3);
    git.run(&["repack", "-adfq"]);
    let bytes = std::fs::read(git.packs()[0].with_extension("idx")).unwrap();
    for len in 0..bytes.len() {
        assert!(
            Index::from_bytes(bytes[..len].to_vec().into()).is_err(),
            "{len}"
        );
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        let Ok(index) = Index::from_bytes(damaged.into()) else {
            continue;
        };
        for position in 0..index.count() {
            let id = index.id(position).to_owned();
            let _ = (
                index.lookup(&id),
                index.offset(position),
                index.crc32(position),
            );
            let _ = index.prefix(&id.to_string()[..6]);
        }
        assert!(!index.is_intact());
    }
}
