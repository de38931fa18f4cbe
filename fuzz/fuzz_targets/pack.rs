//! Packs of a stranger: refused with an error, or received with every object hashing to its id.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use packhouse_object::{Database, ObjectCache, ReceiveLimits, Received, hash_object, receive_pack};
use sha1::{Digest, Sha1};

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let database = Database::new(Arc::new(ObjectCache::new(1 << 20)), 1);
    let limits = ReceiveLimits { object_bytes: 1 << 20, pack_bytes: 1 << 20, objects: 1000, ..ReceiveLimits::default() };
    // The fuzzer cannot guess a SHA-1, so the trailer is put right for it.
    let mut pack = data.to_vec();
    let trailer = Sha1::digest(&pack);
    pack.extend_from_slice(&trailer);
    let mut input = pack.as_slice();
    if let Ok(Received::Small(objects)) = receive_pack(&mut input, folder.path(), &database, &limits, &()) {
        for object in objects {
            assert_eq!(hash_object(object.kind, &object.data).expect("no collision"), object.id);
        }
    }
});
