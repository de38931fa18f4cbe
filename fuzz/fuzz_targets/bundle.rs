//! Headers of bundles: read or refused, in bounded memory; what is read and written again is the same.
//!
//! The reader is taken from its own source file: the crate around it would take much longer to build.
#![no_main]

use std::io;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/client/src/bundle/header.rs"]
mod header;

mod mirror {
    pub mod diff {
        pub type RefTargets = std::collections::BTreeMap<packhouse_object::RefName, packhouse_object::ObjectId>;
    }
}

#[derive(Debug)]
#[allow(dead_code)]
pub enum MirrorError {
    File { path: PathBuf, source: io::Error },
    BadBundle { path: PathBuf, reason: String },
}

impl MirrorError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> MirrorError {
        let path = path.into();
        move |source| MirrorError::File { path, source }
    }
}

fuzz_target!(|data: &[u8]| {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), data).expect("it can be written");
    let header = match header::read_bundle_header(file.path()) {
        Ok(header) => header,
        Err(MirrorError::BadBundle { .. }) => return,
        Err(error) => panic!("the file is there: {error:?}"),
    };
    assert!(header.targets().len() <= header.refs.len());
    let mut again = Vec::new();
    header.write(&mut again).expect("memory takes it");
    std::fs::write(file.path(), &again).expect("it can be written");
    let read = header::read_bundle_header(file.path()).expect("it was written here");
    assert_eq!((read.prerequisites, read.refs), (header.prerequisites, header.refs));
});
