//! Pack indexes: opened only if every lookup in them stays inside.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use packhouse_object::pack::index::Index;

fuzz_target!(|data: &[u8]| {
    let Ok(index) = Index::from_bytes(Bytes::copy_from_slice(data)) else { return };
    let count = index.count();
    for position in (0..count).take(1000) {
        let id = index.id(position).to_owned();
        let _ = index.offset(position);
        let _ = index.crc32(position);
        let _ = index.lookup(&id);
    }
    let _ = index.prefix("00ff");
    let _ = index.is_intact();
});
