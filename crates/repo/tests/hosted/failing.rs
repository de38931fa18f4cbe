//! Buckets, writes and folders that fail, and what goes on.

use std::sync::Arc;

use packhouse_object::{NewObject, ObjectKind, Received};
use packhouse_repo::{
    Change, Command, CommandStatus, CommitError, Hosted, Namespace, PublishError, Push, RefEdit,
    RepoError,
};
use packhouse_testkit::faults::{FaultPlan, FaultyBucket};

use super::{
    Anything, NEVER, OFTEN, Place, check_complete, first_parents, new_org, new_repo, put, request,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_costs_requests_but_no_commit() {
    let mut place = Place::local();
    let faulty = Arc::new(FaultyBucket::new(
        place.bucket.clone(),
        11,
        FaultPlan::ROUGH,
    ));
    place.bucket = faulty.clone();
    let node = place.node("a", OFTEN).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let mut acknowledged = Vec::new();
    let mut failed = 0;
    for at in 0..60usize {
        // Every third commit is too large for a tail row and goes through the bucket itself.
        let content = if at % 3 == 0 {
            (0..1_500_000).map(|byte| (byte * at % 251) as u8).collect()
        } else {
            vec![at as u8; 30]
        };
        match repo
            .commit(request("main", &format!("f{at}"), content))
            .await
        {
            Ok(made) => acknowledged.push(made.commit),
            Err(CommitError::Repo(_)) => failed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(
        failed > 0 && acknowledged.len() > 20,
        "{failed} failed: the faults did not bite, or nothing got through"
    );
    node.shutdown().await;
    faulty.set_plan(FaultPlan::NONE);
    let after = place.node("b", NEVER).await;
    let repo = after.repository(org, "r").await.unwrap().unwrap();
    check_complete(&repo).await;
    let mut chain = first_parents(&repo).await;
    chain.reverse();
    assert_eq!(
        chain, acknowledged,
        "what was acknowledged is there, and nothing else"
    );
    after.shutdown().await;
}

/// A chain of annotated tags, outermost last, around a blob.
fn nested_tags(depth: usize) -> Vec<NewObject> {
    let mut objects = vec![NewObject::new(ObjectKind::Blob, b"tagged".to_vec()).unwrap()];
    for at in 0..depth {
        let inner = &objects[at];
        let text = format!(
            "object {}\ntype {}\ntag t\ntagger A <a@example.com> 1700000000 +0000\n\nt\n",
            inner.id,
            inner.kind.as_str()
        );
        objects.push(NewObject::new(ObjectKind::Tag, text.into_bytes()).unwrap());
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_group_that_fails_fails_alone() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    put(&repo, "main", "start", "0").await;

    // The first write holds up the lane until the others are queued, so that they make one group. They are queued once
    // it is being prepared: what is queued before that may be taken into its group.
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (prepared, is_prepared) = tokio::sync::oneshot::channel::<()>();
    let mut prepared = Some(prepared);
    let holding = repo.publish("test", Vec::new(), move |_| {
        if let Some(prepared) = prepared.take() {
            prepared.send(()).unwrap();
        }
        gate.lock().unwrap().recv().unwrap();
        Ok::<_, ()>((Change::default(), ()))
    });
    let bad = |depth| {
        let objects = nested_tags(depth);
        let edit = RefEdit {
            name: "refs/tags/deep".parse().unwrap(),
            old: None,
            new: Some(objects.last().unwrap().id),
            message: "test".to_owned(),
        };
        repo.publish("test", Vec::new(), move |_| {
            let change = Change {
                objects: objects.clone(),
                edits: vec![edit.clone()],
            };
            Ok::<_, ()>((change, ()))
        })
    };
    let groups = |node: &Hosted| {
        node.stats()
            .groups
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = groups(&node);
    let others = async {
        is_prepared.await.unwrap();
        tokio::join!(
            biased;
            repo.commit(request("main", "first", "1")),
            bad(100),
            repo.commit(request("main", "second", "2")),
            bad(10),
            async { go.send(()).unwrap() },
        )
    };
    let (_, (first, deep, second, shallow, ())) = tokio::join!(holding, others);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(second.old, Some(first.commit));
    assert!(
        matches!(deep, Err(PublishError::Repo(RepoError::Read(_)))),
        "{:?}",
        deep.err()
    );
    shallow.unwrap();
    assert_eq!(groups(&node) - before, 1, "they were one group");
    let view = repo.view().await.unwrap();
    let tag = view.refs().get(&"refs/tags/deep".parse().unwrap()).unwrap();
    assert_eq!(tag.target, nested_tags(10).last().unwrap().id);
    let left = nested_tags(100).last().unwrap().id;
    assert!(!view.database().contains(&left).unwrap());
    check_complete(&repo).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_nested_too_deep_are_refused_in_words_and_nothing_else_is() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let mut objects = nested_tags(64);
    let command = |name: &str, object: &NewObject| Command {
        name: name.parse().unwrap(),
        old: None,
        new: Some(object.id),
    };
    let commands = vec![
        command("refs/tags/deep", &objects[64]),
        command("refs/tags/allowed", &objects[63]),
    ];
    let deep = objects[64].id;
    objects.reverse();
    let push = Push {
        commands,
        received: Some(Received::Small(objects)),
        atomic: false,
        policy: Arc::new(Anything),
        who: "test".to_owned(),
    };
    let reason = format!(
        "cannot update ref 'refs/tags/deep': tag {deep} is 64 or more tags away from what it names"
    );
    assert_eq!(
        repo.receive(push).await.unwrap(),
        [CommandStatus::Rejected(reason), CommandStatus::Ok]
    );
    let view = repo.view().await.unwrap();
    assert_eq!(
        view.resolve(&deep.to_string(), Namespace::Default).unwrap(),
        None,
        "it names no commit"
    );
    node.shutdown().await;
}

#[tokio::test]
async fn a_node_whose_scratch_folder_vanishes_goes_on() {
    let place = Place::local();
    let node = place.node("node", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "repo").await;
    put(&repo, "main", "a", "1").await;
    std::fs::remove_dir_all(place.folder.path().join("node").join("tmp")).unwrap();
    // Too much for a row, so a pack is made of it.
    let large = vec![b'x'; 3 << 20];
    repo.commit(request("main", "b", large)).await.unwrap();
    put(&repo, "main", "c", "2").await;
    std::fs::remove_dir_all(place.folder.path().join("node").join("tmp")).unwrap();
    let id = node.catalog().repo(org, "repo").await.unwrap().unwrap().id;
    assert!(node.fold(id).await.unwrap().is_some());
    assert!(repo.quarantine_dir().is_dir());
    check_complete(&repo).await;
    node.shutdown().await;
}
