//! The Rust client against this server: every call, and how each kind of failure arrives.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use packhouse_api::{
    ArchiveRequest, AuditQuery, BaseRepo, BlameQuery, BranchDiffQuery, CommitDiffQuery,
    CommitMetadata, CreateBranch, CreateRepo, CreateTag, CreateWebhook, DeleteBranch, DeleteNote,
    DeleteTag, ErrorCode, FileQuery, FilesMetadataQuery, GetBranchQuery, GetCommitQuery,
    GetNoteQuery, GetTagQuery, GrepPagination, GrepPattern, GrepRequest, ListBranchesQuery,
    ListCommitsQuery, ListDeliveriesQuery, ListFilesQuery, ListJobsQuery, ListNotesRefsQuery,
    ListReposQuery, ListTagsQuery, ListWebhooksQuery, MergeBranches, MergeResult, MergeStrategy,
    NoteAction, Person, PreviewMergeQuery, PullUpstream, ReplayCommits, ReplayWebhook,
    RepoAuditQuery, RestoreMetadata, WriteNote,
};
use packhouse_client::hosted::{
    Client, ClientCredential, ClientOptions, FileConditions, FileSource, HostedError, HostedRepo,
    RefPolicy, RefUpdateError, RemoteKind, RemoteOptions, SigningKey,
};

use crate::support::{ORG, Receiver, TestServer, git_output};

const ZEROS: &str = "0000000000000000000000000000000000000000";

fn client_of(server: &TestServer, key: &str) -> Client {
    let credential = ClientCredential::Key(SigningKey::from_pem(key).unwrap());
    Client::new(ClientOptions::new(ORG, credential, server.url())).unwrap()
}

fn client(server: &TestServer) -> Client {
    client_of(server, include_str!("keys/es256.pem"))
}

async fn repo(server: &TestServer) -> HostedRepo {
    client(server)
        .create_repo(Some("team/site"), &CreateRepo::default())
        .await
        .unwrap()
}

fn author() -> Person {
    Person {
        name: "Ada Lovelace".to_owned(),
        email: "ada@example.com".to_owned(),
        timestamp: None,
    }
}

async fn put(repo: &HostedRepo, branch: &str, path: &str, data: &str) -> String {
    let data = data.to_owned();
    let mut commit = repo.commit(branch, format!("Write {path}"), author());
    if branch != "main" {
        commit = commit.base_branch("main");
    }
    let made = commit.file(path, data).send().await.unwrap();
    made.commit.commit_sha
}

async fn read(repo: &HostedRepo, path: &str) -> Vec<u8> {
    let file = repo
        .read_file(&file(path), &FileConditions::default())
        .await
        .unwrap();
    file.bytes().await.unwrap()
}

fn file(path: &str) -> FileQuery {
    FileQuery {
        path: path.to_owned(),
        ..FileQuery::default()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, HostedError>) -> RefUpdateError {
    match result {
        Err(HostedError::RefUpdate(error)) => *error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: Result<T, HostedError>) -> ErrorCode {
    match result {
        Err(HostedError::Api(error)) => error.code().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn repositories_from_creation_to_deletion() {
    let server = TestServer::start().await;
    for key in ["es256", "rs256", "eddsa"] {
        let pem = std::fs::read_to_string(format!("tests/keys/{key}.pem")).unwrap();
        let made = client_of(&server, &pem)
            .create_repo(Some(key), &CreateRepo::default())
            .await;
        assert_eq!(made.unwrap().id(), key);
    }
    let client = client(&server);
    let made = client
        .create_repo(None, &CreateRepo::default())
        .await
        .unwrap();
    assert_eq!(made.id().len(), 36);
    let again = client
        .create_repo(Some("es256"), &CreateRepo::default())
        .await;
    assert_eq!(code(again), ErrorCode::RepositoryExists);
    assert_eq!(
        client
            .find_repo("es256")
            .await
            .unwrap()
            .unwrap()
            .default_branch,
        "main"
    );
    assert!(client.find_repo("nothing").await.unwrap().is_none());

    let query = ListReposQuery {
        limit: Some(1),
        ..ListReposQuery::default()
    };
    assert!(client.list_repos(&query).await.unwrap().has_more);
    let all: Vec<_> = client.repos(query).try_collect().await.unwrap();
    assert_eq!(all.len(), 4);

    assert_eq!(
        client.repo("es256").delete().await.unwrap().repo_id,
        "es256"
    );
    assert_eq!(
        code(client.repo("es256").delete().await),
        ErrorCode::RepositoryDeleted
    );
    assert!(client.find_repo("es256").await.unwrap().is_none());

    let stranger = client_of(&server, include_str!("keys/other-es256.pem"));
    assert_eq!(
        code(stranger.find_repo("rs256").await),
        ErrorCode::Unauthorized
    );
}

#[tokio::test]
async fn a_token_made_elsewhere_is_sent_as_it_is() {
    let server = TestServer::with_repo("r").await;
    let token = crate::support::Token::write("r").text();
    let options = ClientOptions::new(ORG, ClientCredential::Token(token), server.url());
    let client = Client::new(options).unwrap();
    put(&client.repo("r"), "main", "a", "1").await;
    assert_eq!(
        code(client.list_repos(&ListReposQuery::default()).await),
        ErrorCode::Forbidden
    );
}

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
    let stranger = client_of(&server, include_str!("keys/other-es256.pem")).repo("team/site");
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

#[tokio::test]
async fn merges_replays_and_notes() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let base = put(&repo, "main", "a", "1\n").await;
    let theirs = put(&repo, "topic", "a", "2\n").await;
    let request = MergeBranches {
        source_branch: Some("topic".to_owned()),
        target_branch: "main".to_owned(),
        strategy: MergeStrategy::FfOnly,
        ..MergeBranches::default()
    };
    assert_eq!(
        repo.merge(&request).await.unwrap().result,
        MergeResult::FastForward
    );
    put(&repo, "main", "a", "3\n").await;
    put(&repo, "topic", "a", "4\n").await;
    let request = MergeBranches {
        strategy: MergeStrategy::Merge,
        commit_message: Some("m".to_owned()),
        author: Some(author()),
        ..request
    };
    let Err(HostedError::Api(error)) = repo.merge(&request).await else {
        panic!("merged");
    };
    assert_eq!(error.code(), Some(ErrorCode::MergeConflict));
    let conflict = error.conflict().unwrap();
    assert_eq!(
        (conflict.conflict_paths, conflict.merge_base_sha),
        (vec!["a".to_owned()], Some(theirs.clone()))
    );
    let query = PreviewMergeQuery {
        source_branch: Some("topic".to_owned()),
        target_branch: "main".to_owned(),
        ..PreviewMergeQuery::default()
    };
    assert_eq!(
        repo.preview_merge(&query).await.unwrap().conflict_paths,
        ["a"]
    );

    let picked = put(&repo, "side", "b", "5\n").await;
    let request = ReplayCommits {
        target_branch: "main".to_owned(),
        commit: Some(picked),
        ..ReplayCommits::default()
    };
    let picked = repo.cherry_pick(&request).await.unwrap();
    assert_eq!(read(&repo, "b").await, b"5\n");
    let request = ReplayCommits {
        commit: Some(picked.commit_sha),
        author: Some(author()),
        ..request
    };
    repo.revert(&request).await.unwrap();
    let gone = repo.read_file(&file("b"), &FileConditions::default()).await;
    assert_eq!(code(gone), ErrorCode::PathNotFound);

    let note = WriteNote {
        sha: base.clone(),
        action: NoteAction::Add,
        note: "reviewed".to_owned(),
        r#ref: None,
        expected_ref_sha: None,
        author: None,
    };
    let made = repo.write_note(&note).await.unwrap();
    let error = refused(repo.write_note(&note).await);
    assert_eq!(
        (error.status.as_str(), error.old_sha),
        ("conflict", Some(made.new_ref_sha))
    );
    let query = GetNoteQuery {
        sha: base.clone(),
        r#ref: None,
    };
    assert_eq!(repo.get_note(&query).await.unwrap().note, "reviewed");
    assert_eq!(
        repo.list_notes_refs(&ListNotesRefsQuery::default())
            .await
            .unwrap()
            .refs
            .len(),
        1
    );
    repo.delete_note(&DeleteNote {
        sha: base,
        ..DeleteNote::default()
    })
    .await
    .unwrap();
    assert_eq!(repo.get_note(&query).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn forks_git_urls_and_jobs() {
    let server = TestServer::start().await;
    let repo = repo(&server).await;
    let sha = put(&repo, "main", "a", "1").await;
    let base = BaseRepo {
        provider: "code".to_owned(),
        owner: String::new(),
        name: repo.id().to_owned(),
        upstream_host: None,
        url: None,
        default_branch: None,
        operation: None,
        git_ref: None,
        sha: None,
        auth: None,
        push_through: None,
    };
    let request = CreateRepo {
        base_repo: Some(base),
        ..CreateRepo::default()
    };
    let fork = client(&server)
        .create_repo(Some("fork"), &request)
        .await
        .unwrap();
    assert_eq!(read(&fork, "a").await, b"1");

    let url = fork
        .remote_url(RemoteKind::Ordinary, &RemoteOptions::default())
        .unwrap();
    assert!(url.starts_with("http://t:") && url.ends_with("/fork.git"));
    let listed = git_output(server.folder.path(), &["ls-remote", &url, "main"]).await;
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with(&sha));
    let read_only = RemoteOptions {
        scopes: Some(vec!["repo:write".to_owned()]),
        ..RemoteOptions::default()
    };
    assert_ne!(fork.remote_url(RemoteKind::Import, &read_only).unwrap(), "");

    let done = fork.list_audit(&RepoAuditQuery::default()).await.unwrap();
    assert!(!done.entries.is_empty());
    let query = AuditQuery {
        repo: Some("fork".to_owned()),
        ..AuditQuery::default()
    };
    let of_org = client(&server).list_audit(&query).await.unwrap();
    assert_eq!(of_org.entries.len(), done.entries.len());
    assert_eq!(
        fork.list_jobs(&ListJobsQuery::default())
            .await
            .unwrap()
            .jobs
            .len(),
        0
    );
    assert!(
        !client(&server)
            .list_jobs(&ListJobsQuery::default())
            .await
            .unwrap()
            .has_more
    );
    assert_eq!(
        fork.pull_upstream(&PullUpstream::default())
            .await
            .unwrap_err()
            .status(),
        Some(400)
    );
    assert_eq!(
        fork.detach_upstream().await.unwrap_err().status(),
        Some(400)
    );
}

#[tokio::test]
async fn webhooks_and_events() {
    let receiver = Receiver::start().await;
    let server = TestServer::with(|config| config.egress = packhouse_client::Egress::Any).await;
    let repo = repo(&server).await;
    let webhooks = repo.webhooks();
    let request = CreateWebhook {
        url: receiver.url(),
        ..CreateWebhook::default()
    };
    let made = webhooks.create(&request).await.unwrap();
    assert!(made.secret.is_some());
    assert_eq!(webhooks.get(&made.id).await.unwrap().url, receiver.url());
    assert_eq!(
        webhooks
            .list(&ListWebhooksQuery::default())
            .await
            .unwrap()
            .webhooks
            .len(),
        1
    );

    let mut events = repo.events(Some("0"));
    let mut of_org = client(&server).events(Some("0"));
    let sha = put(&repo, "main", "a", "1").await;
    let wait = Duration::from_secs(20);
    for stream in [&mut events, &mut of_org] {
        let event = loop {
            let next = tokio::time::timeout(wait, stream.next()).await.unwrap();
            let event = next.unwrap().unwrap();
            if event.kind == "push" {
                break event;
            }
        };
        assert_eq!(event.data["after"], sha.as_str());
    }

    let delivered = loop {
        let page = webhooks
            .deliveries(&made.id, &ListDeliveriesQuery::default())
            .await
            .unwrap();
        match page.deliveries.into_iter().next() {
            Some(delivery) => break delivery,
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert_eq!(
        webhooks
            .redeliver(&made.id, &delivered.id)
            .await
            .unwrap()
            .id,
        delivered.id
    );
    webhooks
        .replay(
            &made.id,
            &ReplayWebhook {
                after: "0".to_owned(),
            },
        )
        .await
        .unwrap();
    assert_eq!(webhooks.delete(&made.id).await.unwrap().id, made.id);
    assert_eq!(
        code(webhooks.get(&made.id).await),
        ErrorCode::WebhookNotFound
    );
    assert_eq!(
        client(&server)
            .webhooks()
            .list(&ListWebhooksQuery::default())
            .await
            .unwrap()
            .webhooks
            .len(),
        0
    );
}
