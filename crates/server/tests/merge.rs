//! Merges over the API.

use std::sync::Arc;

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
async fn a_merge_in_conflict_says_where_and_stores_nothing() {
    let server = TestServer::with_repo("a").await;
    let base = server.put("a", "dir/x", "1\n").await;
    let body = CommitBody::new("topic")
        .set("base_branch", json!("main"))
        .file("dir/x", b"3\n")
        .file("added", b"there\n")
        .file("fine", b"1\n");
    server.commit("a", body).await.expect(201);
    let body = CommitBody::new("main")
        .file("dir/x", b"2\n")
        .file("added", b"here\n");
    server.commit("a", body).await.expect(201);
    let before = server.branches("a", "").await;
    for squash in [false, true] {
        let body = with(request("topic", "main"), "squash", json!(squash));
        let refused = merge(&server, body).await.expect(409);
        assert_eq!(refused.code(), "merge_conflict");
        assert_eq!(refused.body["conflict_paths"], json!(["added", "dir/x"]));
        assert_eq!(refused.body["merge_base_sha"], base);
        assert!(refused.error().contains("`dir/x`"), "{}", refused.body);
    }
    // The other way round it is the same.
    let refused = merge(&server, request("main", "topic")).await.expect(409);
    assert_eq!(refused.body["conflict_paths"], json!(["added", "dir/x"]));
    assert_eq!(server.branches("a", "").await, before);

    let shown = preview(
        &server,
        "source_branch=topic&target_branch=main&include_content=true",
    );
    let shown = shown.await.expect(200).body;
    assert_eq!(shown["status"], "conflicted");
    assert_eq!(shown["result"], "merge_commit");
    assert_eq!(shown["conflict_paths"], json!(["added", "dir/x"]));
    assert_eq!(shown["filtered_conflicts"], json!([]));
    let conflict = &shown["conflicts"][1];
    assert_eq!(conflict["path"], "dir/x");
    assert_eq!(conflict["kind"], "content");
    for (side, content) in [
        ("base", "1\n"),
        ("ours", "2\n"),
        ("theirs", "3\n"),
        ("result", "<<<<<<< main\n2\n=======\n3\n>>>>>>> topic\n"),
    ] {
        assert_eq!(conflict[side]["content"], content, "{side}");
        assert_eq!(conflict[side]["binary"], false);
        assert_eq!(conflict[side]["truncated"], false);
        assert_eq!(conflict[side]["oid"].as_str().unwrap().len(), 40);
    }
    let nothing = &shown["conflicts"][0]["base"];
    assert_eq!(*nothing, json!({ "truncated": false, "binary": false }));
    let bare = preview(&server, "source_branch=topic&target_branch=main")
        .await
        .expect(200);
    assert!(bare.body["conflicts"][0]["ours"].get("content").is_none());
    assert!(bare.body["conflicts"][0]["ours"].get("oid").is_some());
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
async fn large_and_binary_sides_are_shown_in_part_or_not() {
    let server = TestServer::with_repo("a").await;
    let long = |first: &str| format!("{first}\n{}", "ä line of text\n".repeat(30_000));
    let files = |word: &str| {
        let mut body = CommitBody::new("main")
            .file("binary", format!("\0{word}").as_bytes())
            .file("latin", [word.as_bytes(), b"\xe4"].concat().as_slice())
            .file("long", long(word).as_bytes());
        for number in 0..120 {
            body = body.file(&format!("many/{number:03}"), format!("{word}\n").as_bytes());
        }
        body
    };
    server.commit("a", files("base")).await.expect(201);
    let body = files("there")
        .set("target_branch", json!("topic"))
        .set("base_branch", json!("main"));
    server.commit("a", body).await.expect(201);
    server.commit("a", files("here")).await.expect(201);
    let shown = preview(
        &server,
        "source_branch=topic&target_branch=main&include_content=true",
    );
    let shown = shown.await.expect(200).body;
    assert_eq!(shown["conflict_paths"].as_array().unwrap().len(), 123);
    let conflicts = shown["conflicts"].as_array().unwrap();
    let filtered = shown["filtered_conflicts"].as_array().unwrap();
    assert_eq!((conflicts.len(), filtered.len()), (100, 23));
    assert_eq!(filtered[0]["reason"], "max_conflict_files_exceeded");
    let of = |path: &str| conflicts.iter().find(|one| one["path"] == path).unwrap();
    assert_eq!(of("binary")["ours"]["binary"], true);
    assert!(of("binary")["ours"].get("content").is_none());
    assert_eq!(of("latin")["theirs"]["binary"], true);
    let ours = &of("long")["ours"];
    assert_eq!(ours["truncated"], true);
    let content = ours["content"].as_str().unwrap();
    assert!(long("here").starts_with(content) && content.len() > 200_000);
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
async fn both_namespaces_can_be_merged() {
    let (server, [_, ours, theirs]) = diverged().await;
    let copy =
        json!({ "base_ref": "topic", "target_branch": "draft", "target_is_ephemeral": true });
    let create = "/repos/branches/create";
    server
        .post(create, &Token::write("a"), &copy)
        .await
        .expect(200);
    merge(&server, request("draft", "main")).await.expect(404);
    let body = with(request("main", "draft"), "target_is_ephemeral", json!(true));
    let merged = merge(&server, body).await.expect(200).body;
    assert_eq!(merged["target"]["ephemeral"], true);
    assert_eq!(merged["target"]["old_sha"], theirs);
    let body = with(request("draft", "main"), "source_is_ephemeral", json!(true));
    let body = with(body, "strategy", json!("ff_prefer"));
    let forward = merge(&server, body).await.expect(200).body;
    assert_eq!(forward["result"], "fast_forward");
    assert_eq!(forward["target"]["old_sha"], ours);
    let query = "source_branch=draft&source_is_ephemeral=true&target_branch=main";
    assert_eq!(
        preview(&server, query).await.expect(200).body["result"],
        "no_op"
    );
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

#[tokio::test]
async fn ref_policies_hold_for_merges() {
    let (server, [_, ours, _]) = diverged().await;
    let token = Token::write("a").with("refs", json!([["main", ["no-push"]]]));
    let refused = server
        .post("/repos/merge", &token, &request("topic", "main"))
        .await
        .expect(403);
    assert_eq!(refused.code(), "policy_denied");
    let heads = server.branches("a", "").await;
    assert!(heads.contains(&("main".to_owned(), ours)));
    let token = Token::write("a").with("refs", json!([["main", ["no-force-push"]]]));
    server
        .post("/repos/merge", &token, &request("topic", "main"))
        .await
        .expect(200);
}

#[tokio::test]
async fn merges_into_one_branch_at_once_lose_nothing() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 4;
    let server = Arc::new(TestServer::with_repo("a").await);
    server.put("a", "start", "1\n").await;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let server = server.clone();
        clients.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let branch = format!("topic-{client}-{round}");
                put(&server, &branch, &format!("{client}/{round}"), "1\n").await;
                let body = with(request(&branch, "main"), "strategy", json!("ff_prefer"));
                merge(&server, body).await.expect(200);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let listed = server
        .get("/repos/files?ref=main", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(
        listed.body["paths"].as_array().unwrap().len(),
        1 + CLIENTS * ROUNDS
    );
    for client in 0..CLIENTS {
        let query = format!("source_branch=topic-{client}-0&target_branch=main");
        assert_eq!(
            preview(&server, &query).await.expect(200).body["result"],
            "no_op"
        );
    }
}

/// Two branches that merged each other and decided the same conflict in two ways, so that their common ancestor is itself
/// a merge in conflict; then one deletes the file and the other changes it.
async fn crossed() -> TestServer {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let resolve = async |other: &str, text: &[u8]| {
        checkout.git_fails(&["merge", "-q", other]).await;
        std::fs::write(checkout.path().join("f"), text).unwrap();
        checkout
            .git(&["commit", "-q", "-a", "-m", "resolved"])
            .await;
    };
    checkout.commit("f", b"1\n2\n3\n").await;
    checkout.commit("k", b"k\n").await;
    checkout.git(&["branch", "theirs"]).await;
    checkout.commit("f", b"1\n2o\n3\n").await;
    checkout.git(&["branch", "ours-1"]).await;
    checkout.git(&["checkout", "-q", "theirs"]).await;
    checkout.commit("f", b"1\n2t\n3\n").await;
    checkout.git(&["branch", "theirs-1"]).await;
    resolve("ours-1", b"1\n2t\n3\n").await;
    checkout.commit("f", b"1\n2t\n3\n4\n").await;
    checkout.git(&["checkout", "-q", "main"]).await;
    resolve("theirs-1", b"1\n2o\n3\n").await;
    checkout.git(&["rm", "-q", "f"]).await;
    checkout.git(&["commit", "-q", "-m", "gone"]).await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main", "theirs"]).await;
    server
}

#[tokio::test]
async fn a_conflict_shows_the_base_that_crossing_merges_have() {
    let server = crossed().await;
    for with_content in [false, true] {
        let query =
            format!("source_branch=theirs&target_branch=main&include_content={with_content}");
        let found = preview(&server, &query).await.expect(200).body;
        assert_eq!(found["status"], "conflicted");
        assert_eq!(found["conflict_paths"], json!(["f"]));
        let base = &found["conflicts"][0]["base"];
        assert!(base["oid"].is_string(), "{found}");
        if with_content {
            let text = base["content"].as_str().unwrap();
            assert!(text.contains("2o") && text.contains("2t"), "{text}");
        }
    }
    let merged = merge(&server, request("theirs", "main")).await.expect(409);
    assert_eq!(merged.body["conflict_paths"], json!(["f"]));
}

#[tokio::test]
async fn merges_take_turns_and_have_bounds() {
    let server = TestServer::with_limits(|limits| limits.merged_bytes = 100).await;
    server.create("a").await;
    let lines = "a line of twenty by\n".repeat(6);
    server.put("a", "x", &format!("1\n{lines}1\n")).await;
    let theirs = put(&server, "topic", "x", &format!("1\n{lines}2\n")).await;
    server.put("a", "x", &format!("2\n{lines}1\n")).await;
    let shown = preview(&server, "source_branch=topic&target_branch=main").await;
    let merged = merge(&server, request("topic", "main")).await;
    let pick = json!({ "commit": theirs, "target_branch": "main" });
    let writer = Token::write("a");
    let picked = server.post("/repos/cherry-pick", &writer, &pick).await;
    for refused in [shown, merged, picked] {
        let refused = refused.expect(413);
        assert_eq!(refused.code(), "too_large");
        let told = refused.error();
        assert!(told.contains("100 bytes"), "{told}");
    }
    // What both sides changed is counted alone for a merge: the file itself may be larger.
    put(&server, "other", "z", "z\n").await;
    merge(&server, request("other", "main")).await.expect(200);
    let turns = "packhouse_turn_wait_seconds_count{kind=\"merge\"}";
    assert_eq!(server.metric(turns).await, Some(3.0));
}
