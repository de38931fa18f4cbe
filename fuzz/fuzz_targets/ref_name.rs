//! Ref names: an accepted name is one that git accepts as a path below `.git`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packhouse_object::{RefName, RepoPath};

fuzz_target!(|data: &[u8]| {
    if let Ok(name) = RefName::parse(data) {
        let bytes = name.as_bytes();
        assert_eq!(bytes, data);
        assert!(!bytes.contains(&0) && !bytes.contains(&b' ') && !bytes.windows(2).any(|pair| pair == b".."));
        assert!(!bytes.starts_with(b"/") && !bytes.ends_with(b"/") && !bytes.ends_with(b".lock"));
    }
    if let Ok(path) = RepoPath::parse(data) {
        assert!(path.components().all(|part| !part.is_empty() && part != b".." && !part.eq_ignore_ascii_case(b".git")));
    }
});
