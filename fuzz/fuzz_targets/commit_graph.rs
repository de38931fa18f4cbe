//! Commit graphs, single ones and chains of two: passed over, or walked without coming back to a commit.
//!
//! The input is two bytes with the size of the lower file, that file, and the other one.
#![no_main]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use packhouse_object::{CommitGraphs, Database, ObjectCache, ObjectId, PathFilter};
use sha1::{Digest, Sha1};

const HASH_LEN: usize = 20;
/// More commits than are asked for before the files are opened.
const ENOUGH: usize = 100;

fuzz_target!(|data: &[u8]| {
    let Some((size, files)) = data.split_first_chunk() else { return };
    let size = usize::from(u16::from_be_bytes(*size)).min(files.len());
    let (lower, upper) = files.split_at(size);
    let info = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = info.path().join("info");
    fs::create_dir(&folder).expect("it is empty");
    if lower.is_empty() {
        write(&folder.join("commit-graph"), &sealed(upper).0);
    } else {
        let chain = folder.join("commit-graphs");
        fs::create_dir(&chain).expect("it is empty");
        let (lower_file, lower_name) = sealed(lower);
        // The upper file goes on naming the one that it stands on.
        let before = &lower[lower.len().saturating_sub(HASH_LEN)..];
        let upper = renamed(upper, before, lower_name.as_slice());
        let (upper_file, upper_name) = sealed(&upper);
        write(&chain.join(format!("graph-{lower_name}.graph")), &lower_file);
        write(&chain.join(format!("graph-{upper_name}.graph")), &upper_file);
        let list = format!("{lower_name}\n{upper_name}\n");
        write(&chain.join("commit-graph-chain"), list.as_bytes());
    }
    walk(info.path(), &[ids(lower), ids(upper)].concat());
});

/// The ids of a file, if its table says where they are.
fn ids(file: &[u8]) -> Vec<ObjectId> {
    let mut table = file.get(8..).unwrap_or_default().chunks_exact(12);
    let at = table.find_map(|entry| {
        let at = entry.strip_prefix(b"OIDL")?.try_into().expect("it has eight bytes");
        usize::try_from(u64::from_be_bytes(at)).ok()
    });
    let ids = at.and_then(|at| file.get(at..)).unwrap_or_default();
    ids.chunks_exact(HASH_LEN).take(64).map(ObjectId::from_bytes_or_panic).collect()
}

/// Asks for the links of commits.
fn walk(objects: &Path, ids: &[ObjectId]) {
    let graphs = Arc::new(CommitGraphs::new(vec![objects.to_owned()]));
    let database = Database::new(Arc::new(ObjectCache::new(0)), 0).with_commit_graphs(graphs);
    for _ in 0..ENOUGH {
        assert!(database.commit_links(ObjectId::from([0xee; HASH_LEN])).is_err());
    }
    let filter = PathFilter::new(b"a/b");
    let mut parents_of = HashMap::new();
    for id in ids.iter().copied() {
        if let Ok((_, parents, seconds)) = database.commit_links(id) {
            assert!((0..1 << 34).contains(&seconds));
            let _ = database.is_known_unchanged(&id, &filter);
            parents_of.insert(id, parents);
        }
    }
    // Commits whose parents are all gone are taken away until none is left: else some come before themselves.
    loop {
        let known = parents_of.len();
        let left: HashMap<_, _> = parents_of
            .iter()
            .filter(|(_, parents)| parents.iter().any(|parent| parents_of.contains_key(parent)))
            .map(|(id, parents)| (*id, parents.clone()))
            .collect();
        parents_of = left;
        if parents_of.len() == known {
            break;
        }
    }
    assert!(parents_of.is_empty(), "commits come before themselves");
}

/// A file with its checksum put right, which the fuzzer would not guess, and the checksum.
fn sealed(file: &[u8]) -> (Vec<u8>, ObjectId) {
    let body = &file[..file.len().saturating_sub(HASH_LEN)];
    let name: [u8; HASH_LEN] = Sha1::digest(body).into();
    ([body, &name].concat(), ObjectId::from(name))
}

fn renamed(file: &[u8], before: &[u8], name: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    if let (Some(at), HASH_LEN) = (memchr::memmem::find(&file, before), before.len()) {
        file[at..at + HASH_LEN].copy_from_slice(name);
    }
    file
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("it can be written");
}
