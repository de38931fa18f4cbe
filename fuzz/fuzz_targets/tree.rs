//! Trees: what is parsed is written back byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packhouse_object::{Tree, TreeIter};

fuzz_target!(|data: &[u8]| {
    for entry in TreeIter::new(data) {
        if entry.is_err() {
            break;
        }
    }
    if let Ok(tree) = Tree::parse(data) {
        let again = Tree::parse(&tree.encode()).expect("what was written can be parsed");
        assert_eq!(tree.entries.len(), again.entries.len());
    }
});
