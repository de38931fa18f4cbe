//! Deltas: a result is exactly as long as the delta says, and never longer than allowed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packhouse_object::pack::{delta, entry};

fuzz_target!(|data: (&[u8], &[u8])| {
    const LIMIT: u64 = 1 << 16;
    let (base, bytes) = data;
    if let Ok(result) = delta::apply(base, bytes, LIMIT) {
        assert!(result.len() as u64 <= LIMIT);
        let sizes = delta::parse_sizes(bytes).expect("an applied delta has sizes");
        assert_eq!(sizes.base, base.len() as u64);
        assert_eq!(sizes.result, result.len() as u64);
    }
    let _ = entry::parse_header(bytes);
});
