//! What a write by itself means: its base, its guards, and what it may be made on.

use packhouse_repo::{CommitError, RepoError};

use super::{NEVER, Place, branch, history, new_org, new_repo, put, request};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_commit_needs_no_base_and_the_next_branch_does() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;

    let first = put(&repo, "main", "a", "1").await;
    assert_eq!(first.old, None);
    let second = put(&repo, "main", "b", "2").await;
    assert_eq!(second.old, Some(first.commit));
    let mut listed = history(&repo, "main").await;
    listed.sort();
    let mut expected = vec![second.commit, first.commit];
    expected.sort();
    assert_eq!(listed, expected);

    let missing = repo.commit(request("side", "c", "3")).await;
    assert!(
        matches!(missing, Err(CommitError::BranchMissing { .. })),
        "{missing:?}"
    );
    let mut based = request("side", "c", "3");
    based.base = Some(branch("main"));
    based.expected_head = Some(second.commit);
    let side = repo.commit(based).await.unwrap();
    assert_eq!(side.old, None);
    assert_eq!(history(&repo, "side").await.len(), 3);

    let mut unknown_base = request("other", "c", "3");
    unknown_base.base = Some(branch("nowhere"));
    assert!(matches!(
        repo.commit(unknown_base).await,
        Err(CommitError::BaseMissing { .. })
    ));
    let mut inside = request("main/sub", "c", "3");
    inside.base = Some(branch("main"));
    assert!(matches!(
        repo.commit(inside).await,
        Err(CommitError::NameTaken { .. })
    ));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_that_does_not_hold_stores_nothing() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let first = put(&repo, "main", "a", "1").await;
    let second = put(&repo, "main", "a", "2").await;
    let before = repo.view().await.unwrap().generation();
    let mut stale = request("main", "a", "3");
    stale.expected_head = Some(first.commit);
    match repo.commit(stale).await {
        Err(CommitError::HeadMoved {
            expected, found, ..
        }) => assert_eq!((expected, found), (first.commit, Some(second.commit))),
        other => panic!("{other:?}"),
    }
    assert_eq!(repo.view().await.unwrap().generation(), before);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_to_a_deleted_repository_fails_and_names_the_reason() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    put(&repo, "main", "a", "1").await;
    node.catalog().delete_repo(org, "r").await.unwrap();
    let late = repo.commit(request("main", "a", "2")).await;
    // Not within a failure that the writes of a group share: callers tell it apart.
    let is_gone = matches!(late, Err(CommitError::Repo(RepoError::Gone)));
    assert!(is_gone, "{late:?}");
    assert!(repo.view().await.is_ok() || node.repository(org, "r").await.unwrap().is_none());
    let again = new_repo(&node, org, "r").await;
    assert!(
        again.view().await.unwrap().refs().is_empty(),
        "a repository made anew starts empty"
    );
    node.shutdown().await;
}
