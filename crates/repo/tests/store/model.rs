//! A snapshot behaves as a map from paths to bytes, and `git` reads the same from the repository.

use std::collections::BTreeMap;

use packhouse_repo::store::{CommitOptions, FileType, NewContent, Snapshot, WriteOptions};
use proptest::prelude::*;

use super::World;

type Files = BTreeMap<String, (FileType, Vec<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    Write(String, Vec<u8>, FileType),
    Link(String, Vec<u8>),
    Apply(Vec<(String, Vec<u8>)>, Vec<String>),
    RemoveFolder(String),
    /// Files written, and removed if there is nothing to write, one after the other.
    Batch(Vec<(String, Option<Vec<u8>>)>),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["a", "b", "a.b", "a-b", "ab", "\u{e9}", ".x", "a0"]),
        1..4,
    )
    .prop_map(|parts| parts.join("/"))
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop::sample::select(vec![FileType::Blob, FileType::Executable]);
    prop_oneof![
        4 => (path(), bytes(), mode).prop_map(|(path, data, mode)| Step::Write(path, data, mode)),
        1 => (path(), prop::collection::vec(1u8.., 1..20))
            .prop_map(|(path, target)| Step::Link(path, target)),
        3 => prop::collection::vec((path(), prop::option::weighted(0.7, bytes())), 0..8)
            .prop_map(Step::Batch),
        3 => (prop::collection::vec((path(), bytes()), 0..6), prop::collection::vec(path(), 0..4))
            .prop_map(|(writes, removes)| Step::Apply(writes, removes)),
        1 => path().prop_map(Step::RemoveFolder),
    ]
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Puts a file where nothing above or below it is a file.
fn put(files: &mut Files, path: &str, file: (FileType, Vec<u8>)) {
    files.retain(|other, _| !is_below(other, path) && !is_below(path, other));
    files.insert(path.to_owned(), file);
}

fn remove(files: &mut Files, path: &str) {
    files.retain(|other, _| other != path && !is_below(other, path));
}

fn run(files: &mut Files, at: &Snapshot, step: &Step) -> Snapshot {
    match step {
        Step::Write(path, data, mode) => {
            put(files, path, (*mode, data.clone()));
            let options = WriteOptions {
                mode: Some(*mode),
                ..WriteOptions::default()
            };
            at.write(path, data, &options).unwrap()
        }
        Step::Link(path, target) => {
            put(files, path, (FileType::Link, target.clone()));
            at.write_symlink(path, target, &WriteOptions::default())
                .unwrap()
        }
        Step::RemoveFolder(path) => {
            remove(files, path);
            let writes: [(&str, NewContent, Option<FileType>); 0] = [];
            at.apply(writes, [path], CommitOptions::default()).unwrap()
        }
        Step::Batch(changes) => {
            let mut batch = at.batch(CommitOptions::default()).unwrap();
            for (path, data) in changes {
                match data {
                    Some(data) => {
                        put(files, path, (FileType::Blob, data.clone()));
                        batch.write(path, data, None).unwrap();
                    }
                    None => {
                        let was_there = files.remove(path).is_some();
                        assert_eq!(batch.remove(path).is_ok(), was_there, "{path}");
                    }
                }
            }
            batch.commit().unwrap()
        }
        Step::Apply(writes, removes) => {
            // All at once: what is removed was there before, the last write of a path counts, and a folder wins.
            let writes: BTreeMap<_, _> = writes.iter().cloned().collect();
            for path in removes {
                remove(files, path);
            }
            for (path, data) in &writes {
                let is_folder = writes
                    .keys()
                    .any(|other| is_below(other, path) && !removes.contains(other));
                if !removes.contains(path) && !is_folder {
                    put(files, path, (FileType::Blob, data.clone()));
                }
            }
            let writes = writes
                .into_iter()
                .map(|(path, data)| (path, NewContent::Bytes(data), None));
            at.apply(writes, removes, CommitOptions::default()).unwrap()
        }
    }
}

fn read_all(at: &Snapshot) -> Files {
    at.files("")
        .unwrap()
        .map(|file| {
            let (path, mode, _) = file.unwrap();
            let data = at.read(&path, 0, None).unwrap();
            (path.to_string(), (mode.into(), data))
        })
        .collect()
}

fn read_with_git(world: &World) -> Vec<String> {
    let listed = world.git(&["ls-tree", "-rz", "main"]);
    let lines = listed.split('\0').filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_is_a_map_from_paths_to_bytes(steps in prop::collection::vec(step(), 1..20)) {
        let world = World::new();
        let mut files = Files::new();
        let mut at = world.main();
        let mut earlier = Vec::new();
        for step in &steps {
            let before = files.clone();
            let next = run(&mut files, &at, step);
            prop_assert_eq!(next.commit() == at.commit(), before == files, "{:?}", step);
            prop_assert_eq!(&read_all(&next), &files, "{:?}", step);
            earlier.push((at, before));
            at = next;
        }
        for (snapshot, files) in earlier {
            prop_assert_eq!(read_all(&snapshot), files);
        }
        let expected: Vec<String> = at
            .files("")
            .unwrap()
            .map(|file| {
                let (path, mode, id) = file.unwrap();
                format!("{} blob {id}\t{path}", mode.as_six_digits())
            })
            .collect();
        prop_assert_eq!(read_with_git(&world), expected);
        prop_assert_eq!(world.git(&["rev-parse", "main"]), at.commit().to_string());
        world.fsck();
    }
}
