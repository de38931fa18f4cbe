//! What goes into a store comes out again, and a sync leaves two equal sides.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use packhouse_repo::store::{CopyIn, CopyOut, SyncIn, SyncOut};
use proptest::prelude::*;

use super::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(Vec<u8>, bool),
    Link(Vec<u8>),
}

pub(super) type Files = BTreeMap<Vec<u8>, Node>;

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::sample::select(vec![&b"a"[..], b"b", b"c", b"a.b", b"a-b", b"a0"]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec((1..=255u8).prop_filter("a slash", |byte| *byte != b'/'), 1..4)
            .prop_filter("a dot", |name| !name.starts_with(b".")),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        4 => (prop::collection::vec(any::<u8>(), 0..40), any::<bool>()).prop_map(|(data, run)| Node::File(data, run)),
        1 => prop::collection::vec(1..=255u8, 1..8).prop_map(Node::Link),
        1 => Just(Node::Link(b"../..".to_vec())),
    ]
}

pub(super) fn files() -> impl Strategy<Value = Files> {
    let path = prop::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'));
    prop::collection::vec((path, node()), 0..12).prop_map(|entries| {
        let mut files = Files::new();
        for (path, node) in entries {
            let is_above = |a: &[u8], b: &[u8]| b.starts_with(a) && b.get(a.len()) == Some(&b'/');
            let fits = |other: &Vec<u8>| {
                !is_above(other, &path) && !is_above(&path, other) && *other != path
            };
            if files.keys().all(fits) {
                files.insert(path, node);
            }
        }
        files
    })
}

pub(super) fn lay_out(root: &Path, files: &Files) {
    fs::create_dir_all(root).unwrap();
    for (path, node) in files {
        let path = root.join(OsStr::from_bytes(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match node {
            Node::File(data, run) => {
                fs::write(&path, data).unwrap();
                let mode = if *run { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
            Node::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
        }
    }
}

/// What is on disk, with no empty folder in between.
pub(super) fn found(root: &Path) -> Files {
    let mut files = Files::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(folder) = ahead.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        assert!(!entries.is_empty() || folder == root, "{folder:?} is empty");
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let node = if kind.is_dir() {
                ahead.push(path);
                continue;
            } else if kind.is_symlink() {
                Node::Link(
                    fs::read_link(&path)
                        .unwrap()
                        .as_os_str()
                        .as_bytes()
                        .to_vec(),
                )
            } else {
                let run = entry.metadata().unwrap().permissions().mode() & 0o111 != 0;
                Node::File(fs::read(&path).unwrap(), run)
            };
            let path = path
                .strip_prefix(root)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec();
            files.insert(path, node);
        }
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn copies_in_and_out_are_the_identity(first in files(), second in files()) {
        let place = Place::new();
        lay_out(&place.local("first"), &first);
        lay_out(&place.local("second"), &second);
        let mut source = place.local("first").into_os_string();
        source.push("/");
        let copied = place.main().copy_in(&CopyIn { sources: vec![source], ..CopyIn::default() }).unwrap();
        let out = CopyOut { sources: vec!["".into()], dest: place.local("out"), ..CopyOut::default() };
        fs::create_dir(place.local("out")).unwrap();
        copied.copy_out(&out).unwrap();
        prop_assert_eq!(&found(&place.local("out")), &first, "in and out");

        let synced = copied.sync_in(place.local("second"), "", &SyncIn::default()).unwrap();
        let again = synced.sync_in(place.local("second"), "", &SyncIn::default()).unwrap();
        prop_assert_eq!(again.changes(), None);
        synced.sync_out("", place.local("out"), &SyncOut::default()).unwrap();
        prop_assert_eq!(&found(&place.local("out")), &second, "synced over something else");
        let again = synced.sync_out("", place.local("out"), &SyncOut::default()).unwrap();
        prop_assert_eq!(again.changes(), None);
        place.git(&["fsck", "--full", "--strict"]);
    }
}
