//! The index of history over random histories: last changes are those of `git log -1 -- PATH`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use packhouse_object::{
    BString, BuildHistoryError, Database, HistoryIndex, HistoryLayer, HistoryLayerError,
    LastChanges, ObjectId, PathWatch, ReadError, extend_history, last_changes,
};
use packhouse_testkit::history::HistoryOptions;

use crate::git::Git;
use crate::repositories::{commits, database, pick, random};

/// The index with what `tips` reach; its layers are kept in `dir`.
fn extended(db: &Database, index: &HistoryIndex, tips: &[ObjectId], dir: &Path) -> HistoryIndex {
    let added = extend_history(db, index, tips, dir, &AtomicBool::new(false)).unwrap();
    let Some((kept, layer)) = added else {
        return index.clone();
    };
    let path = layer.path.keep().unwrap();
    let opened = HistoryLayer::open(&path).unwrap();
    assert_eq!(
        (opened.key(), opened.end(), opened.bytes()),
        (layer.key, layer.end, layer.bytes)
    );
    let mut layers = index.layers()[..kept].to_vec();
    layers.push(Arc::new(opened));
    HistoryIndex::new(layers).unwrap()
}

/// Every file and folder of a commit.
fn all_paths(git: &Git, commit: &ObjectId) -> Vec<BString> {
    let listed = git.run(&[
        "ls-tree",
        "-r",
        "-t",
        "-z",
        "--name-only",
        &commit.to_string(),
    ]);
    let names = listed.split(|byte| *byte == 0);
    names
        .filter(|name| !name.is_empty())
        .map(BString::from)
        .collect()
}

fn last_in_git(git: &Git, commit: &ObjectId, path: &BString) -> String {
    let output = Command::new("git")
        .args(["--literal-pathspecs", "log", "-1", "--format=%H %ct"])
        .arg(commit.to_string())
        .arg("--")
        .arg(OsStr::from_bytes(path))
        .current_dir(git.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn shown(found: &LastChanges) -> Vec<String> {
    let change = |change: &Option<_>| {
        change
            .as_ref()
            .map_or(String::new(), |change: &packhouse_object::LastChange| {
                format!("{} {}", change.commit, change.seconds)
            })
    };
    found.changes.iter().map(change).collect()
}

#[test]
fn last_changes_are_those_of_git_with_any_index() {
    let mut merges = 0;
    for seed in 0..6 {
        let options = HistoryOptions {
            commits: 70,
            branches: 4,
            clocks_lie: seed % 2 == 0,
            ..HistoryOptions::small(seed + 500)
        };
        let git = random(&options);
        let db = database(&git);
        let all = commits(&git);
        merges += git.run(&["rev-list", "--all", "--min-parents=2"]).len() / 41;
        let dir = tempfile::tempdir().unwrap();
        let tip = git.id("main");
        let paths = all_paths(&git, &tip);
        let expected: Vec<_> = paths
            .iter()
            .map(|path| last_in_git(&git, &tip, path))
            .collect();

        // Without an index, with ever more of one in several layers, and with all.
        let mut index = HistoryIndex::default();
        for place in 0..6 {
            let found = last_changes(&db, &index, tip, &paths, 1000)
                .unwrap()
                .unwrap();
            assert_eq!(shown(&found), expected, "seed {seed}, {index:?}");
            index = extended(
                &db,
                &index,
                &[all[pick(seed, place, all.len())]],
                dir.path(),
            );
        }
        index = extended(&db, &index, &[tip], dir.path());
        let found = last_changes(&db, &index, tip, &paths, 0).unwrap().unwrap();
        assert_eq!(found.missing, 0);
        assert_eq!(shown(&found), expected, "seed {seed}, all of {index:?}");

        // One by one it is the same as all together, and at older commits too.
        let other = all[pick(seed, 99, all.len())];
        index = extended(&db, &index, &[other], dir.path());
        for path in all_paths(&git, &other) {
            let one = std::slice::from_ref(&path);
            let found = last_changes(&db, &index, other, one, 0).unwrap().unwrap();
            assert_eq!(
                shown(&found),
                [last_in_git(&git, &other, &path)],
                "seed {seed} {path}"
            );
        }
    }
    assert!(merges > 45, "{merges} merges");
}

#[test]
fn what_is_in_the_index_is_what_the_commits_say() {
    for seed in 0..4 {
        let git = random(&HistoryOptions {
            commits: 80,
            ..HistoryOptions::small(seed + 900)
        });
        let (db, all) = (database(&git), commits(&git));
        let dir = tempfile::tempdir().unwrap();
        let mut index = HistoryIndex::default();
        for tip in all.iter().rev() {
            index = extended(&db, &index, &[*tip], dir.path());
        }
        assert_eq!(index.len() as usize, all.len());
        // Each layer has more than twice the commits of the next one.
        assert!(index.layers().len() <= 7, "{index:?}");
        for id in &all {
            let position = index.position(id).unwrap();
            let commit = db.commit(id).unwrap();
            assert_eq!(index.id(position), *id);
            assert_eq!(index.tree(position), commit.tree);
            assert_eq!(index.seconds(position), commit.committer.seconds);
            let parents: Vec<_> = index.parents(position);
            assert!(parents.iter().all(|parent| *parent < position));
            let parents: Vec<_> = parents.iter().map(|parent| index.id(*parent)).collect();
            assert_eq!(parents, commit.parents);
        }
        assert_eq!(index.position(&db.commit(all[0]).unwrap().tree), None);
    }
}

#[test]
fn a_watch_knows_which_commits_change_a_path() {
    let git = random(&HistoryOptions {
        commits: 60,
        ..HistoryOptions::small(77)
    });
    let (db, all) = (database(&git), commits(&git));
    let dir = tempfile::tempdir().unwrap();
    let index = extended(&db, &HistoryIndex::default(), &all, dir.path());
    let tip = git.id("main");
    let mut said = 0;
    for path in all_paths(&git, &tip) {
        let watch = PathWatch::new(&index, path.clone());
        for id in all.iter().step_by(3) {
            let commit = db.commit(id).unwrap();
            let Some(parent) = commit.parents.first() else {
                assert_eq!(watch.is_changed(index.position(id).unwrap()), None);
                continue;
            };
            let (parent, id) = (parent.to_string(), id.to_string());
            let range = [OsStr::new(&parent), OsStr::new(&id)];
            let output = Command::new("git")
                .args(["--literal-pathspecs", "diff-tree", "-r", "--name-only"])
                .args(range)
                .arg("--")
                .arg(OsStr::from_bytes(&path))
                .current_dir(git.path())
                .output()
                .unwrap();
            let position = index.position(&git.id(&id)).unwrap();
            assert_eq!(
                watch.is_changed(position),
                Some(!output.stdout.is_empty()),
                "{path} {id}"
            );
            said += 1;
        }
    }
    assert!(said > 100, "{said}");
}

/// A history of one branch whose commits each change one file of a folder.
fn linear(commits: usize) -> Git {
    let mut stream = String::new();
    for number in 0..commits {
        stream += "commit refs/heads/main\ncommitter A <a> 1700000000 +0000\ndata 0\n";
        let files = if number == 0 {
            0..600
        } else {
            number * 7 % 500..number * 7 % 500 + 1
        };
        for file in files {
            stream += &format!(
                "M 100644 inline dir/f{file}\ndata {}\n{number}\n",
                number.to_string().len()
            );
        }
    }
    let git = Git::init();
    git.run_with(
        &["-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"],
        stream.as_bytes(),
    );
    git
}

#[test]
fn a_commit_that_changes_much_and_files_that_rest_are_found() {
    let git = linear(300);
    let (db, tip) = (database(&git), git.id("main"));
    let dir = tempfile::tempdir().unwrap();
    let index = extended(&db, &HistoryIndex::default(), &[tip], dir.path());
    let paths = all_paths(&git, &tip);
    let found = last_changes(&db, &index, tip, &paths, 0).unwrap().unwrap();
    let root = git.id("main~299");
    for (path, change) in paths.iter().zip(&found.changes) {
        let change = change.unwrap();
        if path.starts_with(b"dir/f5") && path.len() == 8 {
            assert_eq!(change.commit, root, "{path} is in the first commit only");
        }
    }
    for path in paths.iter().step_by(60) {
        let at = paths.iter().position(|other| other == path).unwrap();
        assert_eq!(shown(&found)[at], last_in_git(&git, &tip, path), "{path}");
    }
}

#[test]
fn what_never_was_has_no_last_change_and_what_is_gone_has_one() {
    let git = Git::init();
    let stream = "commit refs/heads/main\ncommitter A <a> 1 +0000\ndata 0\nM 100644 inline a\ndata 0\n\n\
        M 100644 inline b\ndata 0\n\ncommit refs/heads/main\ncommitter A <a> 2 +0000\ndata 0\nD a\n\n";
    git.run_with(&["fast-import", "--quiet"], stream.as_bytes());
    let (db, tip) = (database(&git), git.id("main"));
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c", "b/c"].map(BString::from);
    let full = extended(&db, &HistoryIndex::default(), &[tip], dir.path());
    for index in [HistoryIndex::default(), full] {
        let found = last_changes(&db, &index, tip, &paths, 10).unwrap().unwrap();
        let commits: Vec<_> = found
            .changes
            .iter()
            .map(|change| change.map(|it| it.commit))
            .collect();
        assert_eq!(commits, [Some(tip), Some(git.id("main~1")), None, None]);
    }
}

#[test]
fn too_many_missing_commits_are_not_walked() {
    let git = linear(50);
    let (db, tip) = (database(&git), git.id("main"));
    let index = HistoryIndex::default();
    assert_eq!(last_changes(&db, &index, tip, &[], 49).unwrap(), None);
    assert!(last_changes(&db, &index, tip, &[], 51).unwrap().is_some());
    let dir = tempfile::tempdir().unwrap();
    let cancelled = extend_history(&db, &index, &[tip], dir.path(), &AtomicBool::new(true));
    assert!(matches!(
        cancelled,
        Err(BuildHistoryError::Read(ReadError::Cancelled))
    ));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn damaged_layers_and_layers_out_of_place_are_refused() {
    let git = linear(20);
    let (db, tip) = (database(&git), git.id("main"));
    let dir = tempfile::tempdir().unwrap();
    let base = extended(
        &db,
        &HistoryIndex::default(),
        &[git.id("main~3")],
        dir.path(),
    );
    let index = extended(&db, &base, &[tip], dir.path());
    let [bottom, top] = index.layers() else {
        panic!("{index:?}")
    };
    assert_eq!(top.below(), Some(bottom.key()));
    let alone = HistoryIndex::new(vec![top.clone()]);
    assert!(matches!(alone, Err(HistoryLayerError::Detached)));
    let twice = HistoryIndex::new(vec![bottom.clone(), bottom.clone()]);
    assert!(matches!(twice, Err(HistoryLayerError::Detached)));

    let file = std::fs::read_dir(dir.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let good = std::fs::read(&file).unwrap();
    let bad = dir.path().join("bad");
    for at in (0..good.len()).step_by(37) {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        std::fs::write(&bad, &bytes).unwrap();
        assert!(HistoryLayer::open(&bad).is_err(), "flip at {at}");
        std::fs::write(&bad, &good[..at]).unwrap();
        assert!(HistoryLayer::open(&bad).is_err(), "cut at {at}");
    }
    assert!(HistoryLayer::open(&dir.path().join("nothing")).is_err());
}

#[test]
fn a_layer_with_more_commits_than_can_be_counted_is_refused() {
    let layer = |first: u32| {
        let mut bytes = b"PHHIST1\n".to_vec();
        for word in [1, first, 0, 0] {
            bytes.extend_from_slice(&u32::to_le_bytes(word));
        }
        // The header, the table of first bytes, one commit, and where its changes and the paths end.
        bytes.resize(72 + 256 * 4 + 64 + 4 + 4, 0);
        let key = *blake3::hash(&bytes).as_bytes();
        bytes.extend_from_slice(&key);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        HistoryLayer::open(file.path())
    };
    assert_eq!(layer(u32::MAX - 1).unwrap().end(), u32::MAX);
    assert!(matches!(
        layer(u32::MAX),
        Err(HistoryLayerError::Damaged { .. })
    ));
}
