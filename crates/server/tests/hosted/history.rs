//! Branches, tags and what is asked of history.

use bytes::Bytes;
use futures::{TryStreamExt, stream};
use packhouse_api::{
    ArchiveRequest, BlameQuery, BranchDiffQuery, CommitDiffQuery, CommitMetadata, CreateBranch,
    CreateTag, DeleteBranch, DeleteTag, ErrorCode, FilesMetadataQuery, GetBranchQuery,
    GetCommitQuery, GetTagQuery, GrepPagination, GrepPattern, GrepRequest, ListBranchesQuery,
    ListCommitsQuery, ListTagsQuery, RestoreMetadata,
};
use packhouse_client::hosted::{FileSource, RefPolicy};

use super::{author, code, put, read, refused, repo};
use crate::support::TestServer;

#[tokio::test]
async fn branches_and_tags() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let sha = put(&repo, "main", "a", "1").await;
    for name in ["one", "two", "three"] {
        let request = CreateBranch {
            base_ref: Some("main".to_owned()),
            target_branch: name.to_owned(),
            target_is_ephemeral: name == "three",
            ..CreateBranch::default()
        };
        assert_eq!(repo.create_branch(&request).await.unwrap().commit_sha, sha);
    }
    let query = ListBranchesQuery {
        limit: Some(1),
        ..ListBranchesQuery::default()
    };
    let names = repo.branches(query).map_ok(|branch| branch.name);
    assert_eq!(
        names.try_collect::<Vec<_>>().await.unwrap(),
        ["main", "one", "two"]
    );
    let query = ListBranchesQuery {
        ephemeral: Some(true),
        ..ListBranchesQuery::default()
    };
    assert_eq!(
        repo.list_branches(&query).await.unwrap().branches[0].name,
        "three"
    );
    let query = GetBranchQuery {
        name: "one".to_owned(),
        ..GetBranchQuery::default()
    };
    assert_eq!(repo.get_branch(&query).await.unwrap().head_sha, sha);
    let request = DeleteBranch {
        name: "one".to_owned(),
        ephemeral: false,
    };
    assert_eq!(repo.delete_branch(&request).await.unwrap().name, "one");
    assert_eq!(code(repo.get_branch(&query).await), ErrorCode::RefNotFound);

    let request = CreateTag {
        name: "v1".to_owned(),
        target: Some(sha.clone()),
        ..CreateTag::default()
    };
    assert_eq!(repo.create_tag(&request).await.unwrap().sha, sha);
    assert_eq!(code(repo.create_tag(&request).await), ErrorCode::Conflict);
    let tags: Vec<_> = repo
        .tags(ListTagsQuery::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(tags[0].name, "v1");
    assert_eq!(
        repo.get_tag(&GetTagQuery {
            name: "v1".to_owned()
        })
        .await
        .unwrap()
        .sha,
        sha
    );
    assert_eq!(
        repo.delete_tag(&DeleteTag {
            name: "v1".to_owned()
        })
        .await
        .unwrap()
        .name,
        "v1"
    );

    let policy = RefPolicy {
        pattern: "main".to_owned(),
        ops: vec!["no-push".to_owned()],
    };
    let guarded = repo
        .clone()
        .with_ref_policies([policy])
        .with_ttl_seconds(60);
    assert_eq!(
        refused(
            guarded
                .commit("main", "m", author())
                .file("b", "2")
                .send()
                .await
        )
        .status,
        "forbidden"
    );
    put(&guarded, "other", "b", "2").await;
    let expired = repo.clone().with_ttl_seconds(-60);
    assert_eq!(
        code(expired.list_branches(&ListBranchesQuery::default()).await),
        ErrorCode::Unauthorized
    );
}

#[tokio::test]
async fn history_diffs_and_search() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let first = put(&repo, "main", "a.txt", "one\ntwo\n").await;
    let second = put(&repo, "main", "a.txt", "one\nthree\n").await;
    put(&repo, "topic", "b.txt", "three\n").await;

    let query = ListCommitsQuery {
        limit: Some(1),
        ..ListCommitsQuery::default()
    };
    let shas = repo.commits(query).map_ok(|commit| commit.sha);
    assert_eq!(
        shas.try_collect::<Vec<_>>().await.unwrap(),
        [second.clone(), first.clone()]
    );
    let query = GetCommitQuery {
        sha: "main~1".to_owned(),
    };
    assert_eq!(repo.get_commit(&query).await.unwrap().sha, first);

    let query = BranchDiffQuery {
        branch: "topic".to_owned(),
        path: vec!["b.txt".to_owned()],
        ..BranchDiffQuery::default()
    };
    let diff = repo.branch_diff(&query).await.unwrap();
    assert_eq!(
        (diff.files[0].path.as_str(), diff.merge_base_sha.as_ref()),
        ("b.txt", Some(&second))
    );
    let query = CommitDiffQuery {
        sha: second.clone(),
        git_apply_compatible: Some(true),
        ..CommitDiffQuery::default()
    };
    let diff = repo.commit_diff(&query).await.unwrap();
    assert_eq!(diff.stats.changes, 2);

    // The diff of one commit, undone by hand and applied.
    let patch = diff.files[0]
        .raw
        .replace("-two", "-TMP")
        .replace("+three", "-three")
        .replace("-TMP", "+two");
    let patch = patch
        .lines()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let metadata = CommitMetadata {
        target_branch: "main".to_owned(),
        commit_message: "Undo".to_owned(),
        author: author(),
        ..CommitMetadata::default()
    };
    let pieces: Vec<_> = patch
        .as_bytes()
        .chunks(7)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let applied = repo
        .commit_diff_stream(&metadata, FileSource::stream(stream::iter(pieces)))
        .await;
    let refusal = repo.commit_diff_stream(&metadata, "nonsense").await;
    assert_eq!(refused(refusal).status, "invalid");
    applied.unwrap();
    assert_eq!(read(&repo, "a.txt").await, b"one\ntwo\n");

    let restore = RestoreMetadata {
        target_branch: "main".to_owned(),
        target_commit_sha: second.clone(),
        author: author(),
        ..RestoreMetadata::default()
    };
    repo.restore_commit(&restore).await.unwrap();
    assert_eq!(read(&repo, "a.txt").await, b"one\nthree\n");
    let missing = RestoreMetadata {
        target_commit_sha: "1".repeat(40),
        ..restore
    };
    assert_eq!(
        refused(repo.restore_commit(&missing).await).status,
        "not_found"
    );

    let query = BlameQuery {
        path: "a.txt".to_owned(),
        range: Some(vec!["1,1".to_owned()]),
        ..BlameQuery::default()
    };
    let blamed = repo.blame(&query).await.unwrap();
    assert_eq!(
        (blamed.lines.len(), blamed.lines[0].commit_sha.as_str()),
        (1, first.as_str())
    );
    let query = FilesMetadataQuery::default();
    assert_eq!(
        repo.list_files_with_metadata(&query).await.unwrap().files[0].path,
        "a.txt"
    );

    put(&repo, "main", "c.txt", "three\n").await;
    let request = GrepRequest {
        query: GrepPattern {
            pattern: "thr..".to_owned(),
            case_sensitive: None,
        },
        pagination: Some(GrepPagination {
            cursor: None,
            limit: Some(1),
        }),
        ..GrepRequest::default()
    };
    assert!(repo.grep(&request).await.unwrap().has_more);
    let found = repo.matches(request).map_ok(|file| file.path);
    assert_eq!(
        found.try_collect::<Vec<_>>().await.unwrap(),
        ["a.txt", "c.txt"]
    );

    let archive = repo.archive(&ArchiveRequest::default()).await.unwrap();
    assert_eq!(archive.headers()["content-type"], "application/gzip");
    assert_eq!(archive.bytes().await.unwrap()[..2], [0x1f, 0x8b]);
}
