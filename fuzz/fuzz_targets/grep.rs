//! Patterns and texts: a pattern is refused or finds lines, each once, in order, and those that match by themselves.
//!
//! The search is taken from its own source files: building the whole crate for two of them would take longer than
//! fuzzing them.
#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/repo/src/grep/lines.rs"]
mod lines;
#[allow(dead_code)]
#[path = "../../crates/repo/src/grep/pattern.rs"]
mod pattern;

/// What the search needs of its module.
#[derive(Debug)]
pub struct GrepError;

pub struct Interrupt;

impl Interrupt {
    fn check(&self) -> Result<(), GrepError> {
        Ok(())
    }
}

fuzz_target!(|input: (&str, bool, &[u8])| {
    let (pattern, case_sensitive, text) = input;
    let Ok(pattern) = pattern::Pattern::new(pattern, case_sensitive) else {
        return;
    };
    let mut found = Vec::new();
    let searched = lines::matching_lines(text, &pattern, &Interrupt, &mut |line| {
        found.push(line.number);
        ControlFlow::Continue(())
    });
    assert!(searched.is_ok());
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let all = text.split(|&byte| byte == b'\n').enumerate();
    let expected: Vec<u64> = all
        .filter(|(_, line)| pattern.regex.search_half(&regex_automata::Input::new(line)).is_some())
        .map(|(at, _)| at as u64 + 1)
        .collect();
    // An empty text has no line, though splitting it gives one.
    if !text.is_empty() || !found.is_empty() {
        assert_eq!(found, expected);
    }
});
