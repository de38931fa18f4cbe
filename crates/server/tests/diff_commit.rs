//! Commits from diffs: the stream, the answers, and that nothing happens where something is wrong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Checkout, CommitBody, TestServer, Token};

/// A diff as the SDKs send it: metadata, then chunks of 4 MiB.
fn body(metadata: &CommitBody, diff: &[u8]) -> String {
    let mut metadata = metadata.metadata.clone();
    metadata.as_object_mut().unwrap().remove("files");
    let mut text = format!("{}\n", json!({ "metadata": metadata }));
    let mut rest = diff;
    loop {
        let (chunk, after) = rest.split_at(rest.len().min(4 << 20));
        rest = after;
        let (data, eof) = (STANDARD.encode(chunk), rest.is_empty());
        // Separators of the Python SDK.
        text += &format!("{{\"diff_chunk\": {{\"data\": \"{data}\", \"eof\": {eof}}}}}\n");
        if eof {
            return text;
        }
    }
}

impl TestServer {
    async fn diff_with(&self, token: &Token, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(Method::POST, "/repos/diff-commit", token);
        let request = request.header("content-type", "application/x-ndjson");
        self.send(request.body(body)).await
    }

    async fn apply(&self, metadata: &CommitBody, diff: &str) -> Answer {
        self.diff_with(&Token::write("a"), body(metadata, diff.as_bytes()))
            .await
    }

    async fn text(&self, path: &str) -> String {
        self.file("a", &format!("path={path}"))
            .await
            .text()
            .await
            .unwrap()
    }
}

const CHANGE: &str = "--- a/one.txt\n+++ b/one.txt\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n";

async fn with_one_file() -> (TestServer, String) {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "one.txt", "1\n2\n3\n").await;
    (server, head)
}

#[tokio::test]
async fn a_diff_becomes_one_commit() {
    let (server, head) = with_one_file().await;
    let diff = format!(
        "{CHANGE}diff --git a/one.txt b/copy.txt\nsimilarity index 100%\ncopy from one.txt\ncopy to copy.txt\n\
         diff --git a/run.sh b/run.sh\nnew file mode 100755\n--- /dev/null\n+++ b/run.sh\n@@ -0,0 +1 @@\n+#!/bin/sh\n"
    );
    let metadata = CommitBody::new("main").set("expected_head_sha", json!(head));
    let made = server.apply(&metadata, &diff).await.expect(201).body;
    let (commit, result) = (&made["commit"], &made["result"]);
    assert_eq!(
        (&commit["target_branch"], &commit["blob_count"]),
        (&json!("main"), &json!(3))
    );
    assert!(commit["pack_bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        (&result["branch"], &result["old_sha"]),
        (&json!("main"), &json!(head))
    );
    assert_eq!(result["new_sha"], commit["commit_sha"]);
    assert_eq!(
        (&result["success"], &result["status"]),
        (&json!(true), &json!("ok"))
    );
    let clone = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    assert_eq!(clone.git(&["show", "main:one.txt"]).await, "1\ntwo\n3");
    assert_eq!(clone.git(&["show", "main:copy.txt"]).await, "1\n2\n3");
    assert!(
        clone
            .git(&["ls-tree", "main", "run.sh"])
            .await
            .starts_with("100755")
    );
    assert_eq!(
        clone.git(&["log", "--format=%an %s", "-1"]).await,
        "Ann a change"
    );
    clone.git(&["fsck", "--full", "--strict"]).await;
}

#[tokio::test]
async fn branches_are_found_made_and_guarded_as_for_other_commits() {
    let server = TestServer::with_repo("a").await;
    let first = "--- /dev/null\n+++ b/one.txt\n@@ -0,0 +1,3 @@\n+1\n+2\n+3\n";
    let made = server
        .apply(&CommitBody::new("main"), first)
        .await
        .expect(201);
    assert_eq!(made.body["result"]["old_sha"], json!("0".repeat(40)));
    let head = made.body["commit"]["commit_sha"].clone();
    let missing = server
        .apply(&CommitBody::new("x"), CHANGE)
        .await
        .expect(404);
    assert_eq!(missing.code(), "ref_not_found");
    let preview = CommitBody::new("x")
        .set("base_branch", json!("main"))
        .set("target_is_ephemeral", json!(true))
        .set("expected_target_sha", head.clone());
    server.apply(&preview, CHANGE).await.expect(201);
    let file = server.file("a", "path=one.txt&ref=x&ephemeral=true").await;
    assert_eq!(file.text().await.unwrap(), "1\ntwo\n3\n");
    let stale = CommitBody::new("main").set("expected_head_sha", json!("1".repeat(40)));
    let refused = server.apply(&stale, CHANGE).await.expect(409);
    assert_eq!(
        (refused.code(), &refused.body["result"]["old_sha"]),
        ("head_moved", &head)
    );
    let guarded = Token::write("a").with("refs", json!([["main", ["no-push"]]]));
    let diff = body(&CommitBody::new("main"), CHANGE.as_bytes());
    let denied = server.diff_with(&guarded, diff.clone()).await.expect(403);
    assert_eq!(denied.code(), "policy_denied");
    server.diff_with(&Token::read("a"), diff).await.expect(403);
    assert_eq!(
        server.branches("a", "").await,
        [("main".to_owned(), head.as_str().unwrap().to_owned())]
    );
}

#[tokio::test]
async fn a_conflict_names_the_file_and_the_line_and_writes_nothing() {
    let (server, head) = with_one_file().await;
    let diff = format!("{CHANGE}@@ -40,2 +40,2 @@\n 1\n-twelve\n+zwoelf\n");
    let refused = server
        .apply(&CommitBody::new("main"), &diff)
        .await
        .expect(409);
    assert_eq!(refused.body["result"]["status"], "conflict");
    assert_eq!(refused.body["result"]["success"], false);
    assert_eq!(
        refused.error(),
        "`one.txt`: the hunk does not apply (line 8 of the patch)"
    );
    for (diff, status, code, text) in [
        ("", 400, "invalid", "empty"),
        ("no diff\n", 400, "invalid", "no diff"),
        (
            "--- a/one.txt\n+++ b/one.txt\n@@ -1,9 +1,9 @@\n 1\n",
            400,
            "invalid",
            "line 5",
        ),
        (
            "--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n",
            400,
            "invalid",
            "`../x`",
        ),
        (
            "--- /dev/null\n+++ b/a/.git/x\n@@ -0,0 +1 @@\n+x\n",
            400,
            "invalid",
            "`a/.git/x`",
        ),
        (
            "--- /dev/null\n+++ b/one.txt/x\n@@ -0,0 +1 @@\n+x\n",
            409,
            "conflict",
            "one.txt",
        ),
        (
            "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
            409,
            "conflict",
            "`x`",
        ),
    ] {
        let refused = server
            .apply(&CommitBody::new("main"), diff)
            .await
            .expect(status);
        assert_eq!(refused.code(), code, "{diff}");
        assert!(
            refused.error().contains(text),
            "{diff}: {}",
            refused.error()
        );
        assert_eq!(refused.body["commit"], Value::Null);
    }
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
}

#[tokio::test]
async fn what_is_no_stream_of_a_diff_is_refused() {
    let (server, head) = with_one_file().await;
    let first = json!({ "metadata": CommitBody::new("main").metadata }).to_string();
    let chunk =
        |data: &str, eof: bool| json!({ "diff_chunk": { "data": data, "eof": eof } }).to_string();
    let data = STANDARD.encode(CHANGE);
    let with_files =
        json!({ "metadata": CommitBody::new("main").delete("one.txt").metadata }).to_string();
    for (lines, text) in [
        (vec![], "empty"),
        (vec![chunk(&data, true)], "metadata"),
        (vec![first.clone()], "`eof`"),
        (vec![first.clone(), chunk(&data, false)], "`eof`"),
        (
            vec![first.clone(), chunk(&data, true), chunk("", true)],
            "after its last chunk",
        ),
        (vec![first.clone(), chunk("#", true)], "base64"),
        (
            vec![first.clone(), json!({ "blob_chunk": {} }).to_string()],
            "diff_chunk",
        ),
        (vec![first.clone(), "[]".to_owned()], "diff_chunk"),
        (
            vec![
                first.clone(),
                format!("{{\"diff_chunk\":{{\"data\":\"{}\"", "A".repeat(100_000)),
            ],
            "diff_chunk",
        ),
        (
            vec![
                first,
                chunk(&STANDARD.encode(vec![b'#'; (4 << 20) + 1]), true),
            ],
            "more than 4194304",
        ),
        (vec![with_files, chunk(&data, true)], "`files`"),
    ] {
        let refused = server
            .diff_with(&Token::write("a"), lines.join("\n"))
            .await
            .expect(400);
        assert!(refused.error().contains(text), "{}", refused.error());
    }
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
}

#[tokio::test]
async fn a_large_diff_goes_through_a_file() {
    let (server, _) = with_one_file().await;
    let mut diff = CHANGE.to_owned();
    for number in 0..60 {
        diff += &format!("--- /dev/null\n+++ b/new/{number}\n@@ -0,0 +1,2000 @@\n");
        for line in 0..2000 {
            diff += &format!("+line {line} of file {number}, which is one of several\n");
        }
    }
    assert!(diff.len() > 5 << 20);
    let made = server
        .apply(&CommitBody::new("main"), &diff)
        .await
        .expect(201);
    assert_eq!(made.body["commit"]["blob_count"], 61);
    assert_eq!(server.text("one.txt").await, "1\ntwo\n3\n");
    assert!(
        server
            .text("new/59")
            .await
            .ends_with("line 1999 of file 59, which is one of several\n")
    );

    let small = TestServer::with_limits(|limits| limits.diff_bytes = 1000).await;
    small.create("a").await;
    let refused = small
        .apply(&CommitBody::new("main"), &diff)
        .await
        .expect(413);
    assert_eq!(refused.code(), "too_large");
}

/// Writers of one file, each of another line, without a guard: all of them win.
#[tokio::test]
async fn diffs_of_one_file_by_many_are_all_applied() {
    let server = std::sync::Arc::new(TestServer::with_repo("a").await);
    let lines: String = (0..100).map(|number| format!("{number}\n")).collect();
    server.put("a", "one.txt", &lines).await;
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let server = server.clone();
            tokio::spawn(async move {
                let at = 4 + writer * 6;
                let diff = format!(
                    "--- a/one.txt\n+++ b/one.txt\n@@ -{at},3 +{at},3 @@\n {}\n-{at}\n+{at} changed\n {}\n",
                    at - 1,
                    at + 1
                );
                server.apply(&CommitBody::new("main"), &diff).await.expect(201);
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(server.text("one.txt").await.matches("changed").count(), 16);
}
