//! Bitmaps: Git reads ours, we read Git's, and what they say is what a walk finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use packhouse_object::pack::index::{Index, write_reverse_index};
use packhouse_object::{
    BitmapError, BitmapIndex, Bitmapped, BuildBitmapError, CountLimits, Counted, Database,
    NewObject, ObjectFilter, ObjectId, ObjectKind, Pack, PackOptions, Wanted, bitmapped,
    build_bitmap, count_limited_to_send, count_objects, count_to_send, write_to_send,
};
use packhouse_testkit::history::HistoryOptions;
use proptest::prelude::*;

use crate::git::Git;
use crate::repositories::{commits, database, ids, pick, random};

pub(crate) type Ids = BTreeSet<ObjectId>;

pub(crate) fn rev_list(git: &Git, options: &[&str], wants: &[ObjectId], haves: &[ObjectId]) -> Ids {
    let mut input: Vec<String> = wants.iter().map(ObjectId::to_string).collect();
    input.extend(haves.iter().map(|id| format!("^{id}")));
    let arguments = [&["rev-list", "--objects", "--stdin"][..], options].concat();
    let output = git.run_with(&arguments, input.join("\n").as_bytes());
    ids(&output).into_iter().collect()
}

/// What `wants` reach and `haves` do not, object for object: Git's own answer without bitmaps has a few more.
fn difference(git: &Git, wants: &[ObjectId], haves: &[ObjectId]) -> Ids {
    let reached = rev_list(git, &[], wants, &[]);
    match haves {
        [] => reached,
        _ => &reached - &rev_list(git, &[], haves, &[]),
    }
}

/// The refs' targets.
pub(crate) fn tips(git: &Git) -> Vec<ObjectId> {
    ids(&git.run(&["for-each-ref", "--format=%(objectname)"]))
}

/// All in one pack, with Git's bitmaps.
fn repacked(options: &HistoryOptions, config: &[&str]) -> Git {
    let git = random(options);
    for pair in config {
        let (name, value) = pair.split_once('=').unwrap();
        git.run(&["config", name, value]);
    }
    git.run(&["repack", "-adbfq", "--depth=20"]);
    git
}

/// The one pack of a repository.
fn only_pack(git: &Git) -> Arc<Pack> {
    let packs = git.packs();
    assert_eq!(packs.len(), 1);
    let open = Pack::open(
        &packs[0].with_extension("pack"),
        &packs[0].with_extension("idx"),
    );
    Arc::new(open.unwrap())
}

/// Puts our own bitmap in the place of Git's.
fn write_ours(git: &Git) {
    let pack = Bitmapped::Pack(only_pack(git));
    let mut ours = Vec::new();
    let stats = build_bitmap(&database(git), &pack, &tips(git), &mut ours, &()).unwrap();
    assert!(stats.commits > 0);
    assert_eq!(stats.bytes, ours.len() as u64);
    let path = git.packs()[0].with_extension("bitmap");
    let _ = std::fs::remove_file(&path);
    std::fs::write(path, ours).unwrap();
}

/// What every commit with a bitmap reaches is what a walk from it finds, and kinds are right.
fn check_index(git: &Git) -> usize {
    let pack = only_pack(git);
    let bitmap = pack.bitmap().unwrap();
    assert!(bitmap.is_intact());
    for kind in ObjectKind::ALL {
        let found: Ids = bitmap
            .kind(kind)
            .unwrap()
            .iter()
            .map(|bit| pack.id_of_bit(bit))
            .collect();
        let objects = git
            .objects()
            .into_iter()
            .filter(|object| object.kind == kind);
        assert_eq!(found, objects.map(|object| object.id).collect::<Ids>());
    }
    for position in bitmap.commits() {
        let commit = pack.index().id(position).to_owned();
        let reached = bitmap.reached_from(position).unwrap().unwrap();
        let reached: Ids = reached.iter().map(|bit| pack.id_of_bit(bit)).collect();
        assert_eq!(reached, rev_list(git, &[], &[commit], &[]));
    }
    bitmap.commit_count()
}

#[test]
fn what_git_writes_is_read() {
    let small = HistoryOptions::small(1);
    let plain = check_index(&repacked(&small, &[]));
    let no_hashes = repacked(&small, &["pack.writeBitmapHashCache=false"]);
    assert_eq!(check_index(&no_hashes), plain);
    assert_eq!(only_pack(&no_hashes).bitmap().unwrap().name_hash(0), None);
    // Git of before 2.38 does not know the table, and writes none.
    let table = repacked(
        &small,
        &[
            "pack.writeBitmapLookupTable=true",
            "pack.writeReverseIndex=true",
        ],
    );
    assert_eq!(check_index(&table), plain);
    let pack = only_pack(&table);
    assert!(
        (0..pack.index().count()).all(|position| pack
            .bitmap()
            .unwrap()
            .name_hash(position)
            .is_some())
    );
}

#[test]
fn git_reads_what_is_written() {
    for seed in 0..4 {
        let git = repacked(
            &HistoryOptions {
                commits: 150,
                ..HistoryOptions::small(seed)
            },
            &[],
        );
        write_ours(&git);
        assert!(check_index(&git) >= 100);
        git.run(&["fsck", "--full", "--strict", "--no-dangling"]);
        for commit in commits(&git).iter().step_by(17) {
            let commit = commit.to_string();
            let (ok, _, complaint) = git.try_run(&["rev-list", "--test-bitmap", &commit], b"");
            assert!(
                ok || complaint.contains("doesn't have an indexed bitmap"),
                "{complaint}"
            );
            let count = |option: &[&str]| {
                git.run(
                    &[
                        &["rev-list", "--count", "--objects", commit.as_str()][..],
                        option,
                    ]
                    .concat(),
                )
            };
            assert_eq!(count(&["--use-bitmap-index"]), count(&[]));
        }
        git.run(&["clone", "-q", "--bare", "--no-local", ".", "clone"]);
        git.run(&["-C", "clone", "fsck", "--full", "--strict"]);
    }
}

#[test]
fn the_reverse_index_is_the_one_git_writes() {
    let git = repacked(&HistoryOptions::small(2), &["pack.writeReverseIndex=true"]);
    let path = &git.packs()[0];
    let index = Index::open(&path.with_extension("idx")).unwrap().unwrap();
    let mut ours = Vec::new();
    write_reverse_index(&index, &mut ours).unwrap();
    assert_eq!(ours, std::fs::read(path.with_extension("rev")).unwrap());
    let with = only_pack(&git).iter_by_offset().collect::<Vec<_>>();
    // One that is damaged is passed over.
    let place = path.with_extension("rev");
    std::fs::remove_file(&place).unwrap();
    ours[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    std::fs::write(&place, ours).unwrap();
    assert_eq!(only_pack(&git).iter_by_offset().collect::<Vec<_>>(), with);
}

#[test]
fn a_pack_that_lacks_what_it_reaches_gets_no_bitmap() {
    let git = random(&HistoryOptions::small(3));
    let main = git.id("main");
    let list: Vec<String> = rev_list(&git, &[], &[main], &[])
        .iter()
        .map(ObjectId::to_string)
        .collect();
    let blob = git
        .objects()
        .into_iter()
        .find(|object| object.kind == ObjectKind::Blob && list.contains(&object.id.to_string()));
    let blob = blob.unwrap().id;
    let left_out = blob.to_string();
    let kept: Vec<_> = list.into_iter().filter(|id| *id != left_out).collect();
    let stem = git.path().join("part");
    let name = git.run_with(
        &["pack-objects", "-q", stem.to_str().unwrap()],
        kept.join("\n").as_bytes(),
    );
    let name = String::from_utf8(name).unwrap();
    let path = git.path().join(format!("part-{}", name.trim()));
    let pack = Pack::open(&path.with_extension("pack"), &path.with_extension("idx")).unwrap();
    let pack = Bitmapped::Pack(Arc::new(pack));
    let built = build_bitmap(&database(&git), &pack, &[main], &mut Vec::new(), &());
    assert!(
        matches!(built, Err(BuildBitmapError::NotClosed { id }) if id == blob),
        "{built:?}"
    );
}

pub(crate) fn wanted(wants: &[ObjectId], haves: &[ObjectId]) -> Wanted {
    Wanted {
        wants: wants.to_vec(),
        haves: haves.to_vec(),
        thin: true,
        ..Wanted::default()
    }
}

fn set(counted: &Counted) -> Ids {
    let set: Ids = counted.ids.iter().copied().collect();
    assert_eq!(set.len(), counted.ids.len(), "each object once");
    set
}

/// Some of the newest commits are in a pack of their own, and the very newest in none.
fn with_tail(seed: u64) -> (Git, Database, Vec<ObjectId>) {
    let options = HistoryOptions {
        commits: 60,
        branches: 2,
        ..HistoryOptions::small(seed)
    };
    let git = random(&options);
    let all = commits(&git);
    let old = all[all.len() / 3];
    git.run(&["update-ref", "refs/heads/old", &old.to_string()]);
    let reached: Vec<String> = rev_list(&git, &[], &[old], &[])
        .iter()
        .map(ObjectId::to_string)
        .collect();
    let rest: Vec<String> = (&git
        .objects()
        .iter()
        .map(|object| object.id)
        .collect::<Ids>()
        - &rev_list(&git, &[], &[old], &[]))
        .iter()
        .map(ObjectId::to_string)
        .collect();
    let before = git.packs();
    let stem = git.path().join("objects/pack/pack");
    let stem = stem.to_str().unwrap();
    let pack = |list: &[String]| {
        git.run_with(
            &["pack-objects", "-q", "--delta-base-offset", stem],
            list.join("\n").as_bytes(),
        )
    };
    let name = String::from_utf8(pack(&reached)).unwrap();
    let (loose, packed) = rest.split_at(rest.len() / 2);
    pack(packed);
    let contents: Vec<_> = git
        .objects()
        .into_iter()
        .filter(|object| loose.contains(&object.id.to_string()))
        .collect();
    for path in before {
        for suffix in ["pack", "idx"] {
            let _ = std::fs::remove_file(path.with_extension(suffix));
        }
    }
    let path = git
        .path()
        .join(format!("objects/pack/pack-{}", name.trim()));
    let main = Pack::open(&path.with_extension("pack"), &path.with_extension("idx")).unwrap();
    let mut ours = Vec::new();
    let packed = Bitmapped::Pack(Arc::new(main));
    build_bitmap(&database(&git), &packed, &[old], &mut ours, &()).unwrap();
    std::fs::write(path.with_extension("bitmap"), ours).unwrap();
    let objects = contents
        .into_iter()
        .map(|object| NewObject::new(object.kind, object.data).unwrap());
    let db = database(&git).with_objects(objects);
    // For git to see everything again.
    for object in db_objects(&db, loose) {
        git.run_with(
            &["hash-object", "-w", "--stdin", "-t", object.0.as_str()],
            &object.1,
        );
    }
    (git, db, all)
}

fn db_objects(db: &Database, ids: &[String]) -> Vec<(ObjectKind, Vec<u8>)> {
    let read = |id: &String| {
        let object = db
            .read(&ObjectId::from_hex(id.as_bytes()).unwrap())
            .unwrap()
            .unwrap();
        (object.kind, object.data.to_vec())
    };
    ids.iter().map(read).collect()
}

const EVERY_OPTION: [PackOptions; 4] = [
    PackOptions {
        ofs_delta: true,
        thin: true,
    },
    PackOptions {
        ofs_delta: true,
        thin: false,
    },
    PackOptions {
        ofs_delta: false,
        thin: true,
    },
    PackOptions {
        ofs_delta: false,
        thin: false,
    },
];

/// What is sent for these wants and haves is right: counted, and as a pack that another repository takes.
pub(crate) fn check_sent(git: &Git, db: &Database, wants: &[ObjectId], haves: &[ObjectId]) {
    assert!(bitmapped(db).is_some());
    let needed = difference(git, wants, haves);
    let counted = set(&count_objects(db, &wanted(wants, haves), &()).unwrap());
    let reached = rev_list(git, &[], wants, &[]);
    assert!(counted.is_superset(&needed) && counted.is_subset(&reached));
    let to_send = count_to_send(db, &wanted(wants, haves), &()).unwrap();
    assert_eq!(to_send.len(), counted.len() as u64);
    // Without haves there is nothing that a thin pack could build on.
    let of_use = |options: &PackOptions| !options.thin || !haves.is_empty();
    for options in EVERY_OPTION.into_iter().filter(of_use) {
        let other = Git::init();
        if !haves.is_empty() {
            let list = rev_list(git, &[], haves, &[]);
            let list: Vec<_> = list.iter().map(ObjectId::to_string).collect();
            let theirs = git.run_with(
                &["pack-objects", "-q", "--stdout"],
                list.join("\n").as_bytes(),
            );
            other.run_with(&["unpack-objects", "-q"], &theirs);
        }
        let mut pack = Vec::new();
        let stats = write_to_send(db, &to_send, &options, &mut pack, &()).unwrap();
        assert_eq!(
            (stats.objects, stats.bytes),
            (to_send.len(), pack.len() as u64)
        );
        let fix = if options.thin {
            "--fix-thin"
        } else {
            "--strict"
        };
        other.run_with(&["index-pack", "--stdin", fix], &pack);
        for (at, want) in wants.iter().enumerate() {
            other.run(&["update-ref", &format!("refs/got/{at}"), &want.to_string()]);
        }
        other.run(&["fsck", "--full", "--strict", "--no-dangling"]);
        assert!(
            ids(&other.run(&[
                "cat-file",
                "--batch-all-objects",
                "--batch-check=%(objectname)"
            ]))
            .into_iter()
            .collect::<Ids>()
            .is_superset(&reached)
        );
    }
}

#[test]
fn a_full_clone_is_the_pack_itself() {
    let git = repacked(&HistoryOptions::small(4), &[]);
    let db = database(&git);
    let to_send = count_to_send(&db, &wanted(&tips(&git), &[]), &()).unwrap();
    let mut sent = Vec::new();
    let options = PackOptions {
        ofs_delta: true,
        thin: false,
    };
    let stats = write_to_send(&db, &to_send, &options, &mut sent, &()).unwrap();
    assert!(sent == std::fs::read(git.packs()[0].with_extension("pack")).unwrap());
    assert_eq!(stats.pack_reused, stats.objects);
}

#[test]
fn parts_of_a_pack_are_sent_whole() {
    for seed in 5..7 {
        let git = repacked(
            &HistoryOptions {
                commits: 50,
                changes: 8,
                ..HistoryOptions::small(seed)
            },
            &[],
        );
        let db = database(&git);
        let all = commits(&git);
        for place in 0..3 {
            let wants = [
                all[pick(seed, place, all.len())],
                all[pick(seed, place + 9, all.len())],
            ];
            check_sent(&git, &db, &wants, &[]);
        }
        check_sent(&git, &db, &tips(&git), &[]);
    }
}

#[test]
fn what_is_newer_than_the_bitmaps_is_walked() {
    for seed in 8..10 {
        let (git, db, all) = with_tail(seed);
        check_sent(&git, &db, &tips(&git), &[]);
        for place in 0..2 {
            let wants = [
                all[pick(seed, place, all.len())],
                all[pick(seed, place + 9, all.len())],
            ];
            check_sent(&git, &db, &wants, &[]);
            check_sent(&git, &db, &wants, &[all[pick(seed, place + 20, all.len())]]);
        }
    }
}

#[test]
fn tags_and_things_that_are_no_commits_are_sent() {
    let git = repacked(
        &HistoryOptions {
            commits: 80,
            ..HistoryOptions::small(11)
        },
        &[],
    );
    let db = database(&git);
    let main = git.id("main");
    let tree = git.id("main^{tree}");
    let text = format!("object {main}\ntype commit\ntag t\ntagger T <t@x> 5 +0000\n\nmessage\n");
    let tag = ids(&git.run_with(&["mktag"], text.as_bytes()))[0];
    let with_tag = |wants: &[ObjectId]| Wanted {
        include_tags: vec![(tag, main)],
        ..wanted(wants, &[])
    };
    let counted = set(&count_objects(&db, &with_tag(&[main]), &()).unwrap());
    let mut expected = rev_list(&git, &[], &[main], &[]);
    expected.insert(tag);
    assert_eq!(counted, expected);
    assert!(!set(&count_objects(&db, &with_tag(&[tree]), &()).unwrap()).contains(&tag));
    check_sent(&git, &db, &[tag], &[]);
    check_sent(&git, &db, &[tree], &[]);
}

#[test]
fn filters_by_kind_leave_out_what_git_leaves_out() {
    let (git, db, _) = with_tail(14);
    let tips = tips(&git);
    let tree = git.id(&format!("{}^{{tree}}", tips[0]));
    let filters = [
        ("blob:none", ObjectFilter::blobs_below(0)),
        ("tree:0", ObjectFilter::depth_below(0)),
    ];
    for (name, filter) in filters {
        let limits = CountLimits {
            filter,
            ..CountLimits::default()
        };
        let options = [&*format!("--filter={name}")];
        // A tree that is wanted by its id is sent whatever the filter says.
        for wants in [tips.clone(), vec![tree]] {
            let wanted = wanted(&wants, &[]);
            let to_send = count_limited_to_send(&db, &wanted, &limits, &()).unwrap();
            let mut pack = Vec::new();
            let stats = write_to_send(&db, &to_send, &EVERY_OPTION[1], &mut pack, &()).unwrap();
            assert_eq!(stats.pack_reused > 0, wants == tips, "{name}");
            let other = Git::init();
            other.run_with(&["index-pack", "--stdin"], &pack);
            let sent: Ids = other
                .objects()
                .into_iter()
                .map(|object| object.id)
                .collect();
            assert_eq!(sent, rev_list(&git, &options, &wants, &[]), "{name}");
        }
    }
}

/// Histories long enough that the walk between the two sides is not taken for a short one.
#[test]
fn with_haves_far_away_the_count_is_exact() {
    let git = repacked(
        &HistoryOptions {
            commits: 1500,
            branches: 4,
            changes: 2,
            clocks_lie: false,
            ..HistoryOptions::small(12)
        },
        &[],
    );
    write_ours(&git);
    let db = database(&git);
    let all = commits(&git);
    let wants = tips(&git);
    for place in 0..4 {
        let have = all[all.len() - 1 - pick(12, place, 300)];
        let counted = set(&count_objects(&db, &wanted(&wants, &[have]), &()).unwrap());
        let needed = difference(&git, &wants, &[have]);
        assert!(counted.is_superset(&needed));
        assert_eq!(
            counted.len(),
            needed.len(),
            "bitmaps say exactly what is there"
        );
    }
    check_sent(&git, &db, &wants, &[all[all.len() - 10]]);
}

#[test]
fn a_file_that_is_not_right_is_refused_or_harmless() {
    let git = repacked(
        &HistoryOptions::small(13),
        &["pack.writeBitmapLookupTable=true"],
    );
    let pack = only_pack(&git);
    let theirs = std::fs::read(git.packs()[0].with_extension("bitmap")).unwrap();
    write_ours(&git);
    let ours = std::fs::read(git.packs()[0].with_extension("bitmap")).unwrap();
    let (objects, id) = (pack.index().count(), pack.id());
    let open = |bytes: &[u8]| BitmapIndex::from_bytes(bytes.to_vec().into(), objects, &id);
    for whole in [theirs, ours] {
        assert!(open(&whole).unwrap().is_intact());
        assert!(matches!(
            BitmapIndex::from_bytes(whole.clone().into(), objects, &ObjectId::from([7; 20])),
            Err(BitmapError::OtherPack)
        ));
        for len in 0..whole.len() {
            drop(open(&whole[..len]));
        }
        let mut runner = proptest::test_runner::TestRunner::default();
        let flips = proptest::collection::vec((0..whole.len(), any::<u8>()), 1..8);
        runner
            .run(&flips, |flips| {
                let mut bytes = whole.clone();
                for (at, byte) in flips {
                    bytes[at] = byte;
                }
                let Ok(index) = open(&bytes) else {
                    return Ok(());
                };
                for kind in ObjectKind::ALL {
                    drop(index.kind(kind));
                }
                for commit in index.commits() {
                    if let Ok(Some(bits)) = index.reached_from(commit) {
                        prop_assert!(bits.iter().all(|bit| bit < objects));
                    }
                }
                Ok(())
            })
            .unwrap();
    }
}
