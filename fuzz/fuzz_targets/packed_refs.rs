//! `packed-refs`: refused, or read as entries in order, which are the same when they are written and read again.
//!
//! The reader is taken from its own source file: the crate around it would take much longer to build.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/repo/src/directory/packed_text.rs"]
mod packed_text;

use packed_text::{Peeled, parse, write_entries};

fuzz_target!(|data: &[u8]| {
    let Ok(mut entries) = parse(data) else { return };
    assert!(entries.is_sorted_by(|one, next| one.name < next.name));
    for entry in &mut entries {
        assert!(!entry.name.is_empty() && !entry.name.contains(&b'\n'));
        // Whoever writes the file finds out before where tags lead.
        if entry.peeled == Peeled::Unknown {
            entry.peeled = Peeled::NoTag;
        }
    }
    let mut text = Vec::new();
    write_entries(&mut text, &entries).expect("memory takes it");
    assert_eq!(parse(&text).expect("it was written here"), entries);
});
