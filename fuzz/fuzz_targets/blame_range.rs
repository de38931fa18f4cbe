//! Ranges of lines and their patterns: lines that are found are in the text, in order, and each once.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/repo/src/diff/function_line.rs"]
mod diff;
#[path = "../../crates/repo/src/blame/pattern.rs"]
mod pattern;
#[path = "../../crates/repo/src/blame/range.rs"]
mod range;
#[allow(dead_code)]
#[path = "../../crates/repo/src/blame/text.rs"]
mod text;

fuzz_target!(|input: (&[u8], Vec<String>)| {
    let (data, specs) = input;
    let text = text::Text::new(data.to_vec().into());
    let lines = data.split_inclusive(|byte| *byte == b'\n').count();
    assert_eq!(text.line_count(), lines);
    let Ok(ranges) = range::resolve(&specs, &text) else {
        return;
    };
    let mut end = 0;
    for range in ranges {
        assert!(end <= range.start && range.start < range.end);
        end = range.end;
    }
    assert!(end <= lines);
});
