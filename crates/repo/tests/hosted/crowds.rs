//! Many writers at once lose nothing.

use std::collections::HashSet;

use packhouse_repo::CommitError;

use super::{
    NEVER, OFTEN, Place, check_complete, check_reflog, first_parents, new_org, new_repo, put,
    request,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_one_branch_of_two_nodes_loses_nothing() {
    crowd(Place::local()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_on_postgresql_and_s3_loses_nothing() {
    if let Some(place) = Place::remote() {
        crowd(place).await;
    }
}

async fn crowd(place: Place) {
    let nodes = [place.node("a", OFTEN).await, place.node("b", OFTEN).await];
    let org = new_org(&nodes[0]).await;
    let first = put(
        &new_repo(&nodes[0], org, "r").await,
        "main",
        "README",
        "start",
    )
    .await;
    let mut writers = Vec::new();
    for writer in 0..8usize {
        let node = nodes[writer % 2].clone();
        writers.push(tokio::spawn(async move {
            let repo = node.repository(org, "r").await.unwrap().unwrap();
            let mut made = Vec::new();
            for at in 0..25usize {
                let content = if at == 10 {
                    vec![writer as u8; 2 << 20]
                } else {
                    format!("{writer} {at}").into_bytes()
                };
                made.push(
                    repo.commit(request("main", &format!("w{writer}/f{at}"), content))
                        .await
                        .unwrap()
                        .commit,
                );
            }
            made
        }));
    }
    let mut acknowledged = HashSet::from([first.commit]);
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    for node in &nodes {
        let repo = node.repository(org, "r").await.unwrap().unwrap();
        let listed = first_parents(&repo).await;
        assert_eq!(listed.len(), 201);
        assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), acknowledged);
        check_reflog(&repo, listed).await;
        check_complete(&repo).await;
    }
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guards_in_a_crowd_let_exactly_one_through_each_time() {
    let place = Place::local();
    let nodes = [place.node("a", NEVER).await, place.node("b", NEVER).await];
    let org = new_org(&nodes[0]).await;
    let mut head = put(&new_repo(&nodes[0], org, "r").await, "main", "f", "start")
        .await
        .commit;
    for round in 0..20 {
        let mut tries = Vec::new();
        for writer in 0..6 {
            let node = nodes[writer % 2].clone();
            tries.push(tokio::spawn(async move {
                let repo = node.repository(org, "r").await.unwrap().unwrap();
                let mut guarded = request("main", "f", format!("{round} {writer}"));
                guarded.expected_head = Some(head);
                repo.commit(guarded).await
            }));
        }
        let mut won = Vec::new();
        let mut refused = Vec::new();
        for attempt in tries {
            match attempt.await.unwrap() {
                Ok(outcome) => won.push(outcome.commit),
                Err(CommitError::HeadMoved { found, .. }) => refused.push(found.unwrap()),
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        assert!(
            refused.iter().all(|found| *found == won[0]),
            "a refusal names the head that won"
        );
        head = won[0];
    }
    for node in nodes {
        node.shutdown().await;
    }
}
