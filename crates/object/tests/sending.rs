//! What is counted and packed for another side, against `git rev-list --objects`, `git index-pack`
//! and `git fsck`.

use std::collections::BTreeSet;
use std::sync::Arc;

use packhouse_object::{
    Counted, Database, LooseStore, NewObject, ObjectCache, ObjectId, ObjectKind, Pack, PackOptions,
    Progress, ReadError, Wanted, WritePackError, count_objects, write_pack,
};
use packhouse_testkit::history::HistoryOptions;

use crate::git::Git;
use crate::repositories::{commits, database, ids, pick, random};

type Ids = BTreeSet<ObjectId>;

fn count(db: &Database, wants: &[ObjectId], haves: &[ObjectId]) -> Counted {
    let wanted = Wanted {
        wants: wants.to_vec(),
        haves: haves.to_vec(),
        thin: true,
        ..Wanted::default()
    };
    let counted = count_objects(db, &wanted, &()).unwrap();
    let unique: Ids = counted.ids.iter().copied().collect();
    assert_eq!(unique.len(), counted.ids.len(), "each object once");
    counted
}

/// Like `assert_eq!`, but says only what differs.
#[track_caller]
fn assert_same(found: &Ids, expected: &Ids, what: &str) {
    let missing: Vec<_> = expected.difference(found).take(3).collect();
    let superfluous: Vec<_> = found.difference(expected).take(3).collect();
    assert!(
        missing.is_empty() && superfluous.is_empty(),
        "{what}: missing {missing:?}, superfluous {superfluous:?}"
    );
}

fn set(counted: &Counted) -> Ids {
    counted.ids.iter().copied().collect()
}

/// What `wants` reach and `haves` do not, by Git's account.
fn rev_list(git: &Git, wants: &[ObjectId], haves: &[ObjectId]) -> Ids {
    let mut input: Vec<String> = wants.iter().map(ObjectId::to_string).collect();
    input.extend(haves.iter().map(|id| format!("^{id}")));
    let output = git.run_with(
        &["rev-list", "--objects", "--stdin"],
        input.join("\n").as_bytes(),
    );
    ids(&output).into_iter().collect()
}

fn pack(db: &Database, counted: &Counted, options: PackOptions) -> Vec<u8> {
    let mut pack = Vec::new();
    let written = write_pack(db, counted, &options, &mut pack, &()).unwrap();
    assert_eq!(
        (written.bytes, written.objects),
        (pack.len() as u64, counted.ids.len() as u64)
    );
    pack
}

const OFS: PackOptions = PackOptions {
    ofs_delta: true,
    thin: false,
};
const REF: PackOptions = PackOptions {
    ofs_delta: false,
    thin: false,
};
const THIN: PackOptions = PackOptions {
    ofs_delta: true,
    thin: true,
};

/// The ids of everything in a repository.
fn all_objects(git: &Git) -> Ids {
    let output = git.run(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
    ]);
    ids(&output).into_iter().collect()
}

/// Takes in a pack, which must be sound, and refer to nothing that is missing.
fn receive(git: &Git, pack: &[u8], tips: &[ObjectId]) {
    git.run_with(&["index-pack", "--strict", "--stdin", "--fix-thin"], pack);
    for (at, tip) in tips.iter().enumerate() {
        git.run(&[
            "update-ref",
            &format!("refs/received/{at}"),
            &tip.to_string(),
        ]);
    }
    git.run(&["fsck", "--strict", "--no-dangling"]);
}

#[test]
fn without_haves_everything_reachable_is_counted() {
    for seed in 0..6 {
        let git = random(&HistoryOptions::small(seed));
        let db = database(&git);
        let all = commits(&git);
        for place in 0..6 {
            let wants = [
                all[pick(seed, place, all.len())],
                all[pick(seed, place + 9, all.len())],
            ];
            let counted = count(&db, &wants, &[]);
            assert_same(
                &set(&counted),
                &rev_list(&git, &wants, &[]),
                &format!("seed {seed}"),
            );
            assert!(counted.thin_bases.is_empty());
        }
    }
}

#[test]
fn with_haves_nothing_is_missing_and_little_is_sent_again() {
    let (mut needed_in_all, mut sent_in_all) = (0, 0);
    for seed in 0..10 {
        let git = random(&HistoryOptions {
            commits: 60,
            clocks_lie: seed % 2 == 0,
            ..HistoryOptions::small(seed)
        });
        let db = database(&git);
        let all = commits(&git);
        for place in 0..12 {
            let wants = [
                all[pick(seed, place, all.len())],
                all[pick(seed, place + 9, all.len())],
            ];
            let haves = [
                all[pick(seed, place + 50, all.len())],
                all[pick(seed, place + 70, all.len())],
            ];
            let (reached, had) = (rev_list(&git, &wants, &[]), rev_list(&git, &haves, &[]));
            let counted = count(&db, &wants, &haves);
            let sent = set(&counted);
            let needed: Ids = reached.difference(&had).copied().collect();
            assert!(sent.is_superset(&needed), "seed {seed}, place {place}");
            assert!(sent.is_subset(&reached), "seed {seed}, place {place}");
            assert!(
                counted.thin_bases.iter().all(|id| had.contains(id)),
                "bases are there"
            );
            needed_in_all += needed.len();
            sent_in_all += sent.len();
        }
    }
    assert!(needed_in_all > 1000);
    assert!(
        sent_in_all < needed_in_all * 11 / 10,
        "{sent_in_all} sent, {needed_in_all} needed"
    );
}

#[test]
fn a_commit_on_top_costs_what_it_changed() {
    let git = random(&HistoryOptions {
        first_files: 300,
        ..HistoryOptions::small(5)
    });
    let db = database(&git);
    for commit in commits(&git) {
        let parents = db.commit(commit).unwrap().parents;
        if let [parent] = parents[..] {
            let counted = count(&db, &[commit], &[parent]);
            assert_eq!(counted.ids[0], commit);
            let git_sends = rev_list(&git, &[commit], &[parent]);
            assert!(set(&counted).is_superset(&git_sends));
            assert!(
                counted.ids.len() < git_sends.len() + 10,
                "{} for {}",
                counted.ids.len(),
                git_sends.len()
            );
        }
    }
}

#[test]
fn objects_of_every_kind_can_be_wanted() {
    let git = random(&HistoryOptions {
        commits: 80,
        ..HistoryOptions::small(6)
    });
    let head = git.id("main");
    let signed = |target: ObjectId, kind: &str| {
        let tag =
            format!("object {target}\ntype {kind}\ntag t\ntagger T <t@x> 5 +0000\n\nmessage\n");
        ids(&git.run_with(&["mktag"], tag.as_bytes()))[0]
    };
    let (tree, file) = (
        git.id("main^{tree}"),
        ids(&git.run(&["hash-object", "-w", "--stdin"]))[0],
    );
    let tag = signed(head, "commit");
    let nested = signed(tag, "tag");
    let (of_tree, of_blob) = (signed(tree, "tree"), signed(file, "blob"));
    let db = database(&git);
    for wants in [
        vec![nested],
        vec![of_tree],
        vec![of_blob],
        vec![tree, file],
        vec![tag, nested, head],
    ] {
        assert_same(
            &set(&count(&db, &wants, &[])),
            &rev_list(&git, &wants, &[]),
            &format!("{wants:?}"),
        );
    }
    assert_eq!(
        set(&count(&db, &[nested], &[head])),
        Ids::from([tag, nested])
    );
    assert_eq!(set(&count(&db, &[nested], &[tag])), Ids::from([nested]));
    assert_eq!(set(&count(&db, &[head], &[nested])), Ids::new());
    let missing = ObjectId::from_hex(&[b'1'; 40]).unwrap();
    assert_eq!(
        set(&count(&db, &[tag], &[missing, head])),
        Ids::from([tag]),
        "unknown haves are passed over"
    );
    let wanted = Wanted {
        wants: vec![missing],
        ..Wanted::default()
    };
    assert!(
        matches!(count_objects(&db, &wanted, &()), Err(ReadError::NotFound { id }) if id == missing)
    );
}

#[test]
fn tags_go_with_what_they_name() {
    let git = random(&HistoryOptions {
        commits: 80,
        ..HistoryOptions::small(7)
    });
    let db = database(&git);
    let tags = ids(&git.run(&["for-each-ref", "--format=%(objectname)", "refs/tags/v*"]));
    let include_tags: Vec<_> = tags
        .iter()
        .map(|tag| (*tag, db.peel(tag).unwrap().0))
        .collect();
    assert!(tags.len() > 2);
    for (_, commit) in &include_tags {
        let wanted = Wanted {
            wants: vec![*commit],
            include_tags: include_tags.clone(),
            ..Wanted::default()
        };
        let counted = set(&count_objects(&db, &wanted, &()).unwrap());
        for (tag, named) in &include_tags {
            assert_eq!(counted.contains(tag), counted.contains(named));
        }
        receive(
            &Git::init(),
            &pack(&db, &Counted::exactly(counted.into_iter().collect()), OFS),
            &[*commit],
        );
    }
}

#[test]
fn a_pack_holds_the_counted_objects_and_git_takes_it() {
    for seed in 0..4 {
        let git = random(&HistoryOptions {
            commits: 60,
            ..HistoryOptions::small(seed)
        });
        if seed % 2 == 1 {
            git.run(&["repack", "-adfq", "--depth=50"]);
        }
        let db = database(&git);
        let tips = ids(&git.run(&["for-each-ref", "--format=%(objectname)"]));
        let counted = count(&db, &tips, &[]);
        for options in [OFS, REF] {
            let other = Git::init();
            let sent = pack(&db, &counted, options);
            assert_eq!(
                sent,
                pack(&db, &counted, options),
                "the same objects give the same pack"
            );
            receive(&other, &sent, &tips);
            assert_same(&all_objects(&other), &set(&counted), "the pack");
        }
    }
}

#[test]
fn a_full_pack_is_as_small_as_the_one_it_is_copied_from() {
    let git = random(&HistoryOptions {
        commits: 100,
        ..HistoryOptions::small(9)
    });
    git.run(&["repack", "-adfq", "--depth=50"]);
    let db = database(&git);
    let tips = ids(&git.run(&["for-each-ref", "--format=%(objectname)"]));
    let sent = pack(&db, &count(&db, &tips, &[]), OFS);
    let stored = db.packs()[0].bytes();
    assert!(
        (sent.len() as u64) < stored + stored / 50,
        "{} sent, {stored} stored",
        sent.len()
    );
}

#[test]
fn fetches_bring_another_repository_up_to_date() {
    for seed in 0..4 {
        let git = random(&HistoryOptions {
            commits: 60,
            clocks_lie: false,
            ..HistoryOptions::small(seed)
        });
        // As fast-import left it: newer states are deltas against older ones.
        let db = database(&git);
        let all = commits(&git);
        let other = Git::init();
        let mut haves: Vec<ObjectId> = Vec::new();
        let mut sizes = [0, 0];
        for step in [50, 40, 30, 20, 10, 0] {
            let want = all[step.min(all.len() - 1)];
            let counted = count(&db, &[want], &haves);
            let thin = pack(&db, &counted, THIN);
            sizes[0] += thin.len();
            sizes[1] += pack(&db, &counted, OFS).len();
            receive(&other, &thin, &[want]);
            haves = vec![want];
            let reached = rev_list(&git, &haves, &[]);
            assert!(all_objects(&other).is_superset(&reached));
        }
        assert!(
            sizes[0] < sizes[1],
            "deltas against what is there: {sizes:?}"
        );
    }
}

/// Some objects in each of several packs (twice, some of them), loose, and in memory.
#[test]
fn objects_are_gathered_from_every_layer() {
    let git = random(&HistoryOptions {
        commits: 60,
        ..HistoryOptions::small(11)
    });
    git.run(&["repack", "-adfq"]);
    let objects = git.objects();
    let tips = ids(&git.run(&["for-each-ref", "--format=%(objectname)"]));
    let parts = tempfile::tempdir().unwrap();
    let mut packs = Vec::new();
    for part in 0..3 {
        let chosen = objects
            .iter()
            .enumerate()
            .filter(|(at, _)| at % 4 == part || at % 7 == 0);
        let list: Vec<String> = chosen.map(|(_, object)| object.id.to_string()).collect();
        let base = parts.path().join(format!("part{part}"));
        let name = git.run_with(
            &["pack-objects", "-q", base.to_str().unwrap()],
            list.join("\n").as_bytes(),
        );
        let name = std::str::from_utf8(name.trim_ascii()).unwrap();
        let file = |suffix| parts.path().join(format!("part{part}-{name}.{suffix}"));
        packs.push(Arc::new(Pack::open(&file("pack"), &file("idx")).unwrap()));
    }
    let rest = objects.iter().enumerate().filter(|(at, _)| at % 4 == 3);
    let rest: Vec<NewObject> = rest
        .map(|(_, object)| NewObject::new(object.kind, object.data.clone()).unwrap())
        .collect();
    let loose = LooseStore::open(parts.path());
    let (in_memory, on_disk) = rest.split_at(rest.len() / 2);
    loose.write_all(on_disk).unwrap();
    let db = Database::new(Arc::new(ObjectCache::new(1 << 20)), 1)
        .with_packs(packs)
        .with_loose(vec![loose])
        .with_objects(in_memory.to_vec());
    let counted = count(&db, &tips, &[]);
    for options in [OFS, REF] {
        let other = Git::init();
        receive(&other, &pack(&db, &counted, options), &tips);
        assert_same(&all_objects(&other), &set(&counted), "the pack");
    }
}

#[test]
fn large_objects_pass_through_in_pieces() {
    let git = Git::init();
    let mut content = Vec::new();
    let mut state = 1u64;
    while content.len() < 3 << 20 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        content.extend_from_slice(&state.to_be_bytes());
    }
    let packed = ids(&git.run_with(&["hash-object", "-w", "--stdin"], &content))[0];
    git.run(&["repack", "-adq"]);
    git.run_with(
        &["pack-objects", "-q", "objects/pack/pack"],
        packed.to_string().as_bytes(),
    );
    git.run(&["prune-packed"]);
    content.push(b'!');
    let loose = ids(&git.run_with(&["hash-object", "-w", "--stdin"], &content))[0];
    content.push(b'?');
    let in_memory = NewObject::new(ObjectKind::Blob, content).unwrap();
    let db = database(&git).with_objects([in_memory.clone()]);
    assert_eq!(db.packs().len(), 1);
    let counted = Counted::exactly(vec![packed, loose, in_memory.id]);
    let other = Git::init();
    other.run_with(
        &["index-pack", "--strict", "--stdin"],
        &pack(&db, &counted, OFS),
    );
    assert_same(&all_objects(&other), &set(&counted), "the pack");
}

#[test]
fn the_empty_tree_is_sent_though_it_is_stored_nowhere() {
    let tree = ObjectId::empty_tree(packhouse_object::HashKind::Sha1);
    let commit =
        format!("tree {tree}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nnothing\n");
    let commit = NewObject::new(ObjectKind::Commit, commit).unwrap();
    let id = commit.id;
    let db = crate::repositories::memory(vec![commit]);
    let counted = count(&db, &[id], &[]);
    assert_eq!(counted.ids, [id, tree]);
    receive(&Git::init(), &pack(&db, &counted, OFS), &[id]);
}

#[test]
fn an_empty_pack_is_a_pack() {
    let db = crate::repositories::memory(Vec::new());
    let other = Git::init();
    other.run_with(
        &["index-pack", "--stdin"],
        &pack(&db, &Counted::default(), OFS),
    );
    assert_eq!(all_objects(&other), Ids::new());
}

struct Cancelled;

impl Progress for Cancelled {
    fn cancelled(&self) -> bool {
        true
    }
}

#[test]
fn work_that_is_cancelled_ends() {
    let git = random(&HistoryOptions::small(12));
    let db = database(&git);
    let wanted = Wanted {
        wants: vec![git.id("main")],
        ..Wanted::default()
    };
    assert!(matches!(
        count_objects(&db, &wanted, &Cancelled),
        Err(ReadError::Cancelled)
    ));
    let counted = count_objects(&db, &wanted, &()).unwrap();
    let written = write_pack(&db, &counted, &OFS, &mut Vec::new(), &Cancelled);
    assert!(matches!(
        written,
        Err(WritePackError::Read(ReadError::Cancelled))
    ));
}

#[test]
fn a_damaged_pack_is_noticed_while_it_is_copied() {
    let git = random(&HistoryOptions::small(13));
    git.run(&["repack", "-adfq"]);
    let path = git.packs()[0].with_extension("pack");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let db = database(&git);
    let ids: Vec<ObjectId> = db.packs()[0].iter().map(|(id, _)| id).collect();
    let written = write_pack(&db, &Counted::exactly(ids), &OFS, &mut Vec::new(), &());
    assert!(
        matches!(written, Err(WritePackError::Read(ReadError::Pack { .. }))),
        "{written:?}"
    );
}
