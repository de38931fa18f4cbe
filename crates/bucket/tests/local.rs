//! The local folder, and what a crash leaves in it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use packhouse_bucket::{Bucket, Key, Listed, LocalBucket, conformance};

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

async fn keys(bucket: &LocalBucket) -> Vec<String> {
    let listed: Vec<Listed> = bucket.list("").try_collect().await.unwrap();
    listed
        .into_iter()
        .map(|listed| listed.key.to_string())
        .collect()
}

fn temps(root: &Path) -> usize {
    fs::read_dir(root.join(".tmp")).unwrap().count()
}

#[tokio::test]
async fn conforms() {
    let root = tempfile::tempdir().unwrap();
    conformance::run(&LocalBucket::open(root.path()).unwrap()).await;
    assert_eq!(temps(root.path()), 0);
}

#[tokio::test]
async fn what_was_put_is_there_after_opening_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("not/there/yet");
    LocalBucket::open(&folder)
        .unwrap()
        .put(&key("a/b"), "kept".into())
        .await
        .unwrap();
    assert_eq!(
        LocalBucket::open(&folder)
            .unwrap()
            .get(&key("a/b"))
            .await
            .unwrap(),
        "kept"
    );
}

#[tokio::test]
async fn a_leftover_of_a_crash_is_never_an_object() {
    let root = tempfile::tempdir().unwrap();
    let bucket = LocalBucket::open(root.path()).unwrap();
    bucket.put(&key("a/b"), "whole".into()).await.unwrap();
    // A crash before the rename leaves a temporary file with some of the bytes; names that are no keys come from elsewhere.
    fs::write(root.path().join(".tmp/put-half"), "hal").unwrap();
    fs::write(root.path().join("a/.hidden"), "x").unwrap();
    fs::write(root.path().join("a/with space"), "x").unwrap();
    std::os::unix::fs::symlink("b", root.path().join("a/link")).unwrap();
    for bucket in [bucket, LocalBucket::open(root.path()).unwrap()] {
        assert_eq!(keys(&bucket).await, ["a/b"]);
        assert!(Key::parse(".tmp/put-half").is_err());
    }
}

#[test]
fn only_leftovers_that_nobody_can_be_writing_are_removed() {
    let root = tempfile::tempdir().unwrap();
    LocalBucket::open(root.path()).unwrap();
    for (name, hours) in [("put-young", 23), ("put-old", 25)] {
        let file = File::create(root.path().join(".tmp").join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600))
            .unwrap();
    }
    LocalBucket::open(root.path()).unwrap();
    assert!(root.path().join(".tmp/put-young").exists());
    assert!(!root.path().join(".tmp/put-old").exists());
}

#[tokio::test]
async fn a_file_on_the_same_disk_is_linked_not_copied() {
    let root = tempfile::tempdir().unwrap();
    let bucket = LocalBucket::open(&root.path().join("bucket")).unwrap();
    let file = root.path().join("pack");
    fs::write(&file, "content").unwrap();
    bucket.put_file(&key("p"), &file).await.unwrap();
    let object = bucket.local_path(&key("p")).unwrap();
    assert_eq!(
        fs::metadata(object).unwrap().ino(),
        fs::metadata(file).unwrap().ino()
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_linked_is_copied() {
    let root = tempfile::tempdir().unwrap();
    // Shared memory is a file system of its own, and links do not lead from one to another.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = elsewhere.path().join("pack");
    fs::write(&file, "content").unwrap();
    let bucket = LocalBucket::open(root.path()).unwrap();
    bucket.put_file(&key("p"), &file).await.unwrap();
    assert_eq!(bucket.get(&key("p")).await.unwrap(), "content");
    assert_eq!(
        fs::metadata(bucket.local_path(&key("p")).unwrap())
            .unwrap()
            .nlink(),
        1
    );
    assert_eq!(temps(root.path()), 0);
}

#[tokio::test]
async fn putting_a_file_again_heals_a_damaged_object() {
    let root = tempfile::tempdir().unwrap();
    let bucket = LocalBucket::open(&root.path().join("bucket")).unwrap();
    let file = root.path().join("pack");
    fs::write(&file, "content").unwrap();
    bucket.put(&key("p"), "cont".into()).await.unwrap();
    bucket.put_file(&key("p"), &file).await.unwrap();
    assert_eq!(bucket.get(&key("p")).await.unwrap(), "content");
}

#[tokio::test]
async fn a_failed_write_leaves_neither_object_nor_temporary_file() {
    let root = tempfile::tempdir().unwrap();
    let bucket = LocalBucket::open(root.path()).unwrap();
    bucket
        .put(
            &key("a"),
            "an object where a folder would have to be".into(),
        )
        .await
        .unwrap();
    let error = bucket.put(&key("a/b"), "x".into()).await.unwrap_err();
    assert_eq!(error.to_string(), "could not put `a/b`");
    bucket
        .put(
            &key("f/g"),
            "makes a folder where an object would have to be".into(),
        )
        .await
        .unwrap();
    bucket.put(&key("f"), "x".into()).await.unwrap_err();
    assert_eq!(temps(root.path()), 0);
    assert_eq!(bucket.size(&key("f")).await.unwrap(), None);
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = LocalBucket::open(&file).unwrap_err();
    assert!(
        error.to_string().contains(file.to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn objects_are_private_to_the_server() {
    let root = tempfile::tempdir().unwrap();
    let bucket = LocalBucket::open(root.path()).unwrap();
    bucket.put(&key("a"), "x".into()).await.unwrap();
    let mode = fs::metadata(bucket.local_path(&key("a")).unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0);
}
