//! Packs that Git sends, received here and compared with what `git index-pack` makes of them.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use packhouse_object::{
    FinishedPack, NewObject, ObjectId, Pack, Progress, ReceiveError, ReceiveLimits, Received,
    receive_pack,
};
use tempfile::TempDir;

use super::{database, history, nothing};
use crate::git::Git;

/// Whatever arrives becomes a file.
fn no_small() -> ReceiveLimits {
    ReceiveLimits {
        small_pack_bytes: 0,
        ..ReceiveLimits::default()
    }
}

/// Hardly anything stays in memory: what is large goes through files.
fn little_memory() -> ReceiveLimits {
    ReceiveLimits {
        memory_bytes: 4 << 10,
        ..no_small()
    }
}

fn large(received: Received) -> FinishedPack {
    match received {
        Received::Large(pack) => pack,
        Received::Small(objects) => panic!("{} objects are small", objects.len()),
    }
}

fn small(received: Received) -> Vec<NewObject> {
    match received {
        Received::Small(objects) => objects,
        Received::Large(pack) => panic!("{pack:?} is large"),
    }
}

/// What `git index-pack` writes for a pack.
fn git_index(git: &Git, pack: &[u8]) -> Vec<u8> {
    let path = git.path().join("compare.pack");
    std::fs::write(&path, pack).unwrap();
    git.run(&["index-pack", "--strict", "compare.pack"]);
    std::fs::read(path.with_extension("idx")).unwrap()
}

fn compare_with_index_pack(git: &Git, bytes: &[u8], limits: &ReceiveLimits) {
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    let pack = large(receive_pack(&mut &bytes[..], dir.path(), &nothing, limits, &()).unwrap());
    assert_eq!(std::fs::read(&pack.pack).unwrap(), bytes);
    let index = std::fs::read(&pack.idx).unwrap();
    assert_eq!(index, git_index(git, bytes));
    assert_eq!(pack.pack_bytes, bytes.len() as u64);
    assert_eq!(pack.idx_bytes, index.len() as u64);
    assert_eq!(pack.key, *blake3::hash(bytes).as_bytes());
    assert_eq!(pack.checksum.as_slice(), &bytes[bytes.len() - 20..]);
    assert_eq!(files_in(&dir), 2, "the pack and its index");
    drop(pack);
    assert_eq!(files_in(&dir), 0);
}

fn files_in(dir: &TempDir) -> usize {
    std::fs::read_dir(dir.path()).unwrap().count()
}

fn full_pack(git: &Git, options: &[&str]) -> Vec<u8> {
    let mut args = vec![
        "pack-objects",
        "-q",
        "--stdout",
        "--revs",
        "--all",
        "--no-reuse-delta",
    ];
    args.extend(options);
    git.run(&args)
}

#[test]
fn packs_of_every_form_are_indexed_as_git_indexes_them() {
    for seed in 0..3 {
        let git = history::random(10 + seed, 40 + seed * 60);
        for options in [
            &["--delta-base-offset"][..],
            &[],
            &["--depth=4000"],
            &["--window=0"],
        ] {
            let bytes = full_pack(&git, options);
            compare_with_index_pack(&git, &bytes, &no_small());
            compare_with_index_pack(&git, &bytes, &little_memory());
        }
    }
}

#[test]
fn a_small_pack_becomes_objects() {
    let git = history::random(20, 30);
    git.run(&["repack", "-adq"]);
    let bytes = full_pack(&git, &["--delta-base-offset"]);
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    let limits = ReceiveLimits::default();
    let objects = small(receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &()).unwrap());
    assert_eq!(files_in(&dir), 0);
    let mut found: Vec<_> = objects
        .into_iter()
        .map(|object| (object.id, object.kind, object.data.to_vec()))
        .collect();
    found.sort();
    let expected = git
        .objects()
        .into_iter()
        .map(|object| (object.id, object.kind, object.data));
    assert!(found.into_iter().eq(expected));
}

#[test]
fn the_limits_of_small_are_kept() {
    let git = history::random(21, 10);
    git.run(&["repack", "-adq"]);
    let bytes = full_pack(&git, &["--delta-base-offset"]);
    let objects = git.objects();
    let content: u64 = objects.iter().map(|object| object.data.len() as u64).sum();
    let exact = ReceiveLimits {
        small_pack_bytes: bytes.len() as u64,
        small_objects: objects.len() as u64,
        small_object_bytes: content,
        ..ReceiveLimits::default()
    };
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    let receive =
        |limits| receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &()).unwrap();
    small(receive(exact.clone()));
    large(receive(ReceiveLimits {
        small_pack_bytes: exact.small_pack_bytes - 1,
        ..exact.clone()
    }));
    large(receive(ReceiveLimits {
        small_objects: exact.small_objects - 1,
        ..exact.clone()
    }));
    large(receive(ReceiveLimits {
        small_object_bytes: content - 1,
        ..exact
    }));
}

/// A history in two parts: what the receiver has, as a pack, and what it lacks.
struct TwoParts {
    git: Git,
    base: Arc<Pack>,
    base_dir: TempDir,
    old: ObjectId,
}

impl TwoParts {
    fn new(seed: u64, commits: u64, behind: u64) -> TwoParts {
        let git = history::random(seed, commits);
        let old = git.id(&format!("main~{behind}"));
        let bytes = git.run_with(
            &[
                "pack-objects",
                "-q",
                "--stdout",
                "--revs",
                "--delta-base-offset",
            ],
            format!("{old}\n").as_bytes(),
        );
        let base_dir = TempDir::new().unwrap();
        let nothing = nothing();
        let limits = no_small();
        let received =
            large(receive_pack(&mut &bytes[..], base_dir.path(), &nothing, &limits, &()).unwrap());
        let base = Arc::new(Pack::open(&received.pack, &received.idx).unwrap());
        TwoParts {
            git,
            base,
            base_dir,
            old,
        }
    }

    fn push(&self, options: &[&str]) -> Vec<u8> {
        let mut args = vec!["pack-objects", "-q", "--stdout", "--revs"];
        args.extend(options);
        self.git
            .run_with(&args, format!("main\n^{}\n", self.old).as_bytes())
    }
}

#[test]
fn a_thin_pack_is_given_the_bases_it_lacks() {
    for (seed, options) in [
        (30, &["--thin", "--delta-base-offset"][..]),
        (31, &["--thin"]),
        (32, &["--thin", "--no-reuse-delta"]),
    ] {
        let parts = TwoParts::new(seed, 120, 25);
        let bytes = parts.push(options);
        let claimed = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
        for limits in [no_small(), little_memory()] {
            let base = database(vec![Arc::clone(&parts.base)]);
            let dir = parts.base_dir.path();
            let pack = large(receive_pack(&mut &bytes[..], dir, &base, &limits, &()).unwrap());
            assert!(pack.objects > u64::from(claimed), "the pack was thin");
            // Git agrees, with no other object in sight.
            let written = std::fs::read(&pack.pack).unwrap();
            let other = Git::init();
            std::fs::write(other.path().join("compare.pack"), &written).unwrap();
            other.run(&["index-pack", "compare.pack"]);
            let index = std::fs::read(other.path().join("compare.idx")).unwrap();
            assert_eq!(std::fs::read(&pack.idx).unwrap(), index);
            other.run(&["verify-pack", "compare.idx"]);
            assert_eq!(pack.key, *blake3::hash(&written).as_bytes());
            assert_eq!(pack.pack_bytes, written.len() as u64);
            every_object_is_here(&parts.git, vec![Arc::clone(&parts.base), open(&pack)]);
        }
    }
}

fn open(pack: &FinishedPack) -> Arc<Pack> {
    Arc::new(Pack::open(&pack.pack, &pack.idx).unwrap())
}

fn every_object_is_here(git: &Git, packs: Vec<Arc<Pack>>) {
    let all = database(packs);
    let reachable = git.run(&["rev-list", "--objects", "--no-object-names", "main"]);
    for line in reachable
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let id = ObjectId::from_hex(line).unwrap();
        assert!(all.read(&id).unwrap().is_some(), "{id}");
    }
}

#[test]
fn a_small_thin_pack_becomes_its_objects_alone() {
    let parts = TwoParts::new(33, 60, 3);
    let bytes = parts.push(&["--thin", "--delta-base-offset"]);
    let claimed = u32::from_be_bytes(bytes[8..12].try_into().unwrap());
    let base = database(vec![Arc::clone(&parts.base)]);
    let dir = TempDir::new().unwrap();
    let limits = ReceiveLimits::default();
    let objects = small(receive_pack(&mut &bytes[..], dir.path(), &base, &limits, &()).unwrap());
    assert_eq!(objects.len(), claimed as usize);
    for object in &objects {
        let expected = git_object(&parts.git, object.id);
        assert_eq!(object.data, expected);
    }
}

fn git_object(git: &Git, id: ObjectId) -> Vec<u8> {
    let name = id.to_string();
    let kind = git.run(&["cat-file", "-t", &name]);
    git.run(&[
        "cat-file",
        std::str::from_utf8(kind.trim_ascii()).unwrap(),
        &name,
    ])
}

#[test]
fn a_thin_pack_without_its_bases_is_refused() {
    let parts = TwoParts::new(34, 60, 10);
    let bytes = parts.push(&["--thin", "--delta-base-offset"]);
    let nothing = nothing();
    for limits in [no_small(), ReceiveLimits::default()] {
        let dir = TempDir::new().unwrap();
        let error = receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &()).unwrap_err();
        assert!(matches!(error, ReceiveError::MissingBase { .. }), "{error}");
        assert_eq!(files_in(&dir), 0);
    }
}

#[test]
fn a_pack_without_the_history_it_builds_on_is_refused() {
    let parts = TwoParts::new(35, 60, 10);
    let bytes = parts.push(&["--delta-base-offset"]);
    let nothing = nothing();
    let dir = TempDir::new().unwrap();
    for limits in [no_small(), ReceiveLimits::default()] {
        let error = receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &()).unwrap_err();
        assert!(
            matches!(error, ReceiveError::MissingObject { .. }),
            "{error}"
        );
    }
    let base = database(vec![Arc::clone(&parts.base)]);
    receive_pack(&mut &bytes[..], dir.path(), &base, &no_small(), &()).unwrap();
}

#[test]
fn an_empty_pack_is_fine() {
    let bytes = super::crafted::Crafted::new().finish();
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    let limits = ReceiveLimits::default();
    assert!(
        small(receive_pack(&mut &bytes[..], dir.path(), &nothing, &limits, &()).unwrap())
            .is_empty()
    );
}

/// Gives a byte at a time, as the slowest of networks.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len().min(1);
        self.0.read(&mut out[..n])
    }
}

#[test]
fn nothing_is_read_beyond_the_pack() {
    let git = history::random(36, 20);
    let bytes = full_pack(&git, &["--delta-base-offset"]);
    // One whose last entry is large, and hardly deflates, and one whose last deflates well.
    let mut numbers = history::Numbers::new(1);
    let [noise, zeros] = [numbers.bytes(300_000), vec![0; 3_000_000]].map(|data| {
        let mut crafted = super::crafted::Crafted::new();
        crafted.object(packhouse_object::ObjectKind::Blob, &data);
        crafted.finish()
    });
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    for bytes in [bytes, noise, zeros, super::crafted::Crafted::new().finish()] {
        for limits in [no_small(), ReceiveLimits::default()] {
            let more = [&bytes[..], b"what comes next"].concat();
            let mut input = &more[..];
            receive_pack(&mut input, dir.path(), &nothing, &limits, &()).unwrap();
            assert_eq!(input, b"what comes next");
            let mut input = Dribble(&more);
            receive_pack(&mut input, dir.path(), &nothing, &limits, &()).unwrap();
            assert_eq!(input.0, b"what comes next");
        }
    }
}

struct Watch {
    received: AtomicU64,
    resolved: AtomicU64,
    asked: AtomicU64,
    cancel_at: u64,
}

impl Progress for Watch {
    fn receiving(&self, done: u64, total: u64) {
        assert!(done <= total);
        self.received.fetch_max(done, Ordering::Relaxed);
    }

    fn resolving(&self, done: u64, total: u64) {
        assert!(done <= total);
        self.resolved.fetch_max(done, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.cancel_at
    }
}

#[test]
fn progress_is_told_and_the_caller_may_stop_at_any_time() {
    let git = history::random(37, 400);
    let bytes = full_pack(&git, &["--delta-base-offset"]);
    let count = u64::from(u32::from_be_bytes(bytes[8..12].try_into().unwrap()));
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    let run = |cancel_at| {
        let (received, resolved, asked) = Default::default();
        let watch = Watch {
            received,
            resolved,
            asked,
            cancel_at,
        };
        (
            receive_pack(&mut &bytes[..], dir.path(), &nothing, &no_small(), &watch),
            watch,
        )
    };
    let (result, watch) = run(u64::MAX);
    drop(result.unwrap());
    assert_eq!(watch.received.into_inner(), count);
    assert!(watch.resolved.into_inner() > 0);
    let asked = watch.asked.into_inner();
    assert!(asked > 5, "{asked}");
    for cancel_at in 0..asked {
        let (result, watch) = run(cancel_at);
        match result {
            Err(error) => assert!(matches!(error, ReceiveError::Cancelled), "{error}"),
            // Threads that share the work otherwise may ask less often.
            Ok(received) => {
                assert!(watch.asked.into_inner() <= cancel_at);
                drop(received);
            }
        }
        assert_eq!(files_in(&dir), 0);
    }
}

#[test]
fn an_error_of_the_input_is_passed_on() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(std::io::Error::other("the cable was cut")),
                n => Ok(n),
            }
        }
    }
    let git = history::random(38, 5);
    let bytes = full_pack(&git, &[]);
    let dir = TempDir::new().unwrap();
    let nothing = nothing();
    let mut input = Broken(&bytes[..bytes.len() / 2]);
    let limits = ReceiveLimits::default();
    let error = receive_pack(&mut input, dir.path(), &nothing, &limits, &()).unwrap_err();
    assert!(matches!(error, ReceiveError::Input(_)), "{error}");
}
