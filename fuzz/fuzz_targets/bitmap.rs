//! Bitmap indexes and reverse indexes: whatever the bytes are, no bit is past the objects of the pack.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use packhouse_object::pack::index::ReverseIndex;
use packhouse_object::{BitmapIndex, ObjectId, ObjectKind};

/// As many as the pack of the seeds has.
const OBJECTS: u32 = 60;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    // A file for any pack: its checksum is taken from where the file says it.
    let pack = data.get(12..32).map_or(ObjectId::from([0; 20]), ObjectId::from_bytes_or_panic);
    if let Ok(bitmap) = BitmapIndex::from_bytes(bytes.clone(), OBJECTS, &pack) {
        for kind in ObjectKind::ALL {
            let _ = bitmap.kind(kind);
        }
        for commit in bitmap.commits().take(100) {
            let _ = bitmap.name_hash(commit);
            if let Ok(Some(bits)) = bitmap.reached_from(commit) {
                assert!(bits.iter().all(|bit| bit < OBJECTS));
            }
        }
        let _ = bitmap.is_intact();
    }
    let end = data.len().saturating_sub(40);
    let pack = data.get(end..end + 20).map_or(ObjectId::from([0; 20]), ObjectId::from_bytes_or_panic);
    if let Ok(reverse) = ReverseIndex::from_bytes(bytes, OBJECTS, &pack) {
        assert!((0..OBJECTS as usize).all(|place| reverse.position(place) < OBJECTS));
    }
});
