//! The layers of a database, and loose objects shared with Git.

use std::collections::BTreeSet;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use packhouse_object::{
    Database, HashKind, LooseError, LooseStore, NewObject, ObjectCache, ObjectHeader, ObjectId,
    ObjectKind, Pack, ReadError,
};
use packhouse_testkit::history::HistoryOptions;

use crate::git::Git;
use crate::repositories::{database, memory, random};

fn blob(text: impl Into<Vec<u8>>) -> NewObject {
    NewObject::new(ObjectKind::Blob, text.into()).unwrap()
}

/// Everything git has is read alike, whole, in pieces and by header.
fn assert_all_read(git: &Git, db: &Database) {
    for object in git.objects() {
        let read = db.read(&object.id).unwrap().unwrap();
        assert_eq!((read.kind, &read.data[..]), (object.kind, &object.data[..]));
        let header = ObjectHeader {
            kind: object.kind,
            size: object.data.len() as u64,
        };
        assert_eq!(db.header(&object.id).unwrap(), Some(header));
        let mut stream = db.stream(&object.id).unwrap().unwrap();
        let mut data = Vec::new();
        stream.read_to_end(&mut data).unwrap();
        assert_eq!((stream.kind, data), (object.kind, object.data));
        assert!(db.contains(&object.id).unwrap());
    }
}

fn all_ids(db: &Database) -> BTreeSet<ObjectId> {
    let mut ids = BTreeSet::new();
    db.object_ids(&mut |id| {
        ids.insert(id);
        ControlFlow::Continue(())
    })
    .unwrap();
    ids
}

#[test]
fn packed_and_loose_objects_of_git_are_read() {
    let git = random(&HistoryOptions::small(31));
    assert_all_read(&git, &database(&git));
    // Now all of them loose.
    let pack = git.packs()[0].with_extension("pack");
    let bytes = std::fs::read(&pack).unwrap();
    for suffix in ["pack", "idx"] {
        std::fs::remove_file(pack.with_extension(suffix)).unwrap();
    }
    git.run_with(&["unpack-objects", "-q"], &bytes);
    let db = database(&git);
    assert!(db.packs().is_empty());
    assert_all_read(&git, &db);
    let ids: BTreeSet<_> = git.objects().into_iter().map(|object| object.id).collect();
    assert_eq!(all_ids(&db), ids);
}

#[test]
fn what_one_pack_has_damaged_is_read_from_another() {
    let git = random(&HistoryOptions::small(32));
    git.run(&["repack", "-adfq"]);
    let whole = database(&git).packs()[0].clone();
    let mut bytes = std::fs::read(whole.path()).unwrap();
    // Where the deflated bytes begin: neither an object nor the size that a delta makes can be read.
    for (_, offset) in whole.iter().step_by(2) {
        bytes[whole.raw_entry(offset).unwrap().data.start as usize] ^= 0xff;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.pack");
    std::fs::write(&path, bytes).unwrap();
    let damaged = Arc::new(Pack::open(&path, &whole.path().with_extension("idx")).unwrap());
    let with = |packs| Database::new(Arc::new(ObjectCache::new(1 << 20)), 7).with_packs(packs);

    let alone = with(vec![damaged.clone()]);
    let is_unreadable = |id| matches!(alone.read(id), Err(ReadError::Pack { .. }));
    let objects = git.objects();
    let unreadable = objects.iter().filter(|object| is_unreadable(&object.id));
    assert!(unreadable.count() >= objects.len() / 2);
    assert_all_read(&git, &with(vec![damaged, whole]));
}

#[test]
fn git_reads_loose_objects_written_here() {
    let git = Git::init();
    let store = LooseStore::open(git.path().join("objects"));
    let big = vec![b'x'; 1 << 20];
    for data in [&b""[..], b"small", &big] {
        let id = store.write(ObjectKind::Blob, data).unwrap();
        assert_eq!(git.run(&["cat-file", "blob", &id.to_string()]), data);
        assert_eq!(
            store.write(ObjectKind::Blob, data).unwrap(),
            id,
            "twice is harmless"
        );
        assert!(store.contains(&id).unwrap());
        assert_eq!(store.read(&id).unwrap().unwrap().data, data);
    }
    git.run(&["fsck", "--strict"]);
    let left = git.run(&["count-objects", "-v"]);
    let left = String::from_utf8(left).unwrap();
    assert!(
        left.contains("count: 3\n") && left.contains("garbage: 0\n"),
        "{left}"
    );
}

#[test]
fn damaged_loose_objects_are_refused() {
    let git = Git::init();
    let store = LooseStore::open(git.path().join("objects"));
    let id = store.write(ObjectKind::Blob, b"some content").unwrap();
    let hex = id.to_string();
    let path = git.path().join("objects").join(&hex[..2]).join(&hex[2..]);
    let whole = std::fs::read(&path).unwrap();
    let zlib = |text: &[u8]| {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut out, text).unwrap();
        out.finish().unwrap()
    };
    let damaged: [&[u8]; 8] = [
        b"",
        b"garbage",
        &whole[..whole.len() - 6],
        &zlib(b"blob 12\0short"),
        &zlib(b"blob 3\0too long"),
        &zlib(b"blob 0012\0some content"),
        &zlib(b"frog 12\0some content"),
        &zlib(&[b'x'; 4000]),
    ];
    for bytes in damaged {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = store.read(&id).unwrap_err();
        assert!(
            matches!(error, LooseError::Damaged { .. } | LooseError::Io { .. }),
            "{error:?}"
        );
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, zlib(format!("blob {}\0", u64::MAX).as_bytes())).unwrap();
    assert!(matches!(
        store.read(&id),
        Err(LooseError::TooLarge { size: u64::MAX, .. })
    ));
    let db = Database::new(Arc::new(ObjectCache::new(0)), 1).with_loose(vec![store]);
    assert!(matches!(
        db.read(&id),
        Err(ReadError::TooLarge { size: u64::MAX, .. })
    ));
}

#[test]
fn a_database_reads_as_much_in_one_piece_as_it_may() {
    let git = Git::init();
    let content: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
    let loose = LooseStore::open(git.path().join("objects"));
    let id = loose.write(ObjectKind::Blob, &content).unwrap();
    let db = Database::new(Arc::new(ObjectCache::new(0)), 1).with_loose(vec![loose]);
    git.run_with(&["pack-objects", "-q", "p"], format!("{id}\n").as_bytes());
    let packs = std::fs::read_dir(git.path()).unwrap().flatten();
    let idx = packs
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "idx"));
    let idx = idx.unwrap();
    let pack = Pack::open(&idx.with_extension("pack"), &idx).unwrap();
    let packed = db.with_loose(Vec::new()).with_packs(vec![Arc::new(pack)]);
    for db in [db, packed] {
        assert_eq!(db.in_one_piece(), packhouse_object::MAX_IN_MEMORY);
        let size = content.len() as u64;
        let read = |limit| db.with_in_one_piece(limit).read(&id);
        assert_eq!(read(size).unwrap().unwrap().data, content);
        assert!(matches!(
            read(size - 1),
            Err(ReadError::TooLarge { size: found, limit, .. }) if found == size && limit == size - 1
        ));
    }
}

#[test]
fn memory_is_added_to_and_replaced_without_changing_what_was() {
    let (one, two) = (blob("one"), blob("two"));
    let empty = memory(Vec::new());
    let first = empty.with_objects([one.clone()]);
    let both = first.with_objects([two.clone()]);
    let second = both.replace_memory([two.clone()]);
    let has = |db: &Database| (db.contains(&one.id).unwrap(), db.contains(&two.id).unwrap());
    assert_eq!(has(&empty), (false, false));
    assert_eq!(has(&first), (true, false));
    assert_eq!(has(&both), (true, true));
    assert_eq!(has(&second), (false, true));
    assert_eq!((both.memory_len(), second.memory_len()), (2, 1));
    assert!(matches!(second.commit(one.id), Err(ReadError::NotFound { id }) if id == one.id));
    assert!(matches!(
        second.commit(two.id),
        Err(ReadError::WrongKind {
            found: ObjectKind::Blob,
            ..
        })
    ));
}

#[test]
fn the_cache_never_answers_for_another_scope() {
    let git = random(&HistoryOptions::small(32));
    let cache = Arc::new(ObjectCache::new(8 << 20));
    let head = git.id("main");
    let here = Database::new(Arc::clone(&cache), 1).with_packs(database(&git).packs().to_vec());
    assert!(here.read(&head).unwrap().is_some());
    assert!(cache.bytes() > 0);
    assert!(here.read(&head).unwrap().is_some());
    let elsewhere = Database::new(cache, 2);
    assert_eq!(elsewhere.read(&head).unwrap(), None);
    assert_eq!(elsewhere.header(&head).unwrap(), None);
}

#[test]
fn the_cache_stays_within_its_bound() {
    let git = random(&HistoryOptions {
        commits: 100,
        ..HistoryOptions::small(33)
    });
    let cache = Arc::new(ObjectCache::new(64 << 10));
    let db = Database::new(Arc::clone(&cache), 1).with_packs(database(&git).packs().to_vec());
    for object in git.objects() {
        assert_eq!(db.read(&object.id).unwrap().unwrap().data, object.data);
        assert!(cache.bytes() <= 64 << 10);
    }
}

#[test]
fn the_empty_tree_is_always_here() {
    let db = memory(Vec::new());
    let id = ObjectId::empty_tree(HashKind::Sha1);
    assert!(db.contains(&id).unwrap());
    assert_eq!(db.tree(id).unwrap().entries, []);
    assert_eq!(
        db.header(&id).unwrap(),
        Some(ObjectHeader {
            kind: ObjectKind::Tree,
            size: 0
        })
    );
    assert_eq!(db.stream(&id).unwrap().unwrap().size, 0);
}

#[test]
fn abbreviations_name_one_object_or_say_that_they_do_not() {
    let git = random(&HistoryOptions {
        commits: 100,
        ..HistoryOptions::small(34)
    });
    let in_memory = blob("in memory");
    let store = LooseStore::open(git.path().join("objects"));
    store.write(ObjectKind::Blob, b"loose").unwrap();
    let db = database(&git).with_objects([in_memory.clone()]);
    let ids: Vec<ObjectId> = all_ids(&db).into_iter().collect();
    for id in &ids {
        let hex = id.to_string();
        for digits in [4, 5, 7, 39, 40] {
            let matching = ids
                .iter()
                .filter(|other| other.to_string().starts_with(&hex[..digits]));
            let expected = matching.count().min(2);
            let found = db.prefix(&hex[..digits]).unwrap();
            assert_eq!(found.len(), expected, "{}", &hex[..digits]);
            assert!(expected == 2 || found == [*id]);
            assert_eq!(db.prefix(&hex[..digits].to_uppercase()).unwrap(), found);
        }
        assert!(db.prefix(&hex[..3]).unwrap().is_empty(), "too short");
    }
    for nonsense in ["", "xyzw", "012g", "../../etc", &"0".repeat(41), "é€"] {
        assert!(db.prefix(nonsense).unwrap().is_empty(), "{nonsense}");
    }
}

#[test]
fn tags_are_peeled_to_what_they_name_and_no_further_than_is_sane() {
    let tree = ObjectId::empty_tree(HashKind::Sha1);
    let commit = format!("tree {tree}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nm\n");
    let commit = NewObject::new(ObjectKind::Commit, commit).unwrap();
    let mut objects = vec![commit.clone()];
    for _ in 0..100 {
        let last = objects.last().unwrap();
        let tag = format!(
            "object {}\ntype {}\ntag t\ntagger T <t@x> 1 +0000\n\nm\n",
            last.id, last.kind
        );
        objects.push(NewObject::new(ObjectKind::Tag, tag).unwrap());
    }
    let db = memory(objects.clone());
    assert_eq!(
        db.peel(objects[0].id).unwrap(),
        (commit.id, ObjectKind::Commit)
    );
    assert_eq!(
        db.peel(objects[3].id).unwrap(),
        (commit.id, ObjectKind::Commit)
    );
    assert_eq!(db.peel_to_commit(objects[20].id).unwrap(), commit.id);
    assert_eq!(db.tag(objects[1].id).unwrap().target, commit.id);
    assert!(matches!(
        db.peel(objects[100].id),
        Err(ReadError::TagsTooDeep { .. })
    ));
    assert!(matches!(
        db.peel_to_commit(tree),
        Err(ReadError::WrongKind { .. })
    ));
}
