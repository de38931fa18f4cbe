//! Indexes of several packs that are written here: the bytes are Git's, Git reads them with our bitmaps about them, and so do we.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use packhouse_object::pack::index::{IndexEntry, write_index};
use packhouse_object::{
    Bitmapped, BuildBitmapError, MultiPack, ObjectId, Pack, PackToIndex, Progress, ReadError,
    WriteMultiPackIndexError, build_bitmap, write_multi_pack_index,
};

use crate::bitmaps::{check_sent, rev_list, tips};
use crate::git::Git;
use crate::multi_packs::{multi_of, scattered};
use crate::repositories::{commits, database, pick};

/// The packs, in whatever order they are found.
fn to_index(git: &Git) -> Vec<PackToIndex> {
    let open = |path: &Path| {
        let (pack, idx) = (path.with_extension("pack"), path.with_extension("idx"));
        PackToIndex {
            modified: fs::metadata(&pack).unwrap().modified().unwrap(),
            pack: Arc::new(Pack::open(&pack, &idx).unwrap()),
        }
    };
    git.packs().iter().rev().map(|path| open(path)).collect()
}

/// Makes each pack another number of seconds old.
fn age(git: &Git, seed: u64) {
    for (at, path) in git.packs().iter().enumerate() {
        let seconds = pick(seed, at as u64, 3) as u64;
        let file = File::open(path.with_extension("pack")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(1000 + seconds))
            .unwrap();
    }
}

fn written(packs: &[PackToIndex], preferred: Option<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let index = write_multi_pack_index(packs, preferred, &mut bytes, &()).unwrap();
    assert_eq!(index.bytes, bytes.len() as u64);
    assert_eq!(index.checksum.as_slice(), &bytes[bytes.len() - 20..]);
    bytes
}

fn place(git: &Git) -> std::path::PathBuf {
    git.path().join("objects/pack/multi-pack-index")
}

/// What Git writes, which is removed again.
fn of_git(git: &Git, options: &[&str]) -> Vec<u8> {
    git.run(&[&["multi-pack-index", "write"], options].concat());
    let bytes = fs::read(place(git)).unwrap();
    for file in fs::read_dir(git.path().join("objects/pack")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name.starts_with("multi-pack-index") {
            fs::remove_file(file.path()).unwrap();
        }
    }
    bytes
}

/// Puts our own index into its place, with bitmaps.
fn write_ours(git: &Git, seed: u64) {
    let packs = to_index(git);
    let filled = (0..packs.len()).filter(|at| packs[*at].pack.object_count() > 0);
    let filled: Vec<usize> = filled.collect();
    let preferred = filled[pick(seed, 5, filled.len())];
    fs::write(place(git), written(&packs, Some(preferred))).unwrap();
    let db = database(git);
    let multi = multi_of(&db);
    let name = format!("multi-pack-index-{}.bitmap", multi.index().checksum());
    let mut bitmap = Vec::new();
    let stats = build_bitmap(&db, &Bitmapped::Packs(multi), &tips(git), &mut bitmap, &()).unwrap();
    assert!(stats.commits > 0);
    fs::write(place(git).with_file_name(name), bitmap).unwrap();
}

#[test]
fn the_index_is_the_one_git_writes() {
    for seed in 20..24 {
        let git = scattered(seed);
        age(&git, seed);
        let packs = to_index(&git);
        assert!(
            written(&packs, None) == of_git(&git, &[]),
            "seed {seed}, none preferred"
        );
        for preferred in 0..packs.len() {
            // Git refuses to prefer one that has nothing.
            if packs[preferred].pack.object_count() == 0 {
                continue;
            }
            let path = packs[preferred].pack.path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let option = format!("--preferred-pack={name}");
            assert!(
                written(&packs, Some(preferred)) == of_git(&git, &["--bitmap", &option]),
                "seed {seed}, {name} preferred"
            );
        }
    }
}

#[test]
fn git_and_we_read_our_index_with_our_bitmaps() {
    for seed in 24..28 {
        let git = scattered(seed);
        age(&git, seed);
        write_ours(&git, seed);
        git.run(&["multi-pack-index", "verify"]);
        git.run(&["fsck", "--full", "--strict", "--no-dangling"]);
        let counted = |option: &[&str]| {
            let count = ["rev-list", "--count", "--objects", "--all"];
            git.run(&[&count[..], option].concat())
        };
        assert_eq!(counted(&["--use-bitmap-index"]), counted(&[]));
        for commit in commits(&git).iter().step_by(7) {
            let commit = commit.to_string();
            let (ok, _, complaint) = git.try_run(&["rev-list", "--test-bitmap", &commit], b"");
            assert!(
                ok || complaint.contains("doesn't have an indexed bitmap"),
                "{complaint}"
            );
        }
        // Where it reuses what is packed, Git goes by the order of the objects.
        git.run(&["clone", "-q", "--bare", "--no-local", ".", "clone"]);
        git.run(&["-C", "clone", "fsck", "--full", "--strict"]);
        let db = database(&git);
        let multi = multi_of(&db);
        let bitmap = multi.bitmap().unwrap();
        for position in bitmap.commits() {
            let commit = multi.index().id(position).to_owned();
            let reached = bitmap.reached_from(position).unwrap().unwrap();
            let expected = rev_list(&git, &[], &[commit], &[]);
            assert_eq!(reached.count(), expected.len() as u64, "{commit}");
        }
        let all = commits(&git);
        check_sent(&git, &db, &tips(&git), &[]);
        let [want, have] = [3, 11].map(|place| all[pick(seed, place, all.len())]);
        check_sent(&git, &db, &[want], &[]);
        check_sent(&git, &db, &[want], &[have]);
    }
}

#[test]
fn what_is_not_packed_and_what_has_no_order_gets_no_bitmaps() {
    let git = scattered(28);
    let packs = to_index(&git);
    fs::write(place(&git), written(&packs, None)).unwrap();
    let db = database(&git);
    let build = |multi: Arc<MultiPack>| {
        build_bitmap(
            &db,
            &Bitmapped::Packs(multi),
            &tips(&git),
            &mut Vec::new(),
            &(),
        )
    };
    let built = build(multi_of(&db));
    assert!(matches!(built, Err(BuildBitmapError::NoOrder)), "{built:?}");
    // Without the packs that have the beginning of history.
    let main = git.id("main");
    let root = git.run(&["rev-list", "--max-parents=0", "main"]);
    let root = ObjectId::from_hex(&root[..40]).unwrap();
    let some: Vec<PackToIndex> = packs
        .into_iter()
        .filter(|one| one.pack.lookup(&root).is_none())
        .collect();
    let preferred = some.iter().position(|one| one.pack.lookup(&main).is_some());
    assert!(preferred.is_some());
    fs::write(place(&git), written(&some, preferred)).unwrap();
    let multi = MultiPack::open(&place(&git), db.packs()).unwrap();
    let built = build(Arc::new(multi));
    assert!(
        matches!(built, Err(BuildBitmapError::NotClosed { .. })),
        "{built:?}"
    );
}

/// Files that look like a pack of two objects, the second of which begins at `offset`, without what is between.
fn sparse(git: &Git, number: u8, offset: u64) {
    let id = |byte: u8| ObjectId::from_hex(format!("{byte:02x}").repeat(20).as_bytes()).unwrap();
    let checksum = id(number);
    let entry = |byte: u8, offset| IndexEntry {
        id: id(byte),
        crc32: 0,
        offset,
    };
    let entries = [entry(number, 12), entry(number + 0x80, offset)];
    let path = git
        .path()
        .join(format!("objects/pack/pack-{checksum}.pack"));
    let mut index = Vec::new();
    write_index(&entries, &checksum, &mut index).unwrap();
    fs::write(path.with_extension("idx"), index).unwrap();
    let pack = File::create(path).unwrap();
    pack.write_all_at(b"PACK\0\0\0\x02\0\0\0\x02", 0).unwrap();
    pack.write_all_at(checksum.as_slice(), offset + 100)
        .unwrap();
}

#[test]
fn large_offsets_are_written_as_git_writes_them() {
    let git = Git::init();
    let both = |what: &str| {
        let packs = to_index(&git);
        let ours = written(&packs, None);
        assert!(ours == of_git(&git, &[]), "{what}");
        fs::write(place(&git), ours).unwrap();
        let multi = multi_of(&database(&git));
        for pack in &packs {
            for (id, offset) in pack.pack.iter() {
                assert_eq!(multi.lookup(&id).unwrap().1, offset, "{what}");
            }
        }
        fs::remove_file(place(&git)).unwrap();
    };
    sparse(&git, 1, 1000);
    sparse(&git, 2, (1 << 31) + 5);
    both("offsets of 32 bits");
    sparse(&git, 3, 5 << 30);
    both("larger ones");
}

#[test]
fn what_cannot_be_indexed_is_refused() {
    let git = Git::init();
    let refused = |packs: &[PackToIndex], progress: &dyn Progress| {
        write_multi_pack_index(packs, None, &mut Vec::new(), progress).unwrap_err()
    };
    git.run(&["pack-objects", "-q", "objects/pack/pack"]);
    let empty = to_index(&git);
    assert_eq!(empty.len(), 1);
    let error = refused(&empty, &());
    assert!(matches!(error, WriteMultiPackIndexError::Empty), "{error}");
    // An entry where the pack has ended already.
    sparse(&git, 1, 1 << 20);
    let path = git.packs().into_iter().find(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("pack-01")
    });
    let pack = path.unwrap().with_extension("pack");
    let bytes = fs::read(&pack).unwrap();
    let cut = [&bytes[..12], &bytes[bytes.len() - 20..]].concat();
    fs::write(&pack, cut).unwrap();
    let error = refused(&to_index(&git), &());
    assert!(
        matches!(
            error,
            WriteMultiPackIndexError::Read(ReadError::Pack { .. })
        ),
        "{error}"
    );
    assert!(error.to_string().contains("0101"), "{error}");
}
