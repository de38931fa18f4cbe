//! Diffs over the API, held against `git diff` in a clone.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Answer, Checkout, CommitBody, TestServer, Token};

async fn diff(server: &TestServer, query: &str) -> Answer {
    server.get(query, &Token::read("a")).await
}

/// The diffs of all files that are shown, one behind the other.
fn raw(answer: &Answer) -> String {
    let files = answer.body["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| file["raw"].as_str().unwrap())
        .collect()
}

fn paths(list: &Value) -> Vec<&str> {
    let files = list.as_array().unwrap().iter();
    files.map(|file| file["path"].as_str().unwrap()).collect()
}

/// A repository whose branches `main` and `side` have come apart, pushed by git.
async fn diverged() -> (TestServer, Checkout) {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let text: String = (0..40).map(|line| format!("line {line}\n")).collect();
    checkout.commit("lib/one.txt", text.as_bytes()).await;
    checkout.commit("moved", text.repeat(2).as_bytes()).await;
    checkout.commit("gone", b"1\n2\n3").await;
    checkout.commit("spaces", b"a b\nc\n").await;
    checkout.git(&["checkout", "-q", "-b", "side"]).await;
    let edited = text
        .replace("line 7\n", "line seven\n")
        .replace("line 30\n", "");
    checkout.commit("lib/one.txt", edited.as_bytes()).await;
    checkout.git(&["mv", "moved", "lib/to here"]).await;
    let longer = text.repeat(2) + "more\n";
    checkout.commit("lib/to here", longer.as_bytes()).await;
    checkout.git(&["rm", "-q", "gone"]).await;
    checkout.commit("caf\u{e9}", b"no line break").await;
    checkout.commit("spaces", b"a  b \nc\nd\n").await;
    checkout.git(&["checkout", "-q", "main"]).await;
    checkout.commit("only-main", b"not of the branch\n").await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main", "side"]).await;
    (server, checkout)
}

#[tokio::test]
async fn a_branch_is_compared_with_where_it_left_its_base() {
    let (server, checkout) = diverged().await;
    let answer = diff(&server, "/repos/branches/diff?branch=side")
        .await
        .expect(200);
    let expected = checkout
        .git(&["diff", "-b", "--full-index", "main...side"])
        .await;
    assert_eq!(raw(&answer).trim_end(), expected);
    assert_eq!(answer.body["branch"], "side");
    assert_eq!(answer.body["base"], "main");
    let merge_base = checkout.git(&["merge-base", "main", "side"]).await;
    assert_eq!(answer.body["merge_base_sha"], merge_base);
    assert_eq!(answer.body["filtered_files"], json!([]));
    let numbers = checkout
        .git(&["diff", "-b", "--shortstat", "main...side"])
        .await;
    let stats = &answer.body["stats"];
    assert_eq!(
        format!(
            "{} files changed, {} insertions(+), {} deletions(-)",
            stats["files"], stats["additions"], stats["deletions"]
        ),
        numbers.trim()
    );
    let changes = stats["additions"].as_u64().unwrap() + stats["deletions"].as_u64().unwrap();
    assert_eq!(stats["changes"], changes);
    let files = answer.body["files"].as_array().unwrap();
    let moved = files
        .iter()
        .find(|file| file["path"] == "lib/to here")
        .unwrap();
    assert_eq!(
        (&moved["state"], &moved["old_path"]),
        (&json!("R099"), &json!("moved"))
    );
    assert_eq!(
        (&moved["additions"], &moved["deletions"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(moved["bytes"], moved["raw"].as_str().unwrap().len());
    let cafe = files
        .iter()
        .find(|file| file["path"] == "caf\u{e9}")
        .unwrap();
    assert_eq!(
        (&cafe["state"], &cafe["is_eof"]),
        (&json!("A"), &json!(false))
    );
}

#[tokio::test]
async fn newer_names_and_other_bases_do_too() {
    let (server, checkout) = diverged().await;
    let old = diff(&server, "/repos/branches/diff?branch=main&base=side")
        .await
        .expect(200);
    let new = diff(
        &server,
        "/repos/branches/diff?ref=main&base_ref=side&ref_is_ephemeral=false",
    )
    .await;
    assert_eq!(old.body, new.expect(200).body);
    assert_eq!(paths(&old.body["files"]), ["only-main"]);
    let some = diff(
        &server,
        "/repos/branches/diff?branch=side&path=lib/&path=gone",
    )
    .await
    .expect(200);
    let command = [
        "diff",
        "-b",
        "--full-index",
        "main...side",
        "--",
        "lib",
        "gone",
    ];
    assert_eq!(raw(&some).trim_end(), checkout.git(&command).await);
    assert_eq!(
        paths(&some.body["files"]),
        ["gone", "lib/one.txt", "lib/to here"]
    );
}

#[tokio::test]
async fn ephemeral_branches_are_compared_with_ordinary_ones() {
    let (server, _) = diverged().await;
    let body = CommitBody::new("draft")
        .set("base_branch", json!("main"))
        .set("ephemeral", json!(true))
        .file("draft.txt", b"draft\n");
    server.commit("a", body).await.expect(201);
    let query = "/repos/branches/diff?branch=draft&ephemeral=true&base=main";
    let answer = diff(&server, query).await.expect(200);
    assert_eq!(paths(&answer.body["files"]), ["draft.txt"]);
    let query = "/repos/branches/diff?branch=main&base=draft&ephemeral_base=true";
    assert_eq!(
        diff(&server, query).await.expect(200).body["files"],
        json!([])
    );
    diff(&server, "/repos/branches/diff?branch=draft")
        .await
        .expect(404);
}

#[tokio::test]
async fn a_commit_is_compared_with_its_parent_or_a_given_base() {
    let (server, checkout) = diverged().await;
    for rev in ["side", "side~1", "main~4", "main"] {
        let id = checkout.git(&["rev-parse", rev]).await;
        let answer = diff(&server, &format!("/repos/diff?sha={id}"))
            .await
            .expect(200);
        let expected = checkout
            .git(&["show", "--format=", "-b", "--full-index", &id])
            .await;
        assert_eq!(raw(&answer).trim_end(), expected.trim_end(), "{rev}");
        assert_eq!(answer.body["sha"], id);
        let is_first = rev == "main~4";
        assert_eq!(answer.body.get("base_sha").is_none(), is_first);
        assert!(answer.body.get("merge_base_sha").is_none());
    }
    let [main, side] = [
        checkout.git(&["rev-parse", "main"]).await,
        checkout.git(&["rev-parse", "side"]).await,
    ];
    let query = format!("/repos/diff?sha={side}&baseSha={main}");
    let answer = diff(&server, &query).await.expect(200);
    let expected = checkout
        .git(&["diff", "-b", "--full-index", "main...side"])
        .await;
    assert_eq!(raw(&answer).trim_end(), expected);
    assert_eq!(answer.body["base_sha"], main);
    let merge_base = checkout.git(&["merge-base", "main", "side"]).await;
    assert_eq!(answer.body["merge_base_sha"], merge_base);
    let newer = format!("/repos/diff?ref={side}&base_ref={main}&git_apply_compatible=false");
    assert_eq!(diff(&server, &newer).await.expect(200).body, answer.body);
}

#[tokio::test]
async fn patches_can_be_applied_to_the_base() {
    let (server, checkout) = diverged().await;
    checkout.git(&["checkout", "-q", "side"]).await;
    checkout
        .commit("bytes", &(0..=255).cycle().take(3000).collect::<Vec<u8>>())
        .await;
    checkout.commit("latin", b"caf\xe9\nna\xefve\n").await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "side"]).await;
    let query = "/repos/diff?sha=side&baseSha=main&gitApplyCompatible=true";
    let without_binary = diff(&server, query).await.expect(200);
    assert_eq!(paths(&without_binary.body["filtered_files"]), ["bytes"]);
    assert_eq!(without_binary.body.get("merge_base_sha"), None);
    let bytes = diff(&server, &format!("{query}&path=bytes"))
        .await
        .expect(200);
    assert_eq!(paths(&bytes.body["files"]), ["bytes"]);
    checkout.git(&["checkout", "-q", "main"]).await;
    for answer in [&without_binary, &bytes] {
        let mut git = Command::new("git")
            .args(["apply", "--index", "--binary", "--whitespace=nowarn"])
            .current_dir(checkout.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        git.stdin
            .take()
            .unwrap()
            .write_all(raw(answer).as_bytes())
            .unwrap();
        assert!(git.wait().unwrap().success());
    }
    let made = checkout.git(&["write-tree"]).await;
    assert_eq!(made, checkout.git(&["rev-parse", "side^{tree}"]).await);
}

#[tokio::test]
async fn what_nobody_reads_is_only_named_unless_asked_for() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "start", "1\n").await;
    let long: String = (0..2001).map(|line| format!("{line}\n")).collect();
    let large = "x".repeat(99) + "\n";
    let body = CommitBody::new("main")
        .file("bin", b"a\0b")
        .file("large.txt", large.repeat(6000).as_bytes())
        .file("long.txt", long.as_bytes())
        .file("small.txt", b"small")
        .file("web/yarn.lock", b"lock\n");
    server.commit("a", body).await.expect(201);
    let answer = diff(&server, "/repos/diff?sha=main").await.expect(200);
    assert_eq!(paths(&answer.body["files"]), ["small.txt"]);
    let filtered = &answer.body["filtered_files"];
    assert_eq!(
        paths(filtered),
        ["bin", "large.txt", "long.txt", "web/yarn.lock"]
    );
    assert_eq!(
        filtered[1],
        json!({ "path": "large.txt", "state": "A", "bytes": 600_000, "is_eof": true })
    );
    assert_eq!(filtered[0]["is_eof"], false);
    let stats = json!({ "files": 5, "additions": 8003, "deletions": 0, "changes": 8003 });
    assert_eq!(answer.body["stats"], stats);
    for path in ["bin", "large.txt", "long.txt", "web/yarn.lock", "web"] {
        let answer = diff(&server, &format!("/repos/diff?sha=main&path={path}"))
            .await
            .expect(200);
        assert_eq!(answer.body["files"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(answer.body["filtered_files"], json!([]));
    }
    let bin = diff(&server, "/repos/diff?sha=main&path=bin").await;
    assert!(raw(&bin).ends_with("Binary files /dev/null and b/bin differ\n"));
}

#[tokio::test]
async fn unrelated_histories_are_compared_as_they_are() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    checkout.commit("one", b"1\n").await;
    checkout.git(&["checkout", "-q", "--orphan", "other"]).await;
    checkout.commit("two", b"2\n").await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main", "other"]).await;
    let answer = diff(&server, "/repos/branches/diff?branch=other")
        .await
        .expect(200);
    assert_eq!(paths(&answer.body["files"]), ["two"]);
    assert_eq!(answer.body.get("merge_base_sha"), None);
}

#[tokio::test]
async fn bad_queries_are_refused() {
    let server = TestServer::with_repo("a").await;
    diff(&server, "/repos/diff?sha=main").await.expect(404);
    server.put("a", "x", "1").await;
    for (query, status, word) in [
        ("/repos/diff", 400, "`sha`"),
        ("/repos/diff?sha=%20", 400, "`sha` is empty"),
        (
            "/repos/diff?sha=main&gitApplyCompatible=yes",
            400,
            "`gitApplyCompatible`",
        ),
        ("/repos/diff?sha=main&path=../x", 400, "../x"),
        (
            "/repos/diff?sha=0123456789012345678901234567890123456789",
            404,
            "0123456789",
        ),
        ("/repos/diff?sha=main&baseSha=nothing", 404, "nothing"),
        ("/repos/branches/diff", 400, "`branch`"),
        ("/repos/branches/diff?branch=nothing", 404, "nothing"),
        (
            "/repos/branches/diff?branch=main&base=nothing",
            404,
            "nothing",
        ),
        (
            "/repos/branches/diff?branch=main&ephemeral=true",
            404,
            "main",
        ),
    ] {
        let answer = diff(&server, query).await.expect(status);
        assert!(answer.error().contains(word), "{query}: {}", answer.error());
    }
    let other = Token::new("a", &["repo:write"]);
    server.get("/repos/diff?sha=main", &other).await.expect(403);
}
