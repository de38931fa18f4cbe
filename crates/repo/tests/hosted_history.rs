//! The index of a history as nodes share it: made once, fetched by others, extended by what is new, lost without loss.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use packhouse_object::{BString, ObjectId};
use packhouse_repo::{Hosted, Repository};

use crate::hosted::{NEVER, Place, new_org, new_repo};
use crate::plain_git::{branch, edit, new_commit, publish, target};

/// Commits on top of `main`, each of which changes the one file.
async fn grow(repo: &Repository, commits: usize) -> ObjectId {
    let view = repo.view().await.unwrap();
    let old = target(&view, &branch("main"));
    let (mut tip, mut objects) = (old, Vec::new());
    for number in 0..commits {
        let (commit, new) = new_commit(tip.as_slice(), &format!("{tip:?} {number}"));
        objects.extend(new);
        tip = Some(commit);
    }
    let edits = vec![edit(&branch("main"), old, tip)];
    publish(repo, objects, edits).await.unwrap();
    tip.unwrap()
}

async fn check(repo: &Repository, tip: ObjectId) {
    let view = repo.view().await.unwrap();
    let paths = vec![BString::from("file"), BString::from("nothing")];
    let found = repo.last_changes(&view, tip, paths).await.unwrap();
    assert_eq!(found[0].unwrap().commit, tip);
    assert_eq!(found[1], None);
}

fn made(node: &Hosted) -> u64 {
    node.stats().history_layers.load(Ordering::Relaxed)
}

async fn stored(place: &Place) -> usize {
    let layers = place.bucket.list("orgs").filter(|found| {
        let is_layer = found.as_ref().unwrap().key.as_str().ends_with(".layer");
        std::future::ready(is_layer)
    });
    layers.count().await
}

async fn opened(node: &Arc<Hosted>, org: packhouse_catalog::OrgId) -> Repository {
    node.repository(org, "r").await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_fetches_what_another_has_made() {
    for place in [Place::local(), Place::with_distant_bucket()] {
        let first = place.node("a", NEVER).await;
        let org = new_org(&first).await;
        let repo = new_repo(&first, org, "r").await;
        let tip = grow(&repo, 600).await;
        assert!(repo.history().await.is_empty());
        check(&repo, tip).await;
        assert_eq!((made(&first), stored(&place).await), (1, 1));
        assert_eq!(repo.history().await.len(), 600);
        check(&repo, tip).await;
        assert_eq!(made(&first), 1);

        // What is new is a layer of its own.
        let tip = grow(&opened(&first, org).await, 10).await;
        check(&opened(&first, org).await, tip).await;
        assert_eq!(made(&first), 1, "ten commits are looked at as they are");
        let view = opened(&first, org).await.view().await.unwrap();
        repo.extend_history_later(&view, tip);
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while repo.history().await.len() < 610 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(repo.history().await.layers().len(), 2);

        let second = place.node("b", NEVER).await;
        let repo = opened(&second, org).await;
        assert_eq!(repo.history().await.len(), 610);
        check(&repo, tip).await;
        assert_eq!(made(&second), 0);
        first.shutdown().await;
        second.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_damaged_index_is_made_anew() {
    let place = Place::with_distant_bucket();
    let first = place.node("a", NEVER).await;
    let org = new_org(&first).await;
    let tip = grow(&new_repo(&first, org, "r").await, 600).await;
    check(&opened(&first, org).await, tip).await;
    let layers = place.bucket.list("orgs").map(|found| found.unwrap().key);
    let layers = layers.filter(|key| std::future::ready(key.as_str().ends_with(".layer")));
    let layer = layers.collect::<Vec<_>>().await.remove(0);

    // The copy that a node has fetched is damaged on its disk.
    let copy = place.folder.path().join("b/cache").join(layer.as_str());
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::write(&copy, b"PHHIST1\nand nothing else").unwrap();
    let second = place.node("b", NEVER).await;
    check(&opened(&second, org).await, tip).await;
    assert_eq!(opened(&second, org).await.history().await.len(), 600);

    place.bucket.delete(&layer).await.unwrap();
    let third = place.node("c", NEVER).await;
    check(&opened(&third, org).await, tip).await;
    assert_eq!(made(&third), 1);
    for node in [first, second, third] {
        node.shutdown().await;
    }
}
