//! The bucket in memory.

use std::sync::Arc;

use packhouse_bucket::{Key, RemoteBucket, conformance, memory, open};

#[tokio::test]
async fn conforms() {
    conformance::run(&memory()).await;
}

#[tokio::test]
async fn conforms_below_a_prefix_and_leaves_the_rest_alone() {
    let store = Arc::new(object_store::memory::InMemory::new());
    let whole = RemoteBucket::new(store.clone(), None, "whole".to_owned());
    let part = RemoteBucket::new(
        store,
        Some(Key::parse("team/a").unwrap()),
        "part".to_owned(),
    );
    conformance::run(&part).await;
    use packhouse_bucket::Bucket;
    let key = Key::parse("x/y").unwrap();
    part.put(&key, "inside".into()).await.unwrap();
    assert_eq!(
        whole.get(&Key::parse("team/a/x/y").unwrap()).await.unwrap(),
        "inside"
    );
    assert!(whole.get(&key).await.unwrap_err().is_not_found());
    whole
        .put(&Key::parse("team/ab/z").unwrap(), "outside".into())
        .await
        .unwrap();
    let listed: Vec<_> = futures::StreamExt::collect(part.list("")).await;
    assert_eq!(
        listed
            .into_iter()
            .map(|listed| listed.unwrap().key)
            .collect::<Vec<_>>(),
        [key]
    );
}

#[tokio::test]
async fn two_buckets_in_memory_share_nothing() {
    let key = Key::parse("k").unwrap();
    open("memory:")
        .unwrap()
        .put(&key, "v".into())
        .await
        .unwrap();
    assert_eq!(open("memory:").unwrap().size(&key).await.unwrap(), None);
}
