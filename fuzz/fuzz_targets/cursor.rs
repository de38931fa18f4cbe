//! Cursors of lists: read or refused; what is read is the place that the list's own cursor of it has, and no other list takes it.
//!
//! The reader is taken from its own source file: the crate around it would take much longer to build.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/server/src/rest/page.rs"]
mod page;

mod input {
    pub fn shown(text: &str) -> &str {
        text
    }
}

mod error {
    #[derive(Debug)]
    pub struct ApiError;

    impl ApiError {
        pub fn invalid(message: String) -> ApiError {
            assert!(message.contains("cursor"));
            ApiError
        }
    }
}

mod events {
    pub fn hex(bytes: Option<&[u8]>) -> String {
        let digits = bytes.into_iter().flatten().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }
}

fuzz_target!(|input: (&str, &[u8], &str)| {
    let (asked, place, text) = input;
    let list = page::List::new("files", &[asked]);
    let others = [
        page::List::new("files", &[asked, ""]),
        page::List::new("tags", &[asked]),
    ];
    let cursor = list.cursor(place);
    match list.after(Some(&cursor)) {
        Ok(found) => assert_eq!(found.expect("it names a place"), place),
        Err(_) => assert!(place.is_empty()),
    }
    assert!(others.iter().all(|other| other.after(Some(&cursor)).is_err()));
    // What the fuzzer writes behind what it cannot guess.
    let begin = list.cursor(b"").replace(':', "");
    for text in [text.to_owned(), format!("{begin}{text}")] {
        if let Ok(Some(place)) = list.after(Some(&text)) {
            assert!(!place.is_empty());
            let again = list.after(Some(&list.cursor(&place)));
            assert_eq!(again.expect("it is its own").expect("it names a place"), place);
        }
    }
});
