//! Cherry-picks and reverts over the API, next to what `git` makes of the same.

use serde_json::{Value, json};

use crate::support::{Answer, Checkout, CommitBody, TestServer, Token};

async fn send(server: &TestServer, verb: &str, body: Value) -> Answer {
    let path = format!("/repos/{verb}");
    server.post(&path, &Token::write("a"), &body).await
}

fn author() -> Value {
    json!({ "name": "Rita", "email": "rita@example.com" })
}

/// Commits files to a branch, which is made from `main` if it is not there.
async fn put(server: &TestServer, branch: &str, files: &[(&str, &str)]) -> String {
    let mut body = CommitBody::new(branch);
    if branch != "main" {
        body = body.set("base_branch", json!("main"));
    }
    for (path, data) in files {
        body = body.file(path, data.as_bytes());
    }
    let message = format!("Change {}\n\nOf {branch}.", files[0].0);
    let made = server
        .commit("a", body.set("commit_message", json!(message)))
        .await
        .expect(201);
    made.body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn numbers(seventh: &str) -> String {
    (1..20)
        .map(|n| {
            if n == 7 {
                format!("{seventh}\n")
            } else {
                format!("{n}\n")
            }
        })
        .collect()
}

async fn clone(server: &TestServer) -> Checkout {
    Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await
}

#[tokio::test]
async fn a_commit_is_picked_as_git_picks_it() {
    let server = TestServer::with_repo("a").await;
    put(&server, "main", &[("n", &numbers("7"))]).await;
    let topic = put(&server, "topic", &[("n", &numbers("seven"))]).await;
    let head = put(&server, "main", &[("n", &(numbers("7") + "20\n"))]).await;
    let body = json!({
        "target_branch": "main", "commit": "topic", "record_origin": true, "expected_target_sha": head,
    });
    let picked = send(&server, "cherry-pick", body).await.expect(200).body;
    let new = picked["commit_sha"].as_str().unwrap();
    assert_eq!(picked["result"], "committed");
    assert_eq!(
        picked["commits"],
        json!([{ "source_sha": topic, "commit_sha": new, "result": "committed" }])
    );
    assert_eq!(picked["target"]["old_sha"], head);
    let checkout = clone(&server).await;
    checkout.git(&["fsck", "--full", "--strict"]).await;
    checkout.git(&["checkout", "-q", "-b", "ours", &head]).await;
    checkout.git(&["cherry-pick", "-x", &topic]).await;
    for format in ["%T", "%an %ae %ad", "%B", "%P"] {
        let format = format!("--format={format}");
        let of = |rev| checkout.git_owned(vec!["log".into(), "-1".into(), format.clone(), rev]);
        assert_eq!(of(new.to_owned()).await, of("ours".to_owned()).await);
    }

    let again = json!({ "target_branch": "main", "commit": topic });
    let empty = send(&server, "cherry-pick", again.clone())
        .await
        .expect(200)
        .body;
    assert_eq!(empty["result"], "no_op");
    assert_eq!(empty["commit_sha"], new);
    assert_eq!(
        empty["commits"],
        json!([{ "source_sha": topic, "result": "empty" }])
    );
    let mut kept = again;
    kept["allow_empty"] = json!(true);
    let kept = send(&server, "cherry-pick", kept).await.expect(200).body;
    assert_eq!(kept["result"], "committed");
    assert_eq!(kept["tree_sha"], picked["tree_sha"]);
}

#[tokio::test]
async fn a_range_is_picked_whole_and_reverted_whole() {
    let server = TestServer::with_repo("a").await;
    put(&server, "main", &[("n", &numbers("7"))]).await;
    for (path, data) in [("a", "1\n"), ("b", "1\n"), ("a", "2\n")] {
        put(&server, "topic", &[(path, data)]).await;
    }
    let head = put(&server, "main", &[("z", "1\n")]).await;
    let body = json!({ "target_branch": "main", "range": "main..topic" });
    let picked = send(&server, "cherry-pick", body).await.expect(200).body;
    assert_eq!(picked["commits"].as_array().unwrap().len(), 3);
    let checkout = clone(&server).await;
    checkout.git(&["fsck", "--full", "--strict"]).await;
    let subjects = checkout
        .git(&["log", "--format=%s", &format!("{head}..main")])
        .await;
    assert_eq!(subjects, "Change a\nChange b\nChange a");
    checkout.git(&["checkout", "-q", "-b", "ours", &head]).await;
    checkout
        .git(&["cherry-pick", &format!("{head}..origin/topic")])
        .await;
    let tree = checkout.git(&["rev-parse", "ours^{tree}"]).await;
    assert_eq!(picked["tree_sha"], tree);

    let new = picked["commit_sha"].as_str().unwrap();
    let body = json!({
        "target_branch": "main", "range": format!("{head}..{new}"), "author": author(),
    });
    let reverted = send(&server, "revert", body).await.expect(200).body;
    assert_eq!(reverted["commits"][0]["source_sha"], new);
    let tree = checkout
        .git(&["rev-parse", &format!("{head}^{{tree}}")])
        .await;
    assert_eq!(reverted["tree_sha"], tree);
    let nothing = json!({ "target_branch": "main", "range": "main..main" });
    let nothing = send(&server, "cherry-pick", nothing).await.expect(200).body;
    assert_eq!(
        (&nothing["result"], &nothing["commits"]),
        (&json!("no_op"), &json!([]))
    );
}

#[tokio::test]
async fn a_commit_is_reverted_as_git_reverts_it() {
    let server = TestServer::with_repo("a").await;
    let first = put(&server, "main", &[("n", &numbers("7"))]).await;
    let bad = put(&server, "main", &[("n", &numbers("seven")), ("new", "1\n")]).await;
    let head = put(&server, "main", &[("n", &(numbers("seven") + "20\n"))]).await;
    let body = json!({ "target_branch": "main", "commit": bad, "author": author() });
    let mut nobody = body.clone();
    nobody.as_object_mut().unwrap().remove("author");
    let refused = send(&server, "revert", nobody).await.expect(400);
    assert!(refused.error().contains("`author`"), "{}", refused.body);
    let reverted = send(&server, "revert", body).await.expect(200).body;
    let new = reverted["commit_sha"].as_str().unwrap();
    let checkout = clone(&server).await;
    checkout.git(&["checkout", "-q", "-b", "ours", &head]).await;
    checkout.git(&["revert", "--no-edit", &bad]).await;
    for format in ["%T", "%B", "%P"] {
        let format = format!("--format={format}");
        let of = |rev| checkout.git_owned(vec!["log".into(), "-1".into(), format.clone(), rev]);
        assert_eq!(of(new.to_owned()).await, of("ours".to_owned()).await);
    }
    // The first commit, too: in conflict here, since what it made was changed.
    let body = json!({ "target_branch": "main", "commit": first, "author": author() });
    let refused = send(&server, "revert", body).await.expect(409);
    assert_eq!(refused.code(), "merge_conflict");
    assert_eq!(refused.body["conflict_paths"], json!(["n"]));
    assert_eq!(refused.body["merge_base_sha"], first);
    assert_eq!(refused.body["conflict_commit_sha"], first);
}

#[tokio::test]
async fn merges_need_a_mainline() {
    let server = TestServer::with_repo("a").await;
    put(&server, "main", &[("n", &numbers("7"))]).await;
    put(&server, "topic", &[("t", "1\n")]).await;
    let head = put(&server, "main", &[("m", "1\n")]).await;
    let merge = json!({
        "source_branch": "topic", "target_branch": "main", "commit_message": "Merge it", "author": author(),
    });
    let merged = send(&server, "merge", merge).await.expect(200).body;
    let merge = merged["commit_sha"].as_str().unwrap();
    let body = |mainline: Value| json!({ "target_branch": "main", "commit": merge, "author": author(), "mainline": mainline });
    for mainline in [Value::Null, json!(0), json!(3), json!("1")] {
        send(&server, "revert", body(mainline)).await.expect(400);
    }
    let reverted = send(&server, "revert", body(json!(1)))
        .await
        .expect(200)
        .body;
    let checkout = clone(&server).await;
    let tree = checkout
        .git(&["rev-parse", &format!("{head}^{{tree}}")])
        .await;
    assert_eq!(reverted["tree_sha"], tree);
    let new = reverted["commit_sha"].as_str().unwrap();
    let message = checkout.git(&["log", "-1", "--format=%B", new]).await;
    checkout.git(&["checkout", "-q", "-b", "ours", merge]).await;
    checkout
        .git(&["revert", "--no-edit", "-m", "1", merge])
        .await;
    assert_eq!(
        message,
        checkout.git(&["log", "-1", "--format=%B", "ours"]).await
    );
}

#[tokio::test]
async fn a_range_in_conflict_stores_nothing_and_names_the_commit() {
    let server = TestServer::with_repo("a").await;
    put(&server, "main", &[("n", &numbers("7"))]).await;
    put(&server, "topic", &[("fine", "1\n")]).await;
    let parent = put(&server, "topic", &[("other", "1\n")]).await;
    let bad = put(&server, "topic", &[("n", &numbers("seven"))]).await;
    put(&server, "main", &[("n", &numbers("VII"))]).await;
    let before = server.branches("a", "").await;
    let body = json!({ "target_branch": "main", "range": "main..topic" });
    let refused = send(&server, "cherry-pick", body).await.expect(409);
    assert_eq!(refused.body["conflict_paths"], json!(["n"]));
    assert_eq!(refused.body["conflict_commit_sha"], bad);
    assert_eq!(refused.body["merge_base_sha"], parent);
    assert_eq!(server.branches("a", "").await, before);
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let server = TestServer::with_repo("a").await;
    let base = put(&server, "main", &[("n", "1\n")]).await;
    let topic = put(&server, "topic", &[("t", "1\n")]).await;
    let with = |field: &str, value: Value| {
        let mut body = json!({ "target_branch": "main", "commit": topic });
        body[field] = value;
        body
    };
    for (field, value, status) in [
        ("commit", json!("nothing"), 404),
        ("commit", json!(" "), 400),
        ("range", json!("main..topic"), 400),
        ("target_branch", json!("nothing"), 404),
        ("target_branch", json!("a..b"), 400),
        ("expected_target_sha", json!("main"), 400),
        ("expected_target_sha", json!(topic), 409),
        ("mainline", json!(2), 400),
        ("mainline", json!(-1), 400),
        ("author", json!([]), 400),
        ("source_is_ephemeral", json!("no"), 400),
    ] {
        send(&server, "cherry-pick", with(field, value))
            .await
            .expect(status);
    }
    let both = send(&server, "cherry-pick", with("range", json!("main..topic"))).await;
    assert!(both.expect(400).error().contains("do not go together"));
    for range in ["main", "main...topic", "..topic", "main..", "a..b..c"] {
        let body = json!({ "target_branch": "main", "range": range });
        let status = if range == "a..b..c" { 404 } else { 400 };
        send(&server, "cherry-pick", body).await.expect(status);
    }
    let body = json!({
        "target_branch": "main", "range": format!("{base}..topic"), "commit_message": "One for all",
    });
    send(&server, "cherry-pick", body).await.expect(400);
    let closed = Token::write("a").with("refs", json!([["main", ["no-push"]]]));
    let refused = server
        .post(
            "/repos/cherry-pick",
            &closed,
            &with("mainline", Value::Null),
        )
        .await;
    assert_eq!(refused.expect(403).code(), "policy_denied");
    let reader = Token::read("a");
    server
        .post("/repos/revert", &reader, &with("mainline", Value::Null))
        .await
        .expect(403);
    assert_eq!(server.branches("a", "").await[0], ("main".to_owned(), base));
}

#[tokio::test]
async fn both_namespaces_can_be_picked_from_and_to() {
    let server = TestServer::with_repo("a").await;
    put(&server, "main", &[("n", "1\n")]).await;
    let draft = CommitBody::new("draft")
        .set("base_branch", json!("main"))
        .set("ephemeral", json!(true))
        .file("d", b"1\n");
    server.commit("a", draft).await.expect(201);
    let body = json!({ "target_branch": "main", "commit": "draft" });
    send(&server, "cherry-pick", body).await.expect(404);
    let body = json!({
        "target_branch": "main", "commit": "draft", "source_is_ephemeral": true, "commit_message": "Keep it",
    });
    let picked = send(&server, "cherry-pick", body).await.expect(200).body;
    let body = json!({
        "target_branch": "draft", "target_is_ephemeral": true, "commit": picked["commit_sha"], "author": author(),
    });
    let reverted = send(&server, "revert", body).await.expect(200).body;
    assert_eq!(reverted["result"], "committed");
    assert_eq!(reverted["target"]["ephemeral"], true);
}
