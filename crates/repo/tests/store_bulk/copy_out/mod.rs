//! Files of a store into local folders.

mod confined;
mod contents;
mod replacing;

use bstr::BString;
use packhouse_repo::store::{CopyOut, FileType, Snapshot, WriteOptions};

use super::Place;

fn out(place: &Place, sources: &[&str], dest: &str) -> CopyOut<'static> {
    CopyOut {
        sources: sources
            .iter()
            .map(|source| BString::from(*source))
            .collect(),
        dest: place.local(dest),
        ..CopyOut::default()
    }
}

/// Two files, one of them executable, and a link, in `d`.
fn some(place: &Place) -> Snapshot {
    let run = WriteOptions {
        mode: Some(FileType::Executable),
        ..WriteOptions::default()
    };
    let snapshot = place.stored(&["d/a", "d/sub/b", "top"]);
    let snapshot = snapshot.write("d/sub/run", b"#!", &run).unwrap();
    snapshot
        .write_symlink("d/l", "sub/b", &WriteOptions::default())
        .unwrap()
}
