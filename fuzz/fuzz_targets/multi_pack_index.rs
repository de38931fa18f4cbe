//! Multi-pack indexes: opened only if every lookup in them stays inside, and bits stand for each object once or not at all.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use packhouse_object::MultiPackIndex;

fuzz_target!(|data: &[u8]| {
    let Ok(index) = MultiPackIndex::from_bytes(Bytes::copy_from_slice(data)) else { return };
    let count = index.count();
    let names = index.pack_names();
    assert!(names.len() < data.len() && names.iter().all(|name| !name.contains('/')));
    for position in (0..count).take(1000) {
        let id = index.id(position).to_owned();
        if let Some(found) = index.lookup(&id) {
            assert!(found < count && index.id(found) == id);
        }
        let _ = index.place(position);
    }
    if let Some(mut bits) = index.bits() {
        bits.sort_unstable();
        assert!(bits.into_iter().eq(0..count));
    }
    let _ = (index.checksum(), index.is_intact());
});
