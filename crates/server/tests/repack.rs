//! A server that repacks by itself after a large push.

use std::path::Path;

use crate::support::{Checkout, TestServer, Token};
use crate::sweep::counted;

/// How many bitmap indexes there are in a bucket in a folder.
fn bitmaps_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => bitmaps_in(&path),
        false => usize::from(path.extension().is_some_and(|ending| ending == "bitmap")),
    };
    entries.map(count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_push_is_repacked_and_clones_get_all_of_it() {
    let server = TestServer::with_repo("large").await;
    let checkout = Checkout::init().await;
    for number in 0..1100 {
        let path = checkout.path().join(format!("file-{number}"));
        std::fs::write(path, format!("content of {number}\n")).unwrap();
    }
    checkout.git(&["add", "."]).await;
    checkout.git(&["commit", "-q", "-m", "many"]).await;
    let url = server.git_url("large", &Token::write("large"));
    checkout.git(&["push", "-q", &url, "main"]).await;
    let done = "packhouse_job_runs_total{kind=\"repack\",outcome=\"done\"}";
    counted(&server, done, 1).await;
    assert_eq!(bitmaps_in(&server.folder.path().join("bucket")), 1);
    // And something that is newer than the bitmaps.
    let newer = server.put("large", "newer", "hello\n").await;
    let clone = || Checkout::clone(&url, &[]);
    let (a, b, c) = tokio::join!(clone(), clone(), clone());
    for clone in [a, b, c] {
        assert_eq!(clone.git(&["rev-parse", "HEAD"]).await, newer);
        clone.git(&["fsck", "--full", "--strict"]).await;
        assert!(clone.path().join("file-1099").exists());
    }
    // Who was there before gets what is new.
    checkout
        .git(&["pull", "-q", "--ff-only", &url, "main"])
        .await;
    assert_eq!(checkout.git(&["rev-parse", "HEAD"]).await, newer);
}
