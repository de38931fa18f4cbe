//! `.gitmodules` and `.gitattributes`: any content and any name is judged, whatever piece it comes in.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use packhouse_object::{ConfigReading, EntryMode, SpecialFile, check_entry, read_config, special_entry};

/// Gives a byte at a time.
struct Drops<'a>(&'a [u8]);

impl Read for Drops<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len().min(1);
        self.0.read(&mut out[..n])
    }
}

fuzz_target!(|data: &[u8]| {
    for reading in [ConfigReading::File, ConfigReading::SignedMemory] {
        let mut last = 0;
        let _ = read_config(data, reading, &mut |line, _| {
            assert!(line >= last, "lines are told in order");
            last = line;
            Ok(())
        });
    }
    for file in SpecialFile::ALL {
        let size = data.len() as u64;
        let whole = file.check(size, &mut &data[..]).expect("memory can be read");
        let drops = file.check(size, &mut Drops(data)).expect("memory can be read");
        assert_eq!(whole, drops);
    }
    if special_entry(data, EntryMode::Blob).is_ok_and(|file| file.is_some()) {
        assert!(check_entry(data, EntryMode::Tree).is_err());
    }
});
