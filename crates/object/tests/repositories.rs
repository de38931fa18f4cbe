//! Random repositories, and databases of what is in them.

use std::sync::Arc;

use packhouse_object::{Database, LooseStore, MultiPack, NewObject, ObjectCache, ObjectId, Pack};
use packhouse_testkit::history::{self, HistoryOptions};

use crate::git::Git;

/// A bare repository with a random history, in one pack.
pub(crate) fn random(options: &HistoryOptions) -> Git {
    let git = Git::init();
    let arguments = ["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"];
    git.run_with(&arguments, &history::stream(options));
    git
}

/// Everything in the repository: packs, with an index of several of them if there is one, and loose objects.
pub(crate) fn database(git: &Git) -> Database {
    let packs = git.packs().into_iter().map(|path| {
        let pack = Pack::open(&path.with_extension("pack"), &path.with_extension("idx"));
        Arc::new(pack.unwrap())
    });
    let packs: Vec<_> = packs.collect();
    let multi = MultiPack::open(&git.path().join("objects/pack/multi-pack-index"), &packs);
    let loose = LooseStore::open(git.path().join("objects"));
    Database::new(Arc::new(ObjectCache::new(16 << 20)), 7)
        .with_packs(packs)
        .with_multi_packs(multi.map(Arc::new).into_iter().collect())
        .with_loose(vec![loose])
}

/// A database of nothing but these objects.
pub(crate) fn memory(objects: Vec<NewObject>) -> Database {
    Database::new(Arc::new(ObjectCache::new(1 << 20)), 7).with_objects(objects)
}

/// The ids that stand at the start of each line.
pub(crate) fn ids(output: &[u8]) -> Vec<ObjectId> {
    let lines = output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| ObjectId::from_hex(&line[..40]).unwrap())
        .collect()
}

/// Every commit of the repository, newest first.
pub(crate) fn commits(git: &Git) -> Vec<ObjectId> {
    ids(&git.run(&["rev-list", "--all"]))
}

/// Some number for each seed and place, for tests to choose by.
pub(crate) fn pick(seed: u64, place: u64, below: usize) -> usize {
    let mixed =
        (seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) as usize % below
}
