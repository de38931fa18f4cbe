//! The paths of SDKs from 1.18 on, which name the repository.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CommitBody, TestServer, Token};

async fn ask(
    server: &TestServer,
    method: Method,
    path: &str,
    token: &Token,
    body: Value,
) -> Answer {
    server.named(method, path, token, &body).await
}

async fn get(server: &TestServer, path: &str, token: &Token) -> Answer {
    ask(server, Method::GET, path, token, Value::Null).await
}

#[tokio::test]
async fn a_repository_named_by_the_path_is_served_by_the_same_handlers() {
    let server = TestServer::start().await;
    let (read, write) = (Token::read("team/site"), Token::write("team/site"));
    let owner = Token::new("team/site", &["repo:write"]);
    ask(&server, Method::POST, "", &owner, json!({}))
        .await
        .expect(201);
    let found = get(&server, "/team%2Fsite", &read).await.expect(200);
    assert_eq!(found.body["repo_id"], "team/site");

    let body = CommitBody::new("main")
        .set("expected_target_sha", json!(""))
        .set("target_is_ephemeral", json!(false))
        .set("base_is_ephemeral", json!(false))
        .file("x", b"1\n");
    let request = server
        .http
        .post(format!(
            "{}/api/repos/team%2Fsite/commit-pack",
            server.url()
        ))
        .bearer_auth(write.text())
        .body(body.text());
    let made = server.send(request).await.expect(201);
    let head = made.body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned();

    for path in [
        "commits?ref=main&ref_is_ephemeral=false",
        "commits?branch=main",
    ] {
        let listed = get(&server, &format!("/team%2Fsite/{path}"), &read).await;
        assert_eq!(listed.expect(200).body["commits"][0]["sha"], head);
    }
    let commit = get(&server, "/team%2Fsite/commit?ref=main", &read).await;
    assert_eq!(commit.expect(200).body["commit"]["sha"], head);
    let branch = get(&server, "/team%2Fsite/branch?name=main", &read)
        .await
        .expect(200);
    assert_eq!(branch.body["branch"]["head_sha"], head);
    assert!(
        branch.body["branch"]["created_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    get(&server, "/team%2Fsite/branch?name=nothing", &read)
        .await
        .expect(404);

    let tag = json!({ "name": "release/1", "ref": "main" });
    ask(&server, Method::POST, "/team%2Fsite/tags", &write, tag)
        .await
        .expect(200);
    let found = get(&server, "/team%2Fsite/tag?name=release/1", &read).await;
    assert_eq!(found.expect(200).body["tag"]["sha"], head);
    let gone = "/team%2Fsite/tags/release%2F1";
    let gone = ask(&server, Method::DELETE, gone, &write, Value::Null).await;
    assert_eq!(gone.expect(200).body["name"], "release/1");

    let branch = json!({ "base_ref": "main", "target_branch": "old" });
    ask(
        &server,
        Method::POST,
        "/team%2Fsite/branches/create",
        &write,
        branch,
    )
    .await
    .expect(200);
    let body = json!({ "target_branch": "old", "target_is_ephemeral": false });
    ask(
        &server,
        Method::DELETE,
        "/team%2Fsite/branches",
        &write,
        body,
    )
    .await
    .expect(200);

    let all = Token::new("org", &["org:read"]);
    let listed = get(&server, "", &all).await.expect(200);
    assert_eq!(listed.body["repos"][0]["repo_name"], "team/site");
    ask(&server, Method::DELETE, "/team%2Fsite", &owner, Value::Null)
        .await
        .expect(200);
    get(&server, "/team%2Fsite", &read).await.expect(404);
}

#[tokio::test]
async fn a_path_that_names_another_repository_than_the_token_is_refused() {
    let server = TestServer::with_repo("a").await;
    server.create("b").await;
    server.put("a", "x", "1").await;
    for path in [
        "/b",
        "/b/files",
        "/A/files",
        "/a%2F/files",
        "/b/file?path=x",
    ] {
        let refused = get(&server, path, &Token::read("a")).await.expect(403);
        assert_eq!(refused.code(), "forbidden", "{path}");
    }
    let owner = Token::new("a", &["repo:write"]);
    ask(&server, Method::DELETE, "/b", &owner, Value::Null)
        .await
        .expect(403);
    let body = CommitBody::new("main").file("y", b"1");
    let request = server
        .http
        .post(format!("{}/api/repos/b/commit-pack", server.url()))
        .bearer_auth(Token::write("a").text())
        .body(body.text());
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 403);
    // Who has no valid token learns that first, wherever the path leads.
    get(&server, "/b/files", &Token::raw("bad"))
        .await
        .expect(401);
    get(&server, "/%ff/files", &Token::read("a"))
        .await
        .expect(400);
    get(&server, "/a/files", &Token::read("a"))
        .await
        .expect(200);
    let answer = server
        .http
        .put(format!("{}/api/repos/a/files", server.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
}
