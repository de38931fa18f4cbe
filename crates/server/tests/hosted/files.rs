//! Commits, and the files in them.

use std::time::Duration;

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use packhouse_api::{ErrorCode, ListBranchesQuery, ListFilesQuery, Person};
use packhouse_client::hosted::{FileConditions, FileSource, HostedError};

use super::{ZEROS, author, client_of, code, file, put, read, refused, repo};
use crate::support::TestServer;

#[tokio::test]
async fn commits_carry_files_of_any_size_and_kind() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    // Nine MiB in pieces that fit no chunk.
    let large: Vec<u8> = (0..9 << 20)
        .map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let pieces: Vec<_> = large
        .chunks(100_003)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let made = repo
        .commit("main", "First", author())
        .file("README.md", "# Hello\n")
        .file("empty", "")
        .file_with_mode("run.sh", "100755", "#!/bin/sh\n")
        .file_with_mode("link", "120000", "README.md")
        .file("data/large.bin", FileSource::stream(stream::iter(pieces)))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (made.commit.blob_count, made.ref_update.old_sha.as_str()),
        (5, ZEROS)
    );
    assert_eq!(read(&repo, "data/large.bin").await, large);
    assert_eq!(read(&repo, "empty").await, b"");

    let next = repo
        .commit("main", "Second", author())
        .expected_head(&made.commit.commit_sha)
        .committer(Person {
            name: "Bot".to_owned(),
            ..author()
        })
        .delete("data")
        .file(
            "README.md",
            FileSource::reader(std::io::Cursor::new(b"# Bye\n")),
        )
        .send()
        .await
        .unwrap();
    let files: Vec<_> = repo
        .files(ListFilesQuery::default())
        .try_collect()
        .await
        .unwrap();
    let files: Vec<_> = files
        .into_iter()
        .map(|file| (file.path, file.mode))
        .collect();
    let entry = |path: &str, mode: &str| (path.to_owned(), mode.to_owned());
    assert_eq!(
        files,
        [
            entry("README.md", "100644"),
            entry("empty", "100644"),
            entry("link", "120000"),
            entry("run.sh", "100755")
        ]
    );

    let stale = repo
        .commit("main", "Third", author())
        .expected_head(&made.commit.commit_sha);
    let error = refused(stale.file("x", "x").send().await);
    assert_eq!(error.status, "precondition_failed");
    assert_eq!(error.branch.as_deref(), Some("main"));
    assert_eq!(
        error.old_sha.as_deref(),
        Some(next.commit.commit_sha.as_str())
    );
    assert_eq!(error.answer.unwrap().code(), Some(ErrorCode::HeadMoved));
    let evil = repo.commit("main", "m", author()).file("../x", "x");
    assert_eq!(refused(evil.send().await).status, "invalid");
    let stranger = client_of(&server, include_str!("../keys/other-es256.pem")).repo("team/site");
    let error = refused(
        stranger
            .commit("main", "m", author())
            .file("x", "x")
            .send()
            .await,
    );
    assert_eq!(error.status, "unauthorized");
}

#[tokio::test]
async fn a_commit_whose_content_breaks_off_is_not_made() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let broken = stream::iter([
        Ok(Bytes::from(vec![1; 5 << 20])),
        Err(std::io::Error::other("gone")),
    ]);
    let commit = repo
        .commit("main", "m", author())
        .file("a", "1")
        .file("b", FileSource::stream(broken));
    assert!(matches!(commit.send().await, Err(HostedError::Source(_))));
    // Given up in the middle.
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![2; 1 << 20])));
    let commit = repo
        .commit("main", "m", author())
        .file("c", FileSource::stream(endless));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), commit.send())
            .await
            .is_err()
    );
    let branches = repo
        .list_branches(&ListBranchesQuery::default())
        .await
        .unwrap();
    assert!(branches.branches.is_empty());
}

#[tokio::test]
async fn files_are_read_by_range_and_condition() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let sha = put(&repo, "main", "digits", "0123456789").await;
    let range = FileConditions {
        range: Some("bytes=2-4".to_owned()),
        ..FileConditions::default()
    };
    let part = repo.read_file(&file("digits"), &range).await.unwrap();
    assert_eq!(
        (
            part.status(),
            part.headers()["content-range"].to_str().unwrap()
        ),
        (206, "bytes 2-4/10")
    );
    assert_eq!(part.bytes().await.unwrap(), b"234");

    let head = repo
        .head_file(&file("digits"), &FileConditions::default())
        .await
        .unwrap();
    assert_eq!(head.headers()["x-last-commit-sha"].to_str().unwrap(), sha);
    let known = FileConditions {
        if_none_match: Some(head.headers()["etag"].to_str().unwrap().to_owned()),
        ..FileConditions::default()
    };
    assert_eq!(
        repo.read_file(&file("digits"), &known)
            .await
            .unwrap()
            .status(),
        304
    );
    let past = FileConditions {
        range: Some("bytes=10-".to_owned()),
        ..FileConditions::default()
    };
    assert_eq!(
        repo.head_file(&file("digits"), &past)
            .await
            .unwrap()
            .status(),
        416
    );

    let missing = repo
        .read_file(&file("nothing"), &FileConditions::default())
        .await;
    assert_eq!(code(missing), ErrorCode::PathNotFound);
    let error = repo
        .head_file(&file("nothing"), &FileConditions::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().contains("nothing")),
        (Some(404), true)
    );
    let bad = FileConditions {
        range: Some("a\nb".to_owned()),
        ..FileConditions::default()
    };
    assert!(matches!(
        repo.read_file(&file("digits"), &bad).await,
        Err(HostedError::Invalid(_))
    ));
}
