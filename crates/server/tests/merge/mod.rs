//! Merges over the API.

mod conflicts;
mod rules;

use serde_json::{Value, json};

use crate::support::{Answer, Checkout, CommitBody, TestServer, Token};

fn author() -> Value {
    json!({ "name": "Mia", "email": "mia@example.com" })
}

/// A request to merge that may make a commit.
fn request(source: &str, target: &str) -> Value {
    json!({
        "source_branch": source, "target_branch": target, "strategy": "merge",
        "commit_message": format!("Merge {source}"), "author": author(),
    })
}

fn with(mut request: Value, field: &str, value: Value) -> Value {
    request[field] = value;
    request
}

async fn merge(server: &TestServer, body: Value) -> Answer {
    server.post("/repos/merge", &Token::write("a"), &body).await
}

async fn preview(server: &TestServer, query: &str) -> Answer {
    let path = format!("/repos/merge/preview?{query}");
    server.get(&path, &Token::read("a")).await
}

/// Commits one file to a branch, which is made from `main` if it is not there.
async fn put(server: &TestServer, branch: &str, path: &str, data: &str) -> String {
    let body = CommitBody::new(branch)
        .set("base_branch", json!("main"))
        .file(path, data.as_bytes());
    let made = server.commit("a", body).await.expect(201);
    made.body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn text(server: &TestServer, branch: &str, path: &str) -> String {
    let query = format!("path={path}&ref={branch}");
    server.file("a", &query).await.text().await.unwrap()
}

async fn parents(server: &TestServer, sha: &str) -> Vec<String> {
    let found = server
        .get(&format!("/repos/commit?sha={sha}"), &Token::read("a"))
        .await
        .expect(200);
    let parents = found.body["commit"]["parent_shas"].as_array().unwrap();
    let text = |sha: &Value| sha.as_str().unwrap().to_owned();
    parents.iter().map(text).collect()
}

/// `main` and `topic` have both gone on from one commit, in different files.
async fn diverged() -> (TestServer, [String; 3]) {
    let server = TestServer::with_repo("a").await;
    let base = server.put("a", "x", "1\n").await;
    put(&server, "topic", "y", "1\n").await;
    let theirs = put(&server, "topic", "z", "1\n").await;
    let ours = server.put("a", "x", "2\n").await;
    (server, [base, ours, theirs])
}

#[tokio::test]
async fn a_merge_commit_follows_both_branches() {
    let (server, [base, ours, theirs]) = diverged().await;
    let merged = merge(&server, request("topic", "main"))
        .await
        .expect(200)
        .body;
    let new = merged["commit_sha"].as_str().unwrap();
    assert_eq!(merged["result"], "merge_commit");
    assert_eq!(merged["promoted_commits"], 2);
    assert_eq!(merged["merge_base_sha"], base);
    assert_eq!(
        merged["source"],
        json!({ "branch": "topic", "ref": "topic", "ephemeral": false, "sha": theirs })
    );
    assert_eq!(
        merged["target"],
        json!({ "branch": "main", "ephemeral": false, "old_sha": ours, "new_sha": new })
    );
    assert_eq!(parents(&server, new).await, [ours, theirs]);
    assert_eq!(text(&server, "main", "x").await, "2\n");
    assert_eq!(text(&server, "main", "z").await, "1\n");
    // And Git agrees with what was stored.
    let checkout = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    checkout.git(&["fsck", "--full", "--strict"]).await;
    let shown = checkout.git(&["log", "-1", "--format=%s|%an|%cn|%T"]).await;
    let tree = merged["tree_sha"].as_str().unwrap();
    assert_eq!(shown, format!("Merge topic|Mia|Mia|{tree}"));

    let again = merge(&server, request("topic", "main"))
        .await
        .expect(200)
        .body;
    assert_eq!(again["result"], "no_op");
    assert_eq!(again["commit_sha"], new);
    assert_eq!(again["promoted_commits"], 0);
}

#[tokio::test]
async fn strategies_decide_whether_a_commit_is_made() {
    let server = TestServer::with_repo("a").await;
    let base = server.put("a", "x", "1\n").await;
    for branch in ["one", "two", "three"] {
        let body = json!({ "base_ref": base, "target_branch": branch });
        server
            .post("/repos/branches/create", &Token::write("a"), &body)
            .await
            .expect(200);
    }
    let tip = server.put("a", "x", "2\n").await;
    // Without message and author: none is needed.
    for strategy in ["ff_only", "ff_prefer"] {
        let branch = if strategy == "ff_only" { "one" } else { "two" };
        let body =
            json!({ "source_branch": "main", "target_branch": branch, "strategy": strategy });
        let moved = merge(&server, body.clone()).await.expect(200).body;
        assert_eq!(moved["result"], "fast_forward");
        assert_eq!(moved["commit_sha"], tip);
        assert_eq!(moved["promoted_commits"], 1);
        let again = merge(&server, body).await.expect(200).body;
        assert_eq!(again["result"], "no_op");
    }
    let merged = merge(&server, request("main", "three"))
        .await
        .expect(200)
        .body;
    assert_eq!(merged["result"], "merge_commit");
    let new = merged["commit_sha"].as_str().unwrap();
    assert_eq!(parents(&server, new).await, [base, tip]);

    let (server, [base, ..]) = diverged().await;
    let body = with(request("topic", "main"), "strategy", json!("ff_only"));
    let refused = merge(&server, body).await.expect(409);
    assert_eq!(refused.code(), "merge_conflict");
    assert_eq!(refused.body["conflict_paths"], json!([]));
    assert_eq!(refused.body["merge_base_sha"], base);
    let body = with(request("topic", "main"), "strategy", json!("ff_prefer"));
    let merged = merge(&server, body).await.expect(200);
    assert_eq!(merged.body["result"], "merge_commit");
}

#[tokio::test]
async fn a_branch_merged_with_itself_stays_as_it_is() {
    let (server, [_, ours, _]) = diverged().await;
    let itself = request("main", "main");
    for body in [
        itself.clone(),
        with(itself.clone(), "squash", json!(true)),
        with(itself.clone(), "strategy", json!("ff_only")),
        with(itself, "strategy", json!("ff_prefer")),
    ] {
        let merged = merge(&server, body).await.expect(200).body;
        assert_eq!(merged["result"], "no_op");
        assert_eq!(merged["target"]["old_sha"], ours);
        assert_eq!(merged["target"]["new_sha"], ours);
        assert_eq!(merged["merge_base_sha"], ours);
        assert_eq!(merged["promoted_commits"], 0);
    }
    let preview = "/repos/merge/preview?source_branch=main&target_branch=main";
    let shown = server.get(preview, &Token::read("a")).await.expect(200);
    assert_eq!(shown.body["status"], "clean");
    assert_eq!(shown.body["result"], "no_op");
    let heads = server.branches("a", "").await;
    assert!(heads.contains(&("main".to_owned(), ours)), "{heads:?}");
}

#[tokio::test]
async fn a_squash_is_one_ordinary_commit() {
    let (server, [_, ours, _]) = diverged().await;
    let body = with(request("topic", "main"), "squash", json!(true));
    let squashed = merge(&server, body.clone()).await.expect(200).body;
    assert_eq!(squashed["result"], "squash");
    assert_eq!(squashed["promoted_commits"], 2);
    let new = squashed["commit_sha"].as_str().unwrap();
    assert_eq!(parents(&server, new).await, [ours]);
    assert_eq!(text(&server, "main", "z").await, "1\n");
    // Nothing is left to squash, though the branch is not merged.
    let again = merge(&server, body.clone()).await.expect(200).body;
    assert_eq!(again["result"], "no_op");
    assert_eq!(again["commit_sha"], new);
    let both = with(body, "strategy", json!("ff_only"));
    assert_eq!(merge(&server, both).await.expect(400).code(), "invalid");
    // Where the target could move forward, too.
    put(&server, "more", "w", "1\n").await;
    let body = with(request("more", "main"), "squash", json!(true));
    let squashed = merge(&server, with(body, "strategy", json!("ff_prefer"))).await;
    let squashed = squashed.expect(200).body;
    assert_eq!(squashed["result"], "squash");
    let latest = squashed["commit_sha"].as_str().unwrap();
    assert_eq!(parents(&server, latest).await, [new]);
}

#[tokio::test]
async fn a_preview_tells_how_a_merge_ends() {
    let (server, [base, ours, theirs]) = diverged().await;
    let shown = preview(&server, "source_branch=topic&target_branch=main")
        .await
        .expect(200);
    let expected = json!({
        "status": "clean", "result": "merge_commit", "source_branch": "topic", "target_branch": "main",
        "source_tip_sha": theirs, "target_tip_sha": ours, "merge_base_sha": base,
        "conflict_paths": [], "conflicts": [], "filtered_conflicts": [],
    });
    assert_eq!(shown.body, expected);
    for (source, target, result) in [
        (theirs.as_str(), "topic", "no_op"),
        (base.as_str(), "main", "no_op"),
        ("main", "main", "no_op"),
    ] {
        let query = format!("source_ref={source}&target_branch={target}");
        assert_eq!(
            preview(&server, &query).await.expect(200).body["result"],
            result
        );
    }
    merge(&server, request("topic", "main")).await.expect(200);
    let forward = preview(&server, "source_branch=main&target_branch=topic")
        .await
        .expect(200);
    assert_eq!(forward.body["result"], "fast_forward");
    for (query, status) in [
        ("source_branch=nothing&target_branch=main", 404),
        ("source_branch=main&target_branch=nothing", 404),
        ("target_branch=main", 400),
        ("source_branch=a..b&target_branch=main", 400),
        (
            "source_branch=main&target_branch=main&include_content=perhaps",
            400,
        ),
    ] {
        preview(&server, query).await.expect(status);
    }
}

#[tokio::test]
async fn what_is_missing_or_moved_is_said() {
    let (server, [_, ours, theirs]) = diverged().await;
    let refused = merge(
        &server,
        with(
            request("topic", "main"),
            "expected_target_sha",
            json!(theirs),
        ),
    )
    .await
    .expect(409);
    assert_eq!(refused.code(), "head_moved");
    assert_eq!(refused.body["conflict_paths"], json!([]));
    for (field, value) in [
        ("expected_target_sha", json!("main")),
        ("commit_message", Value::Null),
        ("commit_message", json!(" ")),
        ("author", Value::Null),
        ("author", json!({ "name": "", "email": "x" })),
        ("strategy", json!("octopus")),
        ("target_branch", json!("refs/heads/main")),
        ("source_branch", json!("")),
    ] {
        let refused = merge(&server, with(request("topic", "main"), field, value))
            .await
            .expect(400);
        assert_eq!(refused.code(), "invalid");
    }
    for (source, target) in [("nothing", "main"), ("topic", "nothing")] {
        let refused = merge(&server, request(source, target)).await.expect(404);
        assert!(refused.error().contains("`nothing`"), "{}", refused.body);
    }
    let body = with(request("", "main"), "source_ref", json!("topic~1"));
    let body = with(body, "expected_target_sha", json!(ours));
    let merged = merge(&server, body).await.expect(200).body;
    assert_eq!(merged["promoted_commits"], 1);
    assert_eq!(merged["source"]["ref"], "topic~1");
    server
        .post("/repos/merge", &Token::read("a"), &request("topic", "main"))
        .await
        .expect(403);
}

#[tokio::test]
async fn unrelated_histories_are_merged_if_that_is_asked_for() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1\n").await;
    let checkout = Checkout::init().await;
    checkout.commit("y", b"1\n").await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main:other"]).await;
    let refused = merge(&server, request("other", "main")).await.expect(409);
    assert_eq!(refused.code(), "merge_conflict");
    assert!(
        refused.error().contains("allow_unrelated_histories"),
        "{}",
        refused.body
    );
    assert!(refused.body.get("merge_base_sha").is_none());
    let shown = preview(&server, "source_branch=other&target_branch=main")
        .await
        .expect(200);
    assert_eq!(shown.body["status"], "clean");
    let body = with(
        request("other", "main"),
        "allow_unrelated_histories",
        json!(true),
    );
    let merged = merge(&server, body).await.expect(200).body;
    assert_eq!(merged["result"], "merge_commit");
    assert!(merged.get("merge_base_sha").is_none());
    assert_eq!(text(&server, "main", "y").await, "1\n");
}

#[tokio::test]
async fn renamed_files_and_moved_folders_are_followed() {
    let server = TestServer::with_repo("a").await;
    let text: String = (0..40).map(|line| format!("line {line}\n")).collect();
    let body = CommitBody::new("main")
        .file("old/one", text.as_bytes())
        .file("old/two", b"two\n");
    server.commit("a", body).await.expect(201);
    let body = CommitBody::new("topic")
        .set("base_branch", json!("main"))
        .delete("old")
        .file("new/one", text.as_bytes())
        .file("new/two", b"two\n");
    server.commit("a", body).await.expect(201);
    let changed = text.replace("line 7\n", "line seven\n");
    server.put("a", "old/one", &changed).await;
    let merged = merge(&server, request("topic", "main"))
        .await
        .expect(200)
        .body;
    assert_eq!(merged["result"], "merge_commit");
    assert_eq!(self::text(&server, "main", "new/one").await, changed);
    let listed = server
        .get("/repos/files?ref=main", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(listed.body["paths"], json!(["new/one", "new/two"]));
    // What is put into the folder meanwhile may belong where the folder went: that is for a person to say.
    let body = json!({ "base_ref": "main~1", "target_branch": "late" });
    server
        .post("/repos/branches/create", &Token::write("a"), &body)
        .await
        .expect(200);
    put(&server, "late", "old/three", "three\n").await;
    let shown = preview(&server, "source_branch=late&target_branch=topic")
        .await
        .expect(200)
        .body;
    assert_eq!(shown["conflict_paths"], json!(["new/three"]));
    assert_eq!(shown["conflicts"][0]["kind"], "file location");
}
