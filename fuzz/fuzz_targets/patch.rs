//! Patches: whatever the text and the file, nothing panics, and what is read once is read the same when it is applied.
//!
//! The parser is taken from its own source files: the crate around it would take much longer to build.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/repo/src/patch/binary.rs"]
mod binary;
#[allow(dead_code)]
#[path = "../../crates/repo/src/patch/error.rs"]
mod error;
#[allow(dead_code)]
#[path = "../../crates/repo/src/patch/header.rs"]
mod header;
#[path = "../../crates/repo/src/patch/hunk.rs"]
mod hunk;
#[allow(dead_code)]
#[path = "../../crates/repo/src/patch/image.rs"]
mod image;
#[path = "../../crates/repo/src/patch/names.rs"]
mod names;
#[path = "../../crates/repo/src/patch/parse.rs"]
mod parse;
#[path = "../../crates/repo/src/patch/quoted.rs"]
mod quoted;
#[allow(dead_code)]
#[path = "../../crates/repo/src/patch/text.rs"]
mod text;
#[path = "../../crates/repo/src/patch/timestamp.rs"]
mod timestamp;

use error::{PatchConflict, PatchError};
use header::Body;
use image::{Budget, Image};
use text::{Lines, PatchText};

fuzz_target!(|input: (&[u8], &[u8])| {
    let (patch, file) = input;
    let text = PatchText::memory(Bytes::copy_from_slice(patch));
    let Ok(patches) = parse::parse(&text) else { return };
    assert!(!patches.is_empty());
    for patch in &patches {
        assert!(patch.old.is_some() || patch.new.is_some());
        match &patch.body {
            Body::Text { at, line, hunks } => {
                let Ok(mut image) = Image::new(file) else { continue };
                let (mut lines, mut budget) = (Lines::new(&text, *at, *line), Budget::new());
                for _ in 0..*hunks {
                    let hunk = hunk::Hunk::next(&text, &mut lines).expect("it was read before");
                    let read = hunk.read(&text).expect("it is in memory");
                    if image.apply(&hunk, &read, &mut budget).is_err() {
                        break;
                    }
                }
                assert!(image.into_bytes().len() <= file.len() + text.len() as usize);
            }
            Body::Binary(Some(data)) => drop(data.read(&text).expect("it was read before")),
            _ => {}
        }
    }
});
