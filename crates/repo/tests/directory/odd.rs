//! Repositories that are stored otherwise, damaged, or protected.

use std::fs;

use packhouse_object::ObjectId;
use packhouse_repo::directory::{DirectoryError, DirectoryOptions, OpenError, Served, init, open};
use packhouse_repo::{RepoError, fsck};

use crate::bare::{empty, main_branch};
use crate::plain_git::{branch, commit_on, git, target};

#[test]
fn other_forms_of_storage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let refused = |name: &str| open(root.join(name), DirectoryOptions::default()).unwrap_err();
    git(
        root,
        &[
            "init",
            "-q",
            "--bare",
            "--object-format=sha256",
            "sha256.git",
        ],
    );
    assert!(
        matches!(refused("sha256.git"), OpenError::Unsupported { feature, .. } if feature == "object format sha256")
    );
    git(root, &["init", "-q", "working"]);
    assert!(matches!(refused("working"), OpenError::WorkingCopy { .. }));
    assert!(matches!(
        refused("working/.git"),
        OpenError::WorkingCopy { .. }
    ));
    git(root, &["init", "-q", "--bare", "reftable.git"]);
    git(
        &root.join("reftable.git"),
        &["config", "core.repositoryformatversion", "1"],
    );
    fs::write(
        root.join("reftable.git/config"),
        "[core]\nrepositoryformatversion=1\nbare=true\n[extensions]\nrefStorage = reftable\n",
    )
    .unwrap();
    assert!(
        matches!(refused("reftable.git"), OpenError::Unsupported { feature, .. } if feature == "ref storage reftable")
    );
    fs::write(
        root.join("reftable.git/config"),
        "[core]\nrepositoryformatversion=1\nbare=true\n[extensions]\nnewer = 1\n",
    )
    .unwrap();
    assert!(
        matches!(refused("reftable.git"), OpenError::Unsupported { feature, .. } if feature == "extension newer")
    );
    git(root, &["init", "-q", "--bare", "partial.git"]);
    git(
        &root.join("partial.git"),
        &["config", "remote.origin.promisor", "true"],
    );
    assert!(
        matches!(refused("partial.git"), OpenError::Unsupported { feature, .. } if feature.starts_with("partial clone"))
    );
    fs::write(root.join("file"), "").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    assert!(matches!(refused("folder"), OpenError::NoRepository { .. }));
    assert!(matches!(refused("file"), OpenError::NoRepository { .. }));
    assert!(matches!(refused("missing"), OpenError::Io { .. }));
    assert!(matches!(
        init(root.join("working"), &main_branch()),
        Err(OpenError::NotEmpty { .. })
    ));
    assert!(matches!(
        init(root.join("file"), &main_branch()),
        Err(OpenError::NotEmpty { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_can_be_read() {
    let (folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let second = commit_on(&repository, &main_branch(), "two").await.unwrap();
    let url = format!("file://{}", path.display());
    git(
        folder.path(),
        &["clone", "-q", "--bare", "--depth=1", &url, "shallow.git"],
    );
    let shallow = open(
        folder.path().join("shallow.git"),
        DirectoryOptions::default(),
    )
    .unwrap();
    assert_eq!(
        target(&shallow.view().await.unwrap(), &main_branch()),
        Some(second)
    );
    let read_only = open(
        &path,
        DirectoryOptions {
            read_only: true,
            ..DirectoryOptions::default()
        },
    )
    .unwrap();
    for repository in [shallow, read_only] {
        let error = commit_on(&repository, &main_branch(), "three")
            .await
            .unwrap_err();
        assert!(
            matches!(error, RepoError::Directory(DirectoryError::ReadOnly { .. })),
            "{error:?}"
        );
    }
    git(
        &path,
        &["update-ref", "--no-deref", "HEAD", &first.to_string()],
    );
    let error = repository.view().await.unwrap_err();
    assert!(
        matches!(
            error,
            RepoError::Directory(DirectoryError::DetachedHead { .. })
        ),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_refs_do_not_hide_the_others() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    fs::write(path.join("refs/heads/broken"), "").unwrap();
    fs::write(path.join("refs/heads/not valid"), format!("{first}\n")).unwrap();
    fs::write(
        path.join("refs/heads/dangling"),
        format!("{}\n", "1".repeat(40)),
    )
    .unwrap();
    let view = repository.view().await.unwrap();
    let names: Vec<_> = view
        .refs()
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["refs/heads/dangling", "refs/heads/main"]);
    let report = fsck(&view, &()).unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(
        commit_on(&repository, &branch("broken"), "x")
            .await
            .is_err()
    );
    commit_on(&repository, &main_branch(), "two").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_is_named_and_only_programs_that_remove_nothing_go_on() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    let name = format!("objects/pack/pack-{}", "1".repeat(40));
    fs::create_dir_all(path.join("objects/pack")).unwrap();
    for part in ["pack", "idx"] {
        fs::write(path.join(&name).with_extension(part), [0u8; 2000]).unwrap();
    }
    let idx = fs::canonicalize(path.join(name).with_extension("idx")).unwrap();

    let strict = open(&path, DirectoryOptions::default()).unwrap();
    let error = strict.view().await.unwrap_err().to_string();
    assert!(error.contains(idx.to_str().unwrap()), "{error}");

    let served = Served::open(&path).unwrap();
    let view = served.view().unwrap();
    let database = view.database();
    let damaged: Vec<_> = database
        .damaged_packs()
        .iter()
        .map(|pack| pack.path.clone())
        .collect();
    assert_eq!(damaged, std::slice::from_ref(&idx));
    assert!(database.commit(first).is_ok());
    let missing = ObjectId::from_hex("2".repeat(40).as_bytes()).unwrap();
    assert!(!database.contains(&missing).unwrap());
    let error = database.commit(missing).unwrap_err();
    assert!(error.is_not_found());
    assert!(error.to_string().contains(idx.to_str().unwrap()), "{error}");

    // It is looked at again: somebody may have put it right.
    for part in ["pack", "idx"] {
        fs::remove_file(idx.with_extension(part)).unwrap();
    }
    assert!(served.database().unwrap().damaged_packs().is_empty());
}
