//! Bodies of `commit-pack`: no line may panic the parser or make it keep more than the line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for line in data.split(|byte| *byte == b'\n') {
        let _ = packhouse_server::parse_commit_line(line);
    }
});
