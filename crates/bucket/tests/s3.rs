//! A real S3 service, the one that `make test` starts.

use std::sync::Arc;

use packhouse_bucket::{Bucket, BucketError, Key, Options, S3Options, conformance, open_with};

use crate::broken_wire::BrokenWire;

/// Its address and keys. `None` only where the run was asked to do without.
pub(crate) fn service() -> Option<(String, Options)> {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(address) = variable("PACKHOUSE_TEST_S3") else {
        assert!(
            variable("PACKHOUSE_TEST_SKIP_S3").as_deref() == Some("1"),
            "PACKHOUSE_TEST_S3 names no S3 service: run `make test`, or set PACKHOUSE_TEST_SKIP_S3=1"
        );
        return None;
    };
    let s3 = S3Options {
        access_key: variable("PACKHOUSE_TEST_S3_ACCESS_KEY"),
        secret_key: variable("PACKHOUSE_TEST_S3_SECRET_KEY"),
        session_token: None,
    };
    Some((address, Options { s3 }))
}

/// The address of something else at the same service.
fn changed(address: &str, from: &str, to: &str) -> String {
    assert!(address.contains(from), "{address}");
    address.replacen(from, to, 1)
}

fn endpoint(address: &str) -> &str {
    let (_, rest) = address
        .split_once("endpoint=http://")
        .expect("the test service speaks plain HTTP");
    rest.split('&').next().unwrap()
}

#[tokio::test]
async fn conforms() {
    let Some((address, options)) = service() else {
        return;
    };
    conformance::run(&*open_with(&address, &options).unwrap()).await;
}

#[tokio::test]
async fn conforms_below_a_prefix() {
    let Some((address, options)) = service() else {
        return;
    };
    let address = changed(&address, "?", "/some/prefix?");
    conformance::run(&*open_with(&address, &options).unwrap()).await;
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_not_an_object_that_is_missing() {
    let Some((address, options)) = service() else {
        return;
    };
    let address = changed(&address, "?", "-which-nobody-made?");
    let bucket = open_with(&address, &options).unwrap();
    let key = Key::parse("a").unwrap();
    assert!(matches!(
        bucket.get(&key).await,
        Err(BucketError::Object { action: "read", .. })
    ));
    assert!(matches!(
        bucket.put(&key, "x".into()).await,
        Err(BucketError::Object { action: "put", .. })
    ));
    assert!(bucket.ping().await.is_err());
}

#[tokio::test]
async fn wrong_keys_are_refused() {
    let Some((address, mut options)) = service() else {
        return;
    };
    options.s3.secret_key = Some("not the key".to_owned());
    let bucket = open_with(&address, &options).unwrap();
    let key = Key::parse("a").unwrap();
    assert!(matches!(
        bucket.get(&key).await,
        Err(BucketError::Object { .. })
    ));
    assert!(bucket.size(&key).await.is_err());
    assert!(bucket.ping().await.is_err());
}

#[tokio::test]
async fn broken_connections_are_tried_again() {
    let Some((address, options)) = service() else {
        return;
    };
    let wire = BrokenWire::start(endpoint(&address)).await;
    let address = changed(&address, endpoint(&address), wire.address());
    let bucket: Arc<dyn Bucket> = open_with(&address, &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (source, copy) = (folder.path().join("source"), folder.path().join("copy"));
    let bytes: Vec<u8> = (0..30_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(&source, &bytes).unwrap();
    let key = Key::parse("broken-wire/large").unwrap();
    bucket.put_file(&key, &source).await.unwrap();
    assert_eq!(
        bucket.get_to_file(&key, &copy).await.unwrap(),
        bytes.len() as u64
    );
    assert!(std::fs::read(&copy).unwrap() == bytes);
    bucket.delete(&key).await.unwrap();
    assert!(
        wire.broken() >= 10,
        "only {} connections were broken",
        wire.broken()
    );
}
