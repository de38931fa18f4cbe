//! An empty bare repository, and looks at what is in one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::Repository;
use packhouse_repo::directory::{DirectoryOptions, init, open};
use tempfile::TempDir;

use crate::plain_git::{branch, git, target};

pub(crate) fn main_branch() -> RefName {
    branch("main")
}

pub(crate) fn empty() -> (TempDir, PathBuf, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository.git");
    init(&path, &main_branch()).unwrap();
    let repository = open(&path, DirectoryOptions::default()).unwrap();
    (folder, path, repository)
}

/// The reflog of a branch is one chain from nothing to where the branch is. Returns its length.
pub(crate) async fn assert_chain(repository: &Repository, name: &RefName) -> usize {
    let log = repository
        .reflog(Some(name.as_bytes()), None, u32::MAX)
        .await
        .unwrap();
    let mut at = None;
    for entry in &log {
        assert_eq!(entry.old, at, "{entry:?}");
        at = entry.new;
    }
    assert_eq!(at, target(&repository.view().await.unwrap(), name));
    log.len()
}

pub(crate) fn commit_with_git(path: &Path, parent: Option<ObjectId>) -> String {
    let tree = git(path, &["mktree"]);
    match parent {
        Some(parent) => git(
            path,
            &[
                "commit-tree",
                &tree,
                "-m",
                "by git",
                "-p",
                &parent.to_string(),
            ],
        ),
        None => git(path, &["commit-tree", &tree, "-m", "by git"]),
    }
}

/// Locks and temporary files, relative to the folder.
pub(crate) fn leftovers(path: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(".lock") && name != "gitstore.lock"
                || name == "gitstore.new"
                || name.contains("tmp")
                || entry
                    .path()
                    .parent()
                    .unwrap()
                    .ends_with("incoming-packhouse")
            {
                found.insert(
                    entry
                        .path()
                        .strip_prefix(path)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
            }
        }
    }
    found
}
