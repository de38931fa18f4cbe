//! Archives of a stranger: read or refused, within the limits on entries, bytes and memory, whatever they say of
//! themselves.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use packhouse_object::WritePackFileError;

#[path = "../archive/mod.rs"]
mod archive;

use archive::intake::{BYTES_MAX, ENTRIES_MAX, Intake};

#[derive(Debug)]
pub enum StoreError {
    Source(io::Error),
    TooLarge,
}

impl From<WritePackFileError> for StoreError {
    fn from(error: WritePackFileError) -> StoreError {
        // Only the disk fails here, and the input is small.
        panic!("{error}");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut intake = Intake::default();
    let _ = archive::read_tar(&*with_checksums(data), &mut intake);
    check(&intake);

    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut intake = Intake::default();
    let _ = archive::read_zip(data, folder.path(), &mut intake);
    check(&intake);
    let left = std::fs::read_dir(folder.path()).expect("it is there");
    assert_eq!(left.count(), 0);
});

fn check(intake: &Intake<'_>) {
    assert!(intake.bytes <= BYTES_MAX && intake.entries <= ENTRIES_MAX + 1);
}

/// The same with the checksum of each header put right, which the fuzzer would not guess.
fn with_checksums(data: &[u8]) -> Vec<u8> {
    let mut tar = data.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + 512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        if sum > 8 * 32 {
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        } else {
            header[148..156].fill(0);
        }
        let size = tar::Header::from_byte_slice(header).entry_size().unwrap_or(0);
        at += 512 + usize::try_from(size.min(1 << 30)).expect("it is small").next_multiple_of(512);
    }
    tar
}
