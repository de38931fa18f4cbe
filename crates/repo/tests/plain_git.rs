//! `git` as a process, and commits made by hand.

use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use packhouse_object::{
    Commit, EntryMode, NewObject, ObjectId, ObjectKind, RefName, Signature, Tree, TreeEntry,
};
use packhouse_repo::{Change, PublishError, RefEdit, RepoError, Repository, View};

/// Runs `git` in a folder, apart from any configuration of this machine.
pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Git")
            .env(format!("GIT_{role}_EMAIL"), "git@example.org");
    }
    command.output().unwrap()
}

/// What `git` prints; it must succeed.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "git {arguments:?} in {}: {error}",
        folder.display()
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// Whether `git` succeeds.
pub(crate) fn git_ok(folder: &Path, arguments: &[&str]) -> bool {
    try_git(folder, arguments).status.success()
}

/// `git fsck` must find nothing at all.
pub(crate) fn assert_sound(folder: &Path) {
    let output = try_git(
        folder,
        &[
            "fsck",
            "--full",
            "--strict",
            "--no-dangling",
            "--no-progress",
        ],
    );
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    // Notices tell of repositories without refs, which is nothing wrong.
    let found: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("notice: "))
        .collect();
    assert!(output.status.success() && found.is_empty(), "{text}");
}

pub(crate) fn id(hex: &str) -> ObjectId {
    ObjectId::from_hex(hex.as_bytes()).unwrap()
}

pub(crate) fn branch(short: &str) -> RefName {
    RefName::branch(short).unwrap()
}

/// A commit with one file, and its objects.
pub(crate) fn new_commit(parents: &[ObjectId], text: &str) -> (ObjectId, Vec<NewObject>) {
    let object = |kind, data: Vec<u8>| NewObject::new(kind, Bytes::from(data)).unwrap();
    let blob = object(ObjectKind::Blob, text.as_bytes().to_vec());
    let entries = vec![TreeEntry {
        mode: EntryMode::Blob,
        name: "file".into(),
        id: blob.id,
    }];
    let tree = object(ObjectKind::Tree, Tree { entries }.encode());
    let someone = Signature {
        name: "Ada".into(),
        email: "ada@example.org".into(),
        seconds: 1_700_000_000,
        offset_minutes: 0,
    };
    let commit = Commit {
        tree: tree.id,
        parents: parents.to_vec(),
        author: someone.clone(),
        committer: someone,
        extra_headers: Vec::new(),
        message: text.into(),
    };
    let commit = object(ObjectKind::Commit, commit.encode());
    (commit.id, vec![blob, tree, commit])
}

pub(crate) fn edit(name: &RefName, old: Option<ObjectId>, new: Option<ObjectId>) -> RefEdit {
    RefEdit {
        name: name.clone(),
        old,
        new,
        message: "test".to_owned(),
    }
}

pub(crate) fn target(view: &View, name: &RefName) -> Option<ObjectId> {
    view.refs().get(name).map(|value| value.target)
}

/// Commits on top of a branch, wherever it is.
pub(crate) async fn commit_on(
    repository: &Repository,
    name: &RefName,
    text: &str,
) -> Result<ObjectId, RepoError> {
    let (name, text) = (name.clone(), text.to_owned());
    let published = repository.publish("Ada <ada@example.org>", Vec::new(), move |view| {
        let old = target(view, &name);
        let (commit, objects) = new_commit(old.as_slice(), &text);
        Ok::<_, ()>((
            Change {
                objects,
                edits: vec![edit(&name, old, Some(commit))],
            },
            commit,
        ))
    });
    published
        .await
        .map(|(commit, _)| commit)
        .map_err(no_refusal)
}

/// Publishes edits as they are.
pub(crate) async fn publish(
    repository: &Repository,
    objects: Vec<NewObject>,
    edits: Vec<RefEdit>,
) -> Result<(), RepoError> {
    let published = repository.publish("Ada <ada@example.org>", Vec::new(), move |_| {
        Ok::<_, ()>((
            Change {
                objects: objects.clone(),
                edits: edits.clone(),
            },
            (),
        ))
    });
    published.await.map(|_| ()).map_err(no_refusal)
}

fn no_refusal(error: PublishError<()>) -> RepoError {
    match error {
        PublishError::Repo(error) => error,
        PublishError::Refused(()) => panic!("nothing was refused"),
    }
}
