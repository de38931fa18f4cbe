//! Indexes of several packs, and bitmaps about all of them, that Git writes.

use std::sync::Arc;

use bytes::Bytes;
use packhouse_object::{
    Bitmapped, CountLimits, Database, IdSet, MultiPack, MultiPackIndex, ObjectFilter, ObjectKind,
    Pack, bitmapped, count_limited_to_send, count_to_send, unreached_commits,
};
use packhouse_testkit::history::HistoryOptions;
use proptest::prelude::*;

use crate::bitmaps::{Ids, check_sent, rev_list, tips, wanted};
use crate::git::Git;
use crate::repositories::{commits, database, pick, random};

/// A history in three or four packs, some objects in several of them.
pub(crate) fn scattered(seed: u64) -> Git {
    let git = random(&HistoryOptions {
        commits: 60,
        changes: 8,
        ..HistoryOptions::small(seed)
    });
    let old = git.packs();
    let all = commits(&git);
    let heads: String = tips(&git).iter().map(|tip| format!("{tip}\n")).collect();
    let parts = [
        format!("{}\n", all[40]),
        format!("{}\n^{}\n", all[20], all[40]),
        format!("{}\n^{}\n", all[10], all[30]),
        format!("{heads}^{}\n^{}\n", all[40], all[20]),
    ];
    for part in parts {
        let arguments = [
            "pack-objects",
            "-q",
            "--revs",
            "--delta-base-offset",
            "objects/pack/pack",
        ];
        git.run_with(&arguments, part.as_bytes());
    }
    for ending in ["pack", "idx"] {
        std::fs::remove_file(old[0].with_extension(ending)).unwrap();
    }
    git.run(&["fsck", "--connectivity-only"]);
    assert!(git.packs().len() >= 3);
    git
}

pub(crate) fn multi_of(db: &Database) -> Arc<MultiPack> {
    db.multi_packs()[0].clone()
}

#[test]
fn every_object_is_found_by_the_index_of_all_packs() {
    let git = scattered(1);
    assert!(database(&git).multi_packs().is_empty());
    git.run(&["multi-pack-index", "write"]);
    let db = database(&git);
    let multi = multi_of(&db);
    assert_eq!(multi.packs().len(), 4);
    let objects = git.objects();
    assert_eq!(multi.index().count() as usize, objects.len());
    for object in &objects {
        let (number, offset) = multi.lookup(&object.id).unwrap();
        let pack = &multi.packs()[number];
        assert_eq!(pack.lookup(&object.id), Some(offset), "{}", object.id);
        let (place, found) = db.place_in_packs(&object.id).unwrap();
        let found = db.packs()[place].id_at(found);
        assert_eq!(found, Some(object.id));
        assert_eq!(db.read(&object.id).unwrap().unwrap().data, object.data);
    }
    assert!(bitmapped(&db).is_none());
    // A pack that came later is looked into as well, and one that is gone makes the index useless.
    let later = git.run_with(&["hash-object", "-w", "--stdin"], b"later");
    let arguments = ["pack-objects", "-q", "objects/pack/pack"];
    git.run_with(&arguments, &later);
    git.run(&["prune-packed"]);
    let db = database(&git);
    assert_eq!((db.packs().len(), db.multi_packs().len()), (5, 1));
    let later = std::str::from_utf8(later.trim_ascii()).unwrap();
    assert!(
        db.contains(&later.parse::<packhouse_object::ObjectId>().unwrap())
            .unwrap()
    );
    let some = &db.packs()[1..];
    assert!(db.with_packs(some.to_vec()).multi_packs().is_empty());
    assert_eq!(db.with_packs(db.packs().to_vec()).multi_packs().len(), 1);
}

#[test]
fn bitmaps_about_several_packs_are_read_and_used() {
    for seed in 2..5 {
        let git = scattered(seed);
        git.run(&["multi-pack-index", "write", "--bitmap"]);
        let db = database(&git);
        let multi = multi_of(&db);
        let bitmap = multi.bitmap().unwrap();
        assert!(bitmap.commit_count() > 0);
        let found = bitmapped(&db).unwrap();
        assert!(matches!(found, Bitmapped::Packs(_)));
        let all = commits(&git);
        // Everything is in the packs, and so nothing is walked to.
        let to_send = count_to_send(&db, &wanted(&tips(&git), &[]), &()).unwrap();
        assert!(to_send.others().is_empty() && to_send.whole_pack().is_none());
        let reached = rev_list(&git, &[], &tips(&git), &[]);
        assert_eq!(to_send.len(), reached.len() as u64);
        check_sent(&git, &db, &tips(&git), &[]);
        for place in 0..3 {
            let wants = [all[pick(seed, place, all.len())]];
            let haves = [all[pick(seed, place + 7, all.len())]];
            check_sent(&git, &db, &wants, &[]);
            check_sent(&git, &db, &wants, &haves);
        }
        let limits = CountLimits {
            filter: ObjectFilter::blobs_below(0),
            ..CountLimits::default()
        };
        let asked = wanted(&tips(&git), &[]);
        let without_blobs = count_limited_to_send(&db, &asked, &limits, &()).unwrap();
        let blobs = git.objects().into_iter();
        let blobs = blobs.filter(|one| one.kind == ObjectKind::Blob && reached.contains(&one.id));
        assert_eq!(to_send.len() - without_blobs.len(), blobs.count() as u64);
    }
}

#[test]
fn what_repacks_leave_behind_is_used() {
    let git = scattered(6);
    git.run(&["config", "repack.writeBitmaps", "true"]);
    git.run(&["repack", "-q", "-d", "--geometric=2", "--write-midx", "-b"]);
    let db = database(&git);
    let multi = multi_of(&db);
    assert!(multi.bitmap().is_some());
    check_sent(&git, &db, &tips(&git), &[]);
    // A bitmap that is for another index is none.
    let bitmap = format!("multi-pack-index-{}.bitmap", multi.index().checksum());
    let bitmap = git.path().join("objects/pack").join(bitmap);
    let bytes = std::fs::read(&bitmap).unwrap();
    std::fs::remove_file(&bitmap).unwrap();
    let mut other = bytes.clone();
    other[12] ^= 1;
    std::fs::write(&bitmap, &other).unwrap();
    assert!(bitmapped(&database(&git)).is_none());
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&bitmap, &damaged).unwrap();
    let db = database(&git);
    assert!(bitmapped(&db).is_none());
    let to_send = count_to_send(&db, &wanted(&tips(&git), &[]), &()).unwrap();
    assert_eq!(to_send.others().len() as u64, to_send.len());
}

#[test]
fn what_refs_reach_is_known_with_bitmaps_of_every_kind_and_without() {
    for seed in 7..10 {
        let git = scattered(seed);
        let all = commits(&git);
        // Refs reach it, but not as a commit.
        let tree = git.id(&format!("{}^{{tree}}", all[0]));
        let check = |is_bitmapped: bool| {
            let db = database(&git);
            assert_eq!(bitmapped(&db).is_some(), is_bitmapped);
            for place in 0..8 {
                let starts = [
                    all[pick(seed, place, all.len())],
                    all[pick(seed, place + 20, all.len())],
                ];
                let reached = rev_list(&git, &[], &starts, &[]);
                let wanted: IdSet = all.iter().copied().chain([tree]).collect();
                let none = IdSet::default();
                let left = unreached_commits(&db, &wanted, &starts, &none, &()).unwrap();
                let expected: Ids = all
                    .iter()
                    .copied()
                    .filter(|id| !reached.contains(id))
                    .chain([tree])
                    .collect();
                assert_eq!(left.into_iter().collect::<Ids>(), expected);
            }
        };
        check(false);
        git.run(&["multi-pack-index", "write", "--bitmap"]);
        check(true);
        git.run(&["repack", "-adbq"]);
        check(true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_hostile_index_does_no_harm(changes: Vec<(prop::sample::Index, u8)>, cut in any::<prop::sample::Index>(), is_cut: bool) {
        static MADE: std::sync::OnceLock<(Git, Vec<u8>)> = std::sync::OnceLock::new();
        let (git, good) = MADE.get_or_init(|| {
            let git = scattered(11);
            git.run(&["multi-pack-index", "write", "--bitmap"]);
            let bytes = std::fs::read(git.path().join("objects/pack/multi-pack-index")).unwrap();
            (git, bytes)
        });
        let mut bytes = good.clone();
        // The checksum, by which the bitmaps know it, stays.
        let end = bytes.len() - 20;
        for (at, byte) in changes {
            bytes[at.index(end)] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("multi-pack-index");
        std::fs::write(&path, &bytes).unwrap();
        let _ = MultiPackIndex::from_bytes(Bytes::from(bytes));
        for file in std::fs::read_dir(git.path().join("objects/pack")).unwrap() {
            let file = file.unwrap();
            if file.file_name() != "multi-pack-index" {
                std::fs::hard_link(file.path(), folder.path().join(file.file_name())).unwrap();
            }
        }
        let packs: Vec<Arc<Pack>> = git.packs().iter().map(|pack| {
            let pack = folder.path().join(pack.file_name().unwrap());
            Arc::new(Pack::open(&pack.with_extension("pack"), &pack.with_extension("idx")).unwrap())
        }).collect();
        if let Some(multi) = MultiPack::open(&path, &packs) {
            let db = database(git).with_packs(packs).with_multi_packs(vec![Arc::new(multi)]);
            for id in commits(git) {
                let _ = db.read(&id);
            }
            let _ = count_to_send(&db, &wanted(&tips(git), &[]), &()).map(|found| {
                packhouse_object::write_to_send(&db, &found, &packhouse_object::PackOptions { ofs_delta: true, thin: false }, &mut std::io::sink(), &())
            });
        }
    }
}
