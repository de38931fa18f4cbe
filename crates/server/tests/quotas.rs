//! Quotas: how large files, requests and repositories may be.

use std::path::Path;
use std::time::Duration;

use packhouse_server::{Egress, Limits};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    Answer, Checkout, CommitBody, Database, TestServer, Token, Upstream, on_both,
};
on_both!(an_organisation_does_not_grow_past_its_quota,);

async fn with(set: impl FnOnce(&mut Limits)) -> TestServer {
    let server = TestServer::with_limits(set).await;
    server.create("a").await;
    server
}

/// Bytes that no compression makes fewer; others for each seed.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// Files below a folder, and the sum of their bytes.
fn stored(folder: &Path) -> (usize, u64) {
    let mut found = (0, 0);
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            let (files, bytes) = stored(&entry.path());
            found = (found.0 + files, found.1 + bytes);
        } else {
            found = (found.0 + 1, found.1 + metadata.len());
        }
    }
    found
}

impl TestServer {
    fn bucket(&self) -> (usize, u64) {
        stored(&self.folder.path().join("bucket"))
    }

    /// The bytes that a repository lists, as whoever opens it anew sees them.
    async fn used_bytes(&self, repo: &str) -> u64 {
        let hosted = self.server.hosted();
        let row = hosted
            .catalog()
            .repo(self.org, repo)
            .await
            .unwrap()
            .unwrap();
        let quota = hosted.at(&row).quota().await.unwrap().unwrap();
        let quota = quota.repo.unwrap();
        assert!(quota.used_bytes <= quota.limit_bytes, "{quota:?}");
        let loaded = hosted.catalog().load(row.id, None).await.unwrap().unwrap();
        let packs: i64 = loaded
            .packs
            .unwrap()
            .iter()
            .map(|pack| pack.pack_bytes)
            .sum();
        assert_eq!(quota.used_bytes, (packs + loaded.repo.tail_bytes) as u64);
        quota.used_bytes
    }
}

fn one_file(data: &[u8]) -> CommitBody {
    CommitBody::new("main").file("f", data)
}

fn is_over_quota(answer: &Answer, limit: u64) {
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(answer.code(), "quota_exceeded");
    assert!(
        answer.error().starts_with("repository size quota exceeded"),
        "{}",
        answer.body
    );
    assert!(
        answer.error().contains(&format!("may have {limit};")),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
    let server = with(|limits| limits.file_bytes = 100_000).await;
    let (exact, over) = (noise(100_000, 1), noise(100_001, 2));
    server.commit("a", one_file(&exact)).await.expect(201);
    let in_pieces = |data: &[u8]| {
        let body = CommitBody::new("main").announce("p", "p", "100644");
        body.chunk("p", &data[..60_000], false)
            .chunk("p", &data[60_000..], true)
    };
    server.commit("a", in_pieces(&exact)).await.expect(201);
    let head = server.branches("a", "").await;
    for body in [one_file(&over), in_pieces(&over)] {
        let refused = server.commit("a", body).await.expect(413);
        assert_eq!(refused.code(), "too_large");
        assert!(
            refused
                .error()
                .contains("over the limit of 100000 bytes for one file"),
            "{}",
            refused.body
        );
        assert_eq!(refused.body["result"]["success"], false);
    }
    assert_eq!(server.branches("a", "").await, head);
}

#[tokio::test]
async fn a_diff_may_not_make_a_file_that_is_too_large() {
    use base64::Engine;
    let server = with(|limits| limits.file_bytes = 1000).await;
    server.put("a", "f", &"x\n".repeat(500)).await;
    let diff = |lines: usize| {
        let added = "+y\n".repeat(lines);
        let diff = format!(
            "--- a/f\n+++ b/f\n@@ -500 +500,{} @@\n x\n{added}",
            lines + 1
        );
        let mut metadata = CommitBody::new("main").metadata;
        metadata.as_object_mut().unwrap().remove("files");
        let data = base64::engine::general_purpose::STANDARD.encode(diff);
        let chunk = json!({ "diff_chunk": { "data": data, "eof": true } });
        format!("{}\n{chunk}\n", json!({ "metadata": metadata }))
    };
    let send = |body: String| {
        let request = server.request(Method::POST, "/repos/diff-commit", &Token::write("a"));
        server.send(
            request
                .header("content-type", "application/x-ndjson")
                .body(body),
        )
    };
    let whole = server
        .commit("a", one_file(&noise(1001, 1)))
        .await
        .expect(413);
    assert!(
        whole.error().contains("a file has 1001 bytes"),
        "{}",
        whole.body
    );
    let refused = send(diff(1)).await.expect(413);
    assert_eq!(refused.code(), "too_large");
    assert!(
        refused.error().contains("a file of 1002 bytes"),
        "{}",
        refused.body
    );
}

#[tokio::test]
async fn a_push_with_a_file_that_is_too_large_is_refused_whole() {
    let server = with(|limits| limits.file_bytes = 100_000).await;
    let url = server.git_url("a", &Token::write("a"));
    let checkout = Checkout::init().await;
    let exact = noise(100_000, 1);
    checkout.commit("exact", &exact).await;
    checkout.git(&["push", "-q", &url, "main"]).await;
    let head = server.branches("a", "").await;
    let bucket = server.bucket();
    // One that is sent whole, and one that is sent as a delta.
    for (path, data) in [
        ("over", noise(100_001, 2)),
        ("exact", [&exact[..], b"!"].concat()),
    ] {
        checkout.commit(path, &data).await;
        let refused = checkout.git_fails(&["push", &url, "main"]).await;
        assert!(
            refused.contains("a file has 100001 bytes, over the limit of 100000 bytes"),
            "{refused}"
        );
        assert!(
            refused.contains("[remote rejected] main -> main"),
            "{refused}"
        );
        checkout.git(&["reset", "-q", "--hard", "HEAD~1"]).await;
    }
    assert_eq!(server.branches("a", "").await, head);
    assert_eq!(server.bucket(), bucket);
    // Trees and commits are no files.
    let small = with(|limits| limits.file_bytes = 10).await;
    let url = small.git_url("a", &Token::write("a"));
    let checkout = Checkout::init().await;
    checkout.commit("a-name-longer-than-ten-bytes", b"1").await;
    checkout.git(&["push", "-q", &url, "main"]).await;
}

#[tokio::test]
async fn a_repository_does_not_grow_past_its_quota() {
    const QUOTA: u64 = 300_000;
    let server = with(|limits| limits.repo_bytes = Some(QUOTA)).await;
    let mut written = 0;
    let refused = loop {
        let answer = server.commit("a", one_file(&noise(40_000, written))).await;
        if answer.status != 201 {
            break answer;
        }
        written += 1;
        assert!(written < 8);
    };
    is_over_quota(&refused, QUOTA);
    assert!(written >= 6, "{written}");
    assert!(server.used_bytes("a").await > QUOTA - 45_000);
    // What adds nothing goes on, and so does what still fits.
    let branch = json!({ "base_branch": "main", "target_branch": "b", "base_is_ephemeral": false, "target_is_ephemeral": false });
    server
        .post("/repos/branches/create", &Token::write("a"), &branch)
        .await
        .expect(200);
    server
        .delete(
            "/repos/branches",
            &Token::write("a"),
            &json!({ "name": "b" }),
        )
        .await
        .expect(200);
    server.commit("a", one_file(b"small")).await.expect(201);

    // A fork has what its source has.
    let token = Token::read("a").text();
    let fork = json!({ "base_repo": { "provider": "code", "owner": "acme", "name": "a", "operation": "fork", "auth": { "token": token } } });
    server
        .post("/repos", &Token::new("fork", &["repo:write"]), &fork)
        .await
        .expect(201);
    assert!(server.used_bytes("fork").await > QUOTA - 45_000);
    let refused = server.commit("fork", one_file(&noise(40_000, 99))).await;
    is_over_quota(&refused, QUOTA);
}

#[tokio::test]
async fn a_push_over_the_quota_leaves_nothing_behind() {
    const QUOTA: u64 = 3_100_000;
    let server = with(|limits| limits.repo_bytes = Some(QUOTA)).await;
    let url = server.git_url("a", &Token::write("a"));
    let checkout = Checkout::init().await;
    checkout.commit("one", &noise(2 << 20, 1)).await;
    checkout.git(&["push", "-q", &url, "main"]).await;
    let (head, bucket) = (server.branches("a", "").await, server.bucket());
    assert!(bucket.0 > 0);
    // A large one becomes a pack, a small one would go into the tail.
    for bytes in [2 << 20, 1_040_000] {
        checkout.commit("two", &noise(bytes, bytes as u64)).await;
        let refused = checkout.git_fails(&["push", &url, "main"]).await;
        assert!(
            refused.contains("repository size quota exceeded"),
            "{refused}"
        );
        assert!(refused.contains(&format!("may have {QUOTA}")), "{refused}");
        assert!(
            refused.contains("[remote rejected] main -> main"),
            "{refused}"
        );
        assert_eq!(server.branches("a", "").await, head);
        assert_eq!(server.bucket(), bucket);
        checkout.git(&["reset", "-q", "--hard", "HEAD~1"]).await;
    }
    checkout.commit("three", b"fits").await;
    checkout
        .git(&["push", "-q", &url, "main", "main~1:refs/heads/other"])
        .await;
    server.used_bytes("a").await;
    // So does a large commit of the API, whose contents are a pack before its turn comes.
    let refused = server.commit("a", one_file(&noise(2 << 20, 7))).await;
    is_over_quota(&refused, QUOTA);
    assert_eq!(server.bucket(), bucket);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_beside_each_other_do_not_exceed_it_together() {
    const QUOTA: u64 = 500_000;
    const WRITERS: u64 = 24;
    let server = with(|limits| limits.repo_bytes = Some(QUOTA)).await;
    server.put("a", "f", "1").await;
    let commits = (0..WRITERS).map(|writer| {
        let body = CommitBody::new(&format!("b{writer}"));
        let body = body
            .set("base_branch", json!("main"))
            .file("f", &noise(40_000, writer));
        server.commit("a", body)
    });
    let answers = futures::future::join_all(commits).await;
    let written = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        is_over_quota(answer, QUOTA);
    }
    assert!((8..=12).contains(&written), "{written}");
    assert!(server.used_bytes("a").await > QUOTA - 50_000);
    assert_eq!(server.branches("a", "").await.len(), written + 1);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_told_so() {
    let server = with(|limits| limits.set_request_bytes(50_000)).await;
    server
        .commit("a", one_file(&noise(20_000, 1)))
        .await
        .expect(201);
    let refused = server
        .commit("a", one_file(&noise(60_000, 2)))
        .await
        .expect(413);
    assert_eq!(refused.code(), "too_large");
    assert!(refused.error().contains("50000"), "{}", refused.body);
    let large = json!({ "url": "x".repeat(60_000) });
    let owner = Token::new("a", &["repo:write"]);
    let refused = server.post("/webhooks", &owner, &large).await.expect(413);
    assert!(refused.error().contains("50000"), "{}", refused.body);
    let checkout = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    checkout.commit("g", &noise(60_000, 3)).await;
    let refused = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(
        refused.contains("over the limit of 50000 bytes"),
        "{refused}"
    );
    assert!(
        refused.contains("[remote rejected] main -> main"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_sync_over_the_quota_fails_with_that_reason() {
    let upstream = Upstream::start().await;
    let data: String = noise(90_000, 5)
        .iter()
        .map(|byte| char::from(b'a' + byte % 26))
        .collect();
    upstream.commit("f", &data).await;
    let over_quota: fn(&mut Limits) = |limits| limits.repo_bytes = Some(20_000);
    let over_file: fn(&mut Limits) = |limits| limits.file_bytes = 20_000;
    for (set, reason) in [
        (over_quota, "repository size quota exceeded"),
        (over_file, "over the limit of 20000 bytes for one file"),
    ] {
        let server = TestServer::with(|config| {
            config.egress = Egress::Any;
            set(&mut config.limits);
        })
        .await;
        let base = json!({ "provider": "git", "url": upstream.url(), "owner": "o", "name": "n", "auth": { "auth_type": "public" } });
        let body = json!({ "base_repo": base });
        server
            .post("/repos", &Token::new("up", &["repo:write"]), &body)
            .await
            .expect(201);
        let mut found = json!(null);
        for _ in 0..1000 {
            found = server
                .get("/repo", &Token::read("up"))
                .await
                .expect(200)
                .body;
            if found["sync"]["error"].is_string() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let error = found["sync"]["error"].as_str().unwrap();
        assert!(error.contains(reason), "{error}");
        // The job says so a moment later.
        let mut of_job = json!(null);
        for _ in 0..1000 {
            let jobs = server.get("/repos/jobs", &Token::read("up")).await;
            of_job = jobs.expect(200).body["jobs"][0]["error"].clone();
            if of_job.is_string() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(of_job.as_str().unwrap().contains(reason), "{of_job}");
    }
}

async fn an_organisation_does_not_grow_past_its_quota(database: &Database) {
    const QUOTA: u64 = 300_000;
    let server = TestServer::with(|config| {
        database.set(config);
        config.limits.org_bytes = Some(QUOTA);
    })
    .await;
    for repo in ["a", "b"] {
        server.create(repo).await;
    }
    let used = async || {
        let catalog = server.server.hosted().catalog();
        catalog.org_bytes(server.org).await.unwrap()
    };
    let is_over = |answer: &Answer| {
        assert_eq!(answer.status, 413, "{}", answer.body);
        assert_eq!(answer.code(), "quota_exceeded");
        let said = answer.error();
        assert!(
            said.contains("organisation storage quota exceeded"),
            "{said}"
        );
        assert!(said.contains(&format!("may have {QUOTA}")), "{said}");
    };
    let mut written = 0;
    let refused = loop {
        let repo = ["a", "b"][written as usize % 2];
        let answer = server.commit(repo, one_file(&noise(40_000, written))).await;
        if answer.status != 201 {
            break answer;
        }
        written += 1;
        assert!(written < 8);
    };
    is_over(&refused);
    assert!(written >= 6, "{written}");
    assert!((QUOTA - 45_000..=QUOTA).contains(&used().await));

    let checkout = Checkout::init().await;
    checkout.commit("f", &noise(80_000, 50)).await;
    let url = server.git_url("a", &Token::write("a"));
    let said = checkout
        .git_fails(&["push", &url, "main:refs/heads/x"])
        .await;
    assert!(
        said.contains("organisation storage quota exceeded"),
        "{said}"
    );

    // A pack counts once, however many repositories list it.
    let token = Token::read("a").text();
    let fork = json!({ "base_repo": { "provider": "code", "owner": "acme", "name": "a", "operation": "fork", "auth": { "token": token } } });
    let row = server
        .server
        .hosted()
        .catalog()
        .repo(server.org, "a")
        .await
        .unwrap()
        .unwrap();
    server.server.hosted().fold(row.id).await.unwrap();
    let before = used().await;
    server
        .post("/repos", &Token::new("fork", &["repo:write"]), &fork)
        .await
        .expect(201);
    assert_eq!(used().await, before);

    // What is deleted makes room at once.
    server
        .delete(
            "/repos/delete",
            &Token::new("b", &["repo:write"]),
            &json!({}),
        )
        .await
        .expect(200);
    server
        .commit("a", one_file(&noise(40_000, 99)))
        .await
        .expect(201);
    server.server.shutdown().await;
}

#[tokio::test]
async fn no_merge_makes_a_file_over_the_limit() {
    let server = with(|limits| limits.file_bytes = 100_000).await;
    let lines = |seed: u64, count: usize| -> String {
        let bytes = noise(count * 20, seed);
        let line = |bytes: &[u8]| {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            digits + "\n"
        };
        bytes.chunks(20).map(line).collect()
    };
    let middle = lines(1, 1500);
    assert!((60_000..65_000).contains(&middle.len()));
    server
        .commit("a", one_file(middle.as_bytes()))
        .await
        .expect(201);
    let longer = lines(2, 700) + &middle;
    let side = CommitBody::new("side")
        .set("base_branch", json!("main"))
        .file("f", longer.as_bytes());
    let side = server.commit("a", side).await.expect(201).body["commit"]["commit_sha"].clone();
    let longer = middle + &lines(3, 700);
    server
        .commit("a", one_file(longer.as_bytes()))
        .await
        .expect(201);
    let before = server.branches("a", "").await;
    let person = json!({ "name": "Ann", "email": "ann@example.com" });
    let merge = json!({
        "source_branch": "side", "target_branch": "main", "strategy": "merge", "commit_message": "m", "author": person,
    });
    let pick = json!({ "target_branch": "main", "commit": side, "committer": person });
    for (path, body) in [("/repos/merge", merge), ("/repos/cherry-pick", pick)] {
        let refused = server.post(path, &Token::write("a"), &body).await;
        assert_eq!(refused.status, 413, "{path}: {}", refused.body);
        assert_eq!(refused.code(), "too_large");
        let said = refused.error();
        assert!(
            said.contains("over the limit of 100000 bytes for one file"),
            "{said}"
        );
    }
    assert_eq!(server.branches("a", "").await, before);
}
