//! Layers of an index of history: refused, or in accord with their headers.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use packhouse_object::HistoryLayer;

const KEY_LEN: usize = 32;
const MAGIC: &[u8] = b"PHHIST1\n";

fuzz_target!(|data: &[u8]| {
    assert!(open(data).is_none_or(|layer| layer.bytes() == data.len() as u64));
    // The same with the beginning and the checksum put right, which the fuzzer would not guess.
    let mut body = data[..data.len().saturating_sub(KEY_LEN)].to_vec();
    for (byte, right) in body.iter_mut().zip(MAGIC) {
        *byte = *right;
    }
    let key = *blake3::hash(&body).as_bytes();
    body.extend_from_slice(&key);
    let Some(layer) = open(&body) else {
        return;
    };
    assert_eq!((layer.key(), layer.bytes()), (key, body.len() as u64));
    assert!(layer.first() <= layer.end());
    let commits = u64::from(layer.end() - layer.first());
    assert!(commits * 64 < layer.bytes());
    assert_ne!(layer.below(), Some([0; KEY_LEN]));
});

fn open(data: &[u8]) -> Option<HistoryLayer> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(data).expect("it can be written");
    HistoryLayer::open(file.path()).ok()
}
