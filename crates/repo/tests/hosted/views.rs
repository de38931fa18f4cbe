//! What is read stays the same through folds, and when a view is brought up to date.

use std::sync::Arc;

use packhouse_repo::{DeleteBranch, View};

use super::{
    Anything, NEVER, OFTEN, Place, branch, check_complete, content, history, new_org, new_repo,
    put, request,
};

#[tokio::test(flavor = "multi_thread")]
async fn folding_changes_nothing_that_can_be_read() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    for at in 0..10 {
        put(&repo, "main", &format!("d{}/f", at % 3), &format!("{at}")).await;
    }
    let before = history(&repo, "main").await;
    let row = node.catalog().repo(org, "r").await.unwrap().unwrap();
    assert_eq!(row.tail_rows, 10);
    let report = node.fold(row.id).await.unwrap().unwrap();
    assert_eq!(report.rows, 10);
    let row = node.catalog().repo(org, "r").await.unwrap().unwrap();
    assert_eq!((row.tail_rows, row.tail_bytes), (0, 0));
    assert!(
        node.fold(row.id).await.unwrap().is_none(),
        "an empty tail is not folded"
    );
    assert_eq!(history(&repo, "main").await, before);
    put(&repo, "main", "after", "x").await;
    assert_eq!(content(&repo, "main", "d0/f").await.unwrap(), b"9");
    // A node that knows nothing reads the same.
    let fresh = place.node("b", NEVER).await;
    let other = fresh.repository(org, "r").await.unwrap().unwrap();
    assert_eq!(history(&other, "main").await.len(), before.len() + 1);
    check_complete(&other).await;
    for node in [node, fresh] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_view_is_brought_up_to_date_to_what_a_fresh_one_shows() {
    let place = Place::local();
    let writer = place.node("w", OFTEN).await;
    let reader = place.node("r", NEVER).await;
    let org = new_org(&writer).await;
    let repo = new_repo(&writer, org, "r").await;
    put(&repo, "main", "start", "0").await;
    let known = reader.repository(org, "r").await.unwrap().unwrap();
    for at in 0..40usize {
        let mut one = request(
            &format!("b{}", at * 7 % 4),
            &format!("d{}/f", at * 5 % 3),
            format!("{at}"),
        );
        one.base = Some(branch("main"));
        repo.commit(one).await.unwrap();
        if at % 5 == 4 {
            let name = branch(&format!("b{}", at * 3 % 4));
            repo.delete_branch(DeleteBranch {
                name,
                policy: Arc::new(Anything),
                who: "test".to_owned(),
            })
            .await
            .ok();
        }
        let view = known.view().await.unwrap();
        let fresh_node = place.node(&format!("f{at}"), NEVER).await;
        let fresh = fresh_node
            .repository(org, "r")
            .await
            .unwrap()
            .unwrap()
            .view()
            .await
            .unwrap();
        let refs = |view: &View| {
            view.refs()
                .iter()
                .map(|(name, one)| (name.clone(), one.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(refs(&view), refs(&fresh));
        for (_, one) in fresh.refs().iter() {
            assert_eq!(
                view.database().commit(one.target).unwrap(),
                fresh.database().commit(one.target).unwrap()
            );
        }
        fresh_node.shutdown().await;
    }
    writer.shutdown().await;
    reader.shutdown().await;
}
