//! Large files over a store that fails: nothing half-visible, nothing left behind, memory bounded.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use packhouse_bucket::{Bucket, BucketError, Key, RemoteBucket};
use tempfile::TempDir;

use crate::broken_store::{BrokenStore, Fault};

/// Eight parts of 8 MiB and a bit.
const SIZE: u64 = (64 << 20) + 1;

struct Upload {
    store: Arc<BrokenStore>,
    bucket: Arc<RemoteBucket>,
    key: Key,
    folder: TempDir,
}

impl Upload {
    fn new(fault: Fault) -> Upload {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("file"))
            .unwrap()
            .set_len(SIZE)
            .unwrap();
        let store = BrokenStore::new(fault);
        let bucket = Arc::new(RemoteBucket::new(store.clone(), None, "broken".to_owned()));
        Upload {
            store,
            bucket,
            key: Key::parse("packs/large").unwrap(),
            folder,
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    async fn put(&self) -> Result<(), BucketError> {
        self.bucket.put_file(&self.key, &self.file()).await
    }

    async fn size(&self) -> Option<u64> {
        self.bucket.size(&self.key).await.unwrap()
    }

    fn aborts(&self) -> usize {
        self.store.seen.aborts.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_large_file_goes_up_in_few_parts_at_once() {
    let upload = Upload::new(Fault::None);
    upload.put().await.unwrap();
    assert_eq!(upload.size().await, Some(SIZE));
    assert_eq!(upload.store.seen.parts.load(Ordering::SeqCst), 9);
    // Four parts of 8 MiB: the memory of an upload is bounded whatever the file's size.
    let most = upload.store.seen.most_parts_at_once.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} parts at once");
    assert_eq!(upload.aborts(), 0);
}

#[tokio::test]
async fn a_part_that_fails_aborts_the_upload() {
    for number in [1, 3, 9] {
        let upload = Upload::new(Fault::Part(number));
        assert_eq!(
            upload.put().await.unwrap_err().to_string(),
            "could not put `packs/large`"
        );
        assert_eq!(upload.size().await, None);
        assert_eq!(upload.aborts(), 1);
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_aborts_the_upload() {
    let upload = Upload::new(Fault::PartsHang(3));
    tokio::time::timeout(Duration::from_millis(300), upload.put())
        .await
        .unwrap_err();
    for _ in 0..100 {
        if upload.aborts() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(upload.aborts(), 1);
    assert_eq!(upload.size().await, None);
}

#[tokio::test]
async fn an_upload_that_cannot_be_completed_is_aborted() {
    let upload = Upload::new(Fault::Complete);
    upload.put().await.unwrap_err();
    assert_eq!(upload.size().await, None);
    assert_eq!(upload.aborts(), 1);
}

#[tokio::test]
async fn a_lost_answer_to_a_completed_upload_is_no_failure() {
    let upload = Upload::new(Fault::CompleteAnswerLost);
    upload.put().await.unwrap();
    assert_eq!(upload.size().await, Some(SIZE));
}

#[tokio::test]
async fn a_download_that_ends_early_is_an_error_and_leaves_no_file() {
    let upload = Upload::new(Fault::ShortRead);
    upload
        .bucket
        .put(&upload.key, "0123456789".into())
        .await
        .unwrap();
    let copy = upload.folder.path().join("copy");
    let error = upload
        .bucket
        .get_to_file(&upload.key, &copy)
        .await
        .unwrap_err();
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "the answer has 5 of 10 bytes"
    );
    let names: Vec<_> = std::fs::read_dir(upload.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["file"]);
}
