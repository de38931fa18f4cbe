//! Memory does not follow the size of what passes through.

use std::io::Read;
use std::process::Command;
use std::sync::Arc;

use packhouse_object::{
    BlobSpool, EntryKind, ObjectId, ObjectKind, Pack, PackFileWriter, ReceiveLimits, Received,
    hash_object, receive_pack,
};

use super::crafted::{Crafted, Op, delta};
use super::history::Numbers;
use super::{cache, nothing};

/// A blob larger than what the process may take.
const BLOB_BYTES: u64 = 300 << 20;
const MOST_BYTES: u64 = 100 << 20;

/// The largest the process ever was.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// Half noise, half zeros, without end.
struct Content {
    noise: Vec<u8>,
    at: usize,
}

impl Content {
    fn new() -> Content {
        let mut noise = Numbers::new(1).bytes(1 << 20);
        noise.resize(2 << 20, 0);
        Content { noise, at: 0 }
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.noise[self.at..];
        let n = out.len().min(rest.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at = (self.at + n) % self.noise.len();
        Ok(n)
    }
}

#[test]
fn a_blob_larger_than_memory_is_spooled_written_received_and_read() {
    run_alone("the_process_that_is_measured");
}

#[test]
fn bases_that_wait_take_the_memory_that_is_counted() {
    run_alone("the_process_whose_bases_wait");
}

/// Other tests run in this process: the memory is that of one with nothing else to do.
fn run_alone(test: &str) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([&format!("packs::memory::{test}"), "--exact", "--ignored"])
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.status.success(),
        "{output}{}",
        String::from_utf8_lossy(&status.stderr)
    );
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
#[ignore = "run by a test above"]
fn the_process_that_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = BlobSpool::new(dir.path(), 1 << 20);
    let mut content = Content::new().take(BLOB_BYTES);
    let mut piece = vec![0; 100_000];
    loop {
        let n = content.read(&mut piece).unwrap();
        if n == 0 {
            break;
        }
        spool.write(&piece[..n]).unwrap();
    }
    let blob = spool.finish().unwrap();
    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    writer.add_spooled(&blob).unwrap();
    let written = writer.finish().unwrap();
    assert!(written.pack_bytes > BLOB_BYTES / 4);

    let mut writer = PackFileWriter::create(dir.path()).unwrap();
    let mut content = Content::new().take(BLOB_BYTES);
    assert_eq!(
        writer
            .add_stream(ObjectKind::Blob, BLOB_BYTES, &mut content)
            .unwrap(),
        blob.id
    );
    drop(writer);

    let mut input = std::fs::File::open(&written.pack).unwrap();
    let nothing = nothing();
    let limits = ReceiveLimits::default();
    let received = receive_pack(&mut input, dir.path(), &nothing, &limits, &()).unwrap();
    let Received::Large(received) = received else {
        panic!("the pack is large")
    };
    assert_eq!(received.key, written.key);

    let pack = Arc::new(Pack::open(&received.pack, &received.idx).unwrap());
    let mut stream = pack
        .stream(pack.lookup(&blob.id).unwrap(), &cache())
        .unwrap();
    assert_eq!(
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap(),
        BLOB_BYTES
    );

    let peak = peak_bytes();
    assert!(peak < MOST_BYTES, "the process took {peak} bytes");
}

/// How many bases wait at once, each of which something much larger was made.
const BASES: u32 = 64;
const BASE_BYTES: u64 = 60_000;

#[test]
#[ignore = "run by a test above"]
fn the_process_whose_bases_wait() {
    let content = |number: u32| -> Vec<u8> {
        let mut content = vec![0; BASE_BYTES as usize];
        content[..4].copy_from_slice(&number.to_le_bytes());
        content
    };
    let id = |number: u32| -> ObjectId { hash_object(ObjectKind::Blob, &content(number)).unwrap() };
    let mut crafted = Crafted::new();
    crafted.object(ObjectKind::Blob, &content(0));
    for number in 0..BASES {
        let base = id(number);
        // Taken in this order: a large object, the next base, and one for which this base has to wait.
        let large: Vec<Op<'_>> = (0..131).map(|_| Op::Copy(0, BASE_BYTES)).collect();
        let large = delta(BASE_BYTES, 131 * BASE_BYTES, &large);
        crafted.entry(EntryKind::RefDelta { base }, &large);
        let next = (number + 1).to_le_bytes();
        let next = [Op::Insert(&next), Op::Copy(4, BASE_BYTES - 4)];
        let next = delta(BASE_BYTES, BASE_BYTES, &next);
        crafted.entry(EntryKind::RefDelta { base }, &next);
        let last = delta(BASE_BYTES, 4, &[Op::Copy(0, 4)]);
        crafted.entry(EntryKind::RefDelta { base }, &last);
    }
    let pack = crafted.finish();
    assert!(pack.len() < 200_000, "{} bytes", pack.len());
    let dir = tempfile::tempdir().unwrap();
    let limits = ReceiveLimits::default();
    receive_pack(&mut &pack[..], dir.path(), &nothing(), &limits, &()).unwrap();
    let peak = peak_bytes();
    assert!(peak < MOST_BYTES, "the process took {peak} bytes");
}
