//! Requests and answers of SDKs from 1.18 on, whose fields have newer names. The older names are in every answer too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_server::Egress;
use packhouse_server::upstream::CredentialKeys;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CommitBody, TestServer, Token, Upstream};

const REPO: &str = "/team%2Fsite";

/// A server with `team/site`, whose `main` has two commits and whose ephemeral `draft` a third.
struct Site {
    server: TestServer,
    first: String,
    second: String,
    draft: String,
}

impl Site {
    async fn start() -> Site {
        let server = TestServer::with_repo("team/site").await;
        let mut site = Site {
            server,
            first: String::new(),
            second: String::new(),
            draft: String::new(),
        };
        site.first = site.commit(CommitBody::new("main").file("x", b"1\n")).await;
        site.second = site.commit(CommitBody::new("main").file("x", b"2\n")).await;
        let draft = CommitBody::new("draft")
            .set("target_is_ephemeral", json!(true))
            .set("base_branch", json!("main"))
            .set("base_is_ephemeral", json!(false))
            .set("expected_target_sha", json!(site.second))
            .file("x", b"3\n");
        site.draft = site.commit(draft).await;
        site
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Answer {
        let scopes = ["git:read", "git:write", "repo:write"];
        let token = Token::new("team/site", &scopes);
        let path = format!("{REPO}{path}");
        self.server.named(method, &path, &token, &body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, Value::Null)
            .await
            .expect(200)
            .body
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, body).await
    }

    async fn commit(&self, body: CommitBody) -> String {
        let branch = body.metadata["target_branch"].clone();
        let lines = Value::String(body.text());
        let made = self.post("/commit-pack", lines).await.expect(201).body;
        assert_eq!(made["result"]["target_branch"], branch);
        assert_eq!(made["result"]["branch"], branch);
        made["commit"]["commit_sha"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn commit_writes_say_target_branch() {
    let site = Site::start().await;
    let stale = CommitBody::new("main")
        .set("expected_target_sha", json!(site.first))
        .file("x", b"4\n");
    let refused = site.post("/commit-pack", Value::String(stale.text())).await;
    let result = refused.expect(409).body["result"].clone();
    assert_eq!(result["status"], "precondition_failed");
    assert_eq!(
        (&result["target_branch"], &result["old_sha"]),
        (&json!("main"), &json!(site.second))
    );

    let author = json!({ "name": "Ann", "email": "ann@example.com" });
    let diff = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-2\n+5\n";
    let metadata = json!({
        "target_branch": "main", "commit_message": "five", "author": author, "expected_target_sha": site.second,
        "target_is_ephemeral": false, "base_is_ephemeral": false,
    });
    let lines = format!(
        "{}\n{}\n",
        json!({ "metadata": metadata }),
        json!({ "diff_chunk": { "data": STANDARD.encode(diff), "eof": true } })
    );
    let made = site.post("/diff-commit", Value::String(lines)).await;
    let made = made.expect(201).body;
    assert_eq!(made["result"]["target_branch"], "main");

    let metadata = json!({
        "target_branch": "main", "base_ref": site.first, "author": author,
        "expected_target_sha": made["result"]["new_sha"],
    });
    let restored = site.post("/restore-commit", json!({ "metadata": metadata }));
    let restored = restored.await.expect(201).body;
    assert_eq!(restored["result"]["target_branch"], "main");
    assert_eq!(restored["result"]["old_sha"], made["result"]["new_sha"]);
}

#[tokio::test]
async fn reads_take_ref_and_ref_is_ephemeral() {
    let site = Site::start().await;
    for path in ["ref", "branch"] {
        let listed = site.get(&format!("/commits?{path}=main")).await;
        assert_eq!(listed["commits"][0]["sha"], site.second);
    }
    let listed = site.get("/commits?ref=draft&ref_is_ephemeral=true").await;
    assert_eq!(listed["commits"][0]["sha"], site.draft);
    for path in ["ref", "sha"] {
        let found = site.get(&format!("/commit?{path}={}", site.first)).await;
        assert_eq!(found["commit"]["sha"], site.first);
    }
    for query in [
        "ref=draft&ref_is_ephemeral=true",
        "ref=draft&ephemeral=true",
    ] {
        let listed = site.get(&format!("/files?{query}")).await;
        assert_eq!(listed["paths"], json!(["x"]));
        let listed = site.get(&format!("/files/metadata?{query}")).await;
        assert_eq!(listed["files"][0]["last_commit_sha"], site.draft);
    }
    let found = json!({ "query": { "pattern": "3" }, "ref": "draft", "ref_is_ephemeral": true });
    let found = site.post("/grep", found).await.expect(200).body;
    assert_eq!(found["matches"][0]["path"], "x");
    let blamed = site
        .get("/blame?path=x&ref=draft&ref_is_ephemeral=true")
        .await;
    assert_eq!(blamed["commit_sha"], site.draft);
}

#[tokio::test]
async fn diffs_take_ref_base_ref_and_git_apply_compatible() {
    let site = Site::start().await;
    let query = format!(
        "/diff?ref=draft&ref_is_ephemeral=true&base_ref={}&base_is_ephemeral=false&git_apply_compatible=true",
        site.first
    );
    let diff = site.get(&query).await;
    assert_eq!(diff["sha"], site.draft);
    assert_eq!(diff["base_sha"], site.first);
    let raw = diff["files"][0]["raw"].as_str().unwrap();
    assert!(raw.contains("-1\n+3\n"), "{raw}");
    let diff = site
        .get("/diff?ref=main&base_ref=draft&base_is_ephemeral=true&git_apply_compatible=true")
        .await;
    assert_eq!(diff["base_sha"], site.draft);
    // The draft is none of the ordinary branches.
    let missing = site.ask(Method::GET, "/diff?ref=draft", Value::Null).await;
    missing.expect(404);
    let bad = "/diff?ref=main&ref_is_ephemeral=maybe";
    let bad = site.ask(Method::GET, bad, Value::Null).await.expect(400);
    assert!(bad.error().contains("`ref_is_ephemeral`"), "{}", bad.body);
    let diff = site
        .get("/branches/diff?ref=draft&ref_is_ephemeral=true&base_ref=main&base_is_ephemeral=false")
        .await;
    assert_eq!(diff["merge_base_sha"], site.second);
}

#[tokio::test]
async fn merges_branches_tags_and_notes_answer_with_both_names() {
    let site = Site::start().await;
    let merge = json!({
        "source_ref": "draft", "source_is_ephemeral": true, "target_branch": "main", "strategy": "ff_only",
        "expected_target_sha": site.second,
    });
    let merged = site.post("/merge", merge).await.expect(200).body;
    assert_eq!(merged["source"]["ref"], "draft");
    assert_eq!(merged["source"]["branch"], "draft");

    let branch = json!({ "base_ref": site.first, "target_branch": "old" });
    site.post("/branches/create", branch).await.expect(200);
    let found = site.get("/branch?name=old").await;
    let names: Vec<&String> = found["branch"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["created_at", "head_sha", "name"]);
    assert_eq!(found["branch"]["head_sha"], site.first);
    let gone = json!({ "target_branch": "old" });
    let gone = site.ask(Method::DELETE, "/branches", gone).await;
    let gone = gone.expect(200).body;
    assert_eq!(
        (&gone["target_branch"], &gone["name"], &gone["ephemeral"]),
        (&json!("old"), &json!("old"), &json!(false))
    );

    let tag = json!({ "name": "v1", "ref": "main~1" });
    site.post("/tags", tag).await.expect(200);
    let found = site.get("/tag?name=v1").await;
    assert_eq!(found["tag"]["sha"], site.second);

    let note = json!({
        "object_ref": "main", "action": "add", "note": "fine", "notes_ref": "reviews",
        "expected_notes_ref_sha": "0".repeat(40),
    });
    let written = site.post("/notes", note).await.expect(200).body;
    for name in ["notes_ref", "target_ref"] {
        assert_eq!(written[name], "refs/notes/reviews");
    }
    let read = site.get("/notes?object_ref=main&notes_ref=reviews").await;
    assert_eq!(read["note"], "fine");
    let stale = json!({
        "object_ref": "main", "notes_ref": "reviews", "expected_notes_ref_sha": site.first,
    });
    let stale = site.ask(Method::DELETE, "/notes", stale).await.expect(409);
    assert_eq!(stale.body["notes_ref"], "refs/notes/reviews");
    let gone = json!({
        "object_ref": "main", "notes_ref": "reviews", "expected_notes_ref_sha": written["new_ref_sha"],
    });
    let gone = site.ask(Method::DELETE, "/notes", gone).await;
    assert_eq!(gone.expect(200).body["notes_ref"], "refs/notes/reviews");
}

#[tokio::test]
async fn repositories_have_a_repo_name() {
    let server = TestServer::start().await;
    let owner = Token::new("team/site", &["repo:write", "git:read", "git:write"]);
    let made = server.named(Method::POST, "", &owner, &json!({})).await;
    assert_eq!(made.expect(201).body["repo_name"], "team/site");
    let found = server.named(Method::GET, REPO, &owner, &Value::Null).await;
    assert_eq!(found.expect(200).body["repo_name"], "team/site");
    server.put("team/site", "x", "1").await;
    let copy = Token::new("copy", &["repo:write"]);
    let base = json!({
        "provider": "code", "owner": "acme", "name": "team/site", "operation": "snapshot",
        "auth": { "token": Token::read("team/site").text() },
    });
    let initial =
        json!({ "message": "all of it", "author": { "name": "Ann", "email": "ann@example.com" } });
    let body = json!({ "base_repo": base, "initial_commit": initial });
    let made = server.named(Method::POST, "", &copy, &body).await;
    assert_eq!(made.expect(201).body["repo_name"], "copy");
    let log = server
        .named(
            Method::GET,
            "/copy/commits",
            &Token::read("copy"),
            &Value::Null,
        )
        .await
        .expect(200);
    assert_eq!(log.body["commits"][0]["message"], "all of it");
    assert_eq!(log.body["commits"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_credential_is_named_by_the_path() {
    let server = TestServer::with(|config| {
        config.egress = Egress::Any;
        config.upstreams.keys = Some(CredentialKeys::parse(&STANDARD.encode([7; 32])).unwrap());
    })
    .await;
    let upstream = Upstream::start().await;
    upstream.wants("me", "second");
    let owner = Token::new("team/site", &["repo:write"]);
    let base = json!({ "provider": "git", "url": upstream.url() });
    let body = json!({ "base_repo": base });
    server
        .named(Method::POST, "", &owner, &body)
        .await
        .expect(201);
    let path = format!("{REPO}/git-credentials");
    let login = |password: &str| json!({ "username": "me", "password": password });
    let made = server
        .named(Method::POST, &path, &owner, &login("first"))
        .await
        .expect(201);
    let id = made.body["id"].as_str().unwrap().to_owned();

    let one = format!("{path}/{id}");
    let changed = server
        .named(Method::PUT, &one, &owner, &login("second"))
        .await
        .expect(200);
    assert_eq!(changed.body["id"], id);
    let mut found = Value::Null;
    for _ in 0..1000 {
        let read = Token::read("team/site");
        found = server
            .named(Method::GET, REPO, &read, &Value::Null)
            .await
            .body;
        if found["sync"]["status"] == "ok" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(
        found["sync"]["status"], "ok",
        "the new password is used: {found}"
    );

    // Of another repository, by another repository's token, or none at all.
    server.create("other").await;
    let other = Token::new("other", &["repo:write"]);
    let theirs = format!("/other/git-credentials/{id}");
    for method in [Method::PUT, Method::DELETE] {
        let body = match method {
            Method::PUT => login("x"),
            _ => Value::Null,
        };
        server
            .named(method.clone(), &theirs, &other, &body)
            .await
            .expect(404);
        server
            .named(method.clone(), &one, &other, &body)
            .await
            .expect(403);
        let odd = format!("{path}/credential%2Fid");
        let missing = server.named(method, &odd, &owner, &body).await.expect(404);
        assert!(
            missing.error().contains("`credential/id`"),
            "{}",
            missing.body
        );
    }
    let empty = server
        .named(Method::PUT, &one, &owner, &login(""))
        .await
        .expect(400);
    assert!(empty.error().contains("`password`"));

    let gone = server
        .named(Method::DELETE, &one, &owner, &Value::Null)
        .await
        .expect(200);
    assert_eq!(gone.body["id"], id);
    server
        .named(Method::DELETE, &one, &owner, &Value::Null)
        .await
        .expect(404);
}
