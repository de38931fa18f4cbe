//! Packs written here, read by Git.

use std::io::Read;

use packhouse_object::{
    BlobSpool, FinishedPack, NewObject, ObjectId, ObjectKind, Pack, PackFileWriter, SpooledContent,
    WritePackFileError, hash_object,
};
use tempfile::TempDir;

use super::cache;
use super::history::{self, Numbers};
use crate::git::Git;

/// Git's opinion of a pack, with nothing else in the repository.
fn verify(pack: &FinishedPack) -> Git {
    let git = Git::init();
    let target = git.path().join("objects/pack/pack-1.pack");
    std::fs::copy(&pack.pack, &target).unwrap();
    git.run(&["index-pack", "objects/pack/pack-1.pack"]);
    let expected = std::fs::read(target.with_extension("idx")).unwrap();
    assert_eq!(std::fs::read(&pack.idx).unwrap(), expected);
    git.run(&["verify-pack", "objects/pack/pack-1.pack"]);
    let bytes = std::fs::read(&pack.pack).unwrap();
    assert_eq!(pack.key, *blake3::hash(&bytes).as_bytes());
    assert_eq!(pack.pack_bytes, bytes.len() as u64);
    assert_eq!(pack.idx_bytes, expected.len() as u64);
    assert_eq!(pack.checksum.as_slice(), &bytes[bytes.len() - 20..]);
    git
}

#[test]
fn git_finds_nothing_wrong_with_a_whole_history() {
    let from = history::random(40, 60);
    let dir = TempDir::new().unwrap();
    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    let objects = from.objects();
    for (n, object) in objects.iter().enumerate() {
        let id = match n % 3 {
            0 => writer.add(object.kind, &object.data).unwrap(),
            1 => {
                let size = object.data.len() as u64;
                writer
                    .add_stream(object.kind, size, &mut &object.data[..])
                    .unwrap()
            }
            _ => {
                let object = NewObject::new(object.kind, object.data.clone()).unwrap();
                writer.add_new(&object).unwrap();
                object.id
            }
        };
        assert_eq!(id, object.id);
    }
    assert_eq!(writer.object_count(), objects.len() as u64);
    let pack = writer.finish().unwrap();
    assert_eq!(pack.objects, objects.len() as u64);
    let git = verify(&pack);
    let tip = from.id("main").to_string();
    git.run(&["update-ref", "refs/heads/main", &tip]);
    git.run(&["fsck", "--full", "--strict"]);
    assert_eq!(git.objects().len(), objects.len());
}

#[test]
fn an_object_is_written_once() {
    let dir = TempDir::new().unwrap();
    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    let noise = Numbers::new(1).bytes(500_000);
    let first = writer.add(ObjectKind::Blob, &noise).unwrap();
    let bytes = writer.bytes();
    assert!(writer.contains(&first));
    assert_eq!(writer.add(ObjectKind::Blob, &noise).unwrap(), first);
    let size = noise.len() as u64;
    assert_eq!(
        writer
            .add_stream(ObjectKind::Blob, size, &mut &noise[..])
            .unwrap(),
        first
    );
    writer
        .add_deflated(ObjectKind::Blob, size, first, &mut std::io::empty())
        .unwrap();
    assert_eq!((writer.object_count(), writer.bytes()), (1, bytes));
    // What comes after a stream that was taken back is in its place.
    writer.add(ObjectKind::Blob, b"small").unwrap();
    verify(&writer.finish().unwrap());
}

#[test]
fn a_stream_of_another_size_leaves_no_trace() {
    let dir = TempDir::new().unwrap();
    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    writer.add(ObjectKind::Blob, b"before").unwrap();
    let data = Numbers::new(2).bytes(400_000);
    for claimed in [0, 1, 399_999, 400_001, 10_000_000] {
        let error = writer
            .add_stream(ObjectKind::Blob, claimed, &mut &data[..])
            .unwrap_err();
        assert!(
            matches!(error, WritePackFileError::Size { expected, .. } if expected == claimed),
            "{error}"
        );
    }
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }
    let mut broken = data.chain(Broken);
    let error = writer
        .add_stream(ObjectKind::Blob, 1 << 20, &mut broken)
        .unwrap_err();
    assert!(matches!(error, WritePackFileError::Source(_)), "{error}");
    writer.add(ObjectKind::Blob, b"after").unwrap();
    let pack = writer.finish().unwrap();
    assert_eq!(pack.objects, 2);
    verify(&pack);
}

trait Chain {
    fn chain<R: Read>(&self, next: R) -> std::io::Chain<&[u8], R>;
}

impl Chain for Vec<u8> {
    fn chain<R: Read>(&self, next: R) -> std::io::Chain<&[u8], R> {
        Read::chain(&self[..], next)
    }
}

#[test]
fn an_empty_pack_is_a_pack() {
    let dir = TempDir::new().unwrap();
    let pack = PackFileWriter::create(dir.path())
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(pack.objects, 0);
    verify(&pack);
    assert_eq!(Pack::open(&pack.pack, &pack.idx).unwrap().iter().count(), 0);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    writer.add(ObjectKind::Blob, b"hello").unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn spool(
    dir: &TempDir,
    data: &[u8],
    memory_limit: usize,
    piece: usize,
) -> (ObjectId, bool, PackFileWriter) {
    let mut spool = BlobSpool::new(dir.path(), memory_limit);
    assert!(spool.is_empty());
    for piece in data.chunks(piece) {
        spool.write(piece).unwrap();
    }
    assert_eq!(spool.len(), data.len() as u64);
    let blob = spool.finish().unwrap();
    assert_eq!(blob.size, data.len() as u64);
    let in_memory = matches!(blob.content, SpooledContent::Memory(_));
    assert_eq!(blob.as_new_object().is_some(), in_memory);
    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    writer.add_spooled(&blob).unwrap();
    (blob.id, in_memory, writer)
}

#[test]
fn a_spooled_blob_is_the_same_from_memory_and_from_a_file() {
    let mut numbers = Numbers::new(3);
    let contents = [
        Vec::new(),
        b"x".to_vec(),
        numbers.text(20_000).into_bytes(),
        numbers.bytes(700_000),
        vec![0; 900_000],
    ];
    let dir = TempDir::new().unwrap();
    for data in &contents {
        for memory_limit in [0, data.len().saturating_sub(1), data.len(), 1 << 30] {
            for piece in [1 << 10, 300_000] {
                let (id, in_memory, writer) = spool(&dir, data, memory_limit, piece);
                assert_eq!(id, hash_object(ObjectKind::Blob, data).unwrap());
                assert_eq!(in_memory, data.len() <= memory_limit);
                let pack = writer.finish().unwrap();
                let opened = Pack::open(&pack.pack, &pack.idx).unwrap();
                let read = opened.read(opened.lookup(&id).unwrap(), &cache()).unwrap();
                assert_eq!(read.data, data);
            }
        }
    }
    let (_, _, writer) = spool(&dir, &contents[3], 0, 4096);
    verify(&writer.finish().unwrap());
}

#[test]
fn what_does_not_deflate_is_stored() {
    let dir = TempDir::new().unwrap();
    let noise = Numbers::new(4).bytes(4 << 20);
    let (_, _, writer) = spool(&dir, &noise, 0, 1 << 20);
    // Stored blocks cost five bytes in 64 KiB.
    let overhead = writer.bytes() - noise.len() as u64;
    assert!(overhead < 1024, "{overhead}");
    let mut streamed = PackFileWriter::create(dir.path()).unwrap();
    streamed
        .add_stream(ObjectKind::Blob, noise.len() as u64, &mut &noise[..])
        .unwrap();
    assert!(streamed.bytes() - (noise.len() as u64) < 1024);
    let text = Numbers::new(5).text(100_000).into_bytes();
    let mut deflated = PackFileWriter::create(dir.path()).unwrap();
    deflated
        .add_stream(ObjectKind::Blob, text.len() as u64, &mut &text[..])
        .unwrap();
    assert!(deflated.bytes() < text.len() as u64 / 2);
}
