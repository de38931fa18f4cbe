//! Refs that stand for others.

use packhouse_repo::RepoError;
use packhouse_repo::directory::DirectoryError;

use crate::bare::{assert_chain, empty, main_branch};
use crate::plain_git::{assert_sound, branch, commit_on, edit, git, publish, target};

#[tokio::test(flavor = "multi_thread")]
async fn symbolic_refs_are_followed() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    git(
        &path,
        &["symbolic-ref", "refs/heads/alias", "refs/heads/main"],
    );
    git(
        &path,
        &["symbolic-ref", "refs/heads/nowhere", "refs/heads/unborn"],
    );
    let view = repository.view().await.unwrap();
    assert_eq!(
        (
            target(&view, &branch("alias")),
            target(&view, &branch("nowhere"))
        ),
        (Some(first), None)
    );
    let second = commit_on(&repository, &branch("alias"), "two")
        .await
        .unwrap();
    assert_eq!(git(&path, &["rev-parse", "main"]), second.to_string());
    assert_eq!(
        git(&path, &["symbolic-ref", "refs/heads/alias"]),
        "refs/heads/main"
    );
    assert_eq!(
        git(&path, &["reflog", "--format=%H", "-n1", "refs/heads/alias"]),
        second.to_string()
    );
    let twice = vec![
        edit(&branch("alias"), Some(second), Some(first)),
        edit(&main_branch(), Some(second), Some(first)),
    ];
    let error = publish(&repository, Vec::new(), twice).await.unwrap_err();
    assert!(
        matches!(
            error,
            RepoError::Directory(DirectoryError::EditedTwice { .. })
        ),
        "{error:?}"
    );
    git(
        &path,
        &["symbolic-ref", "refs/heads/round", "refs/heads/round2"],
    );
    git(
        &path,
        &["symbolic-ref", "refs/heads/round2", "refs/heads/round"],
    );
    assert!(
        commit_on(&repository, &branch("round"), "round")
            .await
            .is_err()
    );
    assert_eq!(assert_chain(&repository, &main_branch()).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symbolic_ref_is_deleted_alone() {
    let (_folder, path, repository) = empty();
    let first = commit_on(&repository, &main_branch(), "one").await.unwrap();
    for packed in [false, true] {
        let symbolic = ["alias", "again"].map(|name| {
            let full = branch(name);
            git(
                &path,
                &["symbolic-ref", &full.to_string(), "refs/heads/main"],
            );
            full
        });
        if packed {
            git(&path, &["pack-refs", "--all"]);
        }
        let alone = vec![edit(&symbolic[0], Some(first), None)];
        publish(&repository, Vec::new(), alone).await.unwrap();
        assert_eq!(git(&path, &["rev-parse", "main"]), first.to_string());
        assert!(!path.join("refs/heads/alias").exists());
        let view = repository.view().await.unwrap();
        assert_eq!(target(&view, &branch("alias")), None);

        // Beside what it leads to.
        git(&path, &["branch", "keep", "main"]);
        let both = vec![
            edit(&main_branch(), Some(first), None),
            edit(&symbolic[1], Some(first), None),
        ];
        publish(&repository, Vec::new(), both).await.unwrap();
        assert_eq!(
            git(&path, &["for-each-ref", "--format=%(refname)"]),
            "refs/heads/keep"
        );
        assert!(!path.join("refs/heads/again").exists());
        git(&path, &["branch", "-m", "keep", "main"]);
    }
    assert_sound(&path);
}
