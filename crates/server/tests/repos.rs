//! Repositories over the API.

use reqwest::Method;
use serde_json::json;

use crate::support::{TestServer, Token};

#[tokio::test]
async fn a_repository_is_created_found_and_deleted() {
    let server = TestServer::start().await;
    let write = Token::new("team/site", &["repo:write"]);
    let created = server
        .post("/repos", &write, &json!({ "default_branch": "trunk" }))
        .await
        .expect(201);
    assert_eq!(created.body["repo_id"], "team/site");
    assert_eq!(
        created.body["http_url"],
        format!("{}/team/site.git", server.url())
    );

    let found = server
        .get("/repo", &Token::read("team/site"))
        .await
        .expect(200);
    assert_eq!(found.body["default_branch"], "trunk");
    let created_at = found.body["created_at"].as_str().unwrap();
    assert!(
        created_at.len() == 20 && created_at.ends_with('Z'),
        "{created_at}"
    );

    let again = server.post("/repos", &write, &json!({})).await.expect(409);
    assert_eq!(again.code(), "repository_exists");

    // The SDK sends a content type and no body.
    let delete = || {
        server
            .request(Method::DELETE, "/repos/delete", &write)
            .header("content-type", "application/json")
    };
    let deleted = server.send(delete()).await.expect(200);
    assert_eq!(deleted.body["repo_id"], "team/site");
    assert_eq!(
        server.send(delete()).await.expect(409).code(),
        "repository_deleted"
    );
    assert_eq!(
        server
            .get("/repo", &Token::read("team/site"))
            .await
            .expect(404)
            .code(),
        "repository_not_found"
    );
    server
        .get("/repos/branches", &Token::read("team/site"))
        .await
        .expect(404);
    let unknown = Token::new("nothing", &["repo:write"]);
    server
        .delete("/repos/delete", &unknown, &json!({}))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_body_that_is_no_object_creates_nothing() {
    let server = TestServer::start().await;
    let token = Token::new("a", &["repo:write"]);
    for body in ["[]", " [\"main\"]", "[null, null]", "\"main\"", "1", "null"] {
        let request = server.request(Method::POST, "/repos", &token);
        let answer = server.send(request.body(body)).await.expect(400);
        assert_eq!(answer.error(), "the body must be a JSON object", "{body}");
    }
    let nested = json!({ "base_repo": ["github", "o", "n"] });
    let answer = server.post("/repos", &token, &nested).await.expect(400);
    assert!(answer.error().contains("a JSON object"), "{}", answer.body);
    server.get("/repo", &Token::read("a")).await.expect(404);
}

#[tokio::test]
async fn a_body_is_not_needed_and_a_query_may_name_the_branch() {
    let server = TestServer::start().await;
    for (id, path) in [("a", "/repos"), ("b", "/repos?default_branch=dev")] {
        let token = Token::new(id, &["repo:write"]);
        server
            .send(server.request(Method::POST, path, &token))
            .await
            .expect(201);
    }
    assert_eq!(
        server.get("/repo", &Token::read("a")).await.body["default_branch"],
        "main"
    );
    assert_eq!(
        server.get("/repo", &Token::read("b")).await.body["default_branch"],
        "dev"
    );
}

#[tokio::test]
async fn what_cannot_be_a_repository_is_refused() {
    let server = TestServer::start().await;
    for id in ["a.git", "a b", "../a", "a//b", "x+ephemeral", "é"] {
        let answer = server
            .post("/repos", &Token::new(id, &["repo:write"]), &json!({}))
            .await
            .expect(400);
        assert!(
            answer.error().contains("repository id"),
            "{id}: {}",
            answer.body
        );
    }
    let token = Token::new("a", &["repo:write"]);
    for branch in [
        "",
        "a..b",
        "-x",
        "a b",
        "refs/heads/../x",
        "refs/heads/main",
    ] {
        let answer = server
            .post("/repos", &token, &json!({ "default_branch": branch }))
            .await
            .expect(400);
        assert!(
            answer.error().contains("default_branch"),
            "{branch}: {}",
            answer.body
        );
    }
    let base = json!({ "base_repo": { "provider": "github", "owner": "o", "name": "n" } });
    assert_eq!(
        server
            .post("/repos", &token, &base)
            .await
            .expect(412)
            .code(),
        "not_configured"
    );
    let odd = server.request(Method::POST, "/repos", &token).body("{");
    assert!(
        server
            .send(odd)
            .await
            .expect(400)
            .error()
            .contains("the body is not valid")
    );
    server.get("/repo", &Token::read("a")).await.expect(404);
}

#[tokio::test]
async fn repositories_are_listed_in_pages_and_searched() {
    let server = TestServer::start().await;
    let mut ids: Vec<String> = (0..5).map(|at| format!("team/site-{at}")).collect();
    ids.push("Other".to_owned());
    for id in &ids {
        server.create(id).await;
    }
    let org = Token::new("org", &["org:read"]);
    let mut found = Vec::new();
    let mut cursor = String::new();
    for page in 0.. {
        let listed = server
            .get(&format!("/repos?limit=2{cursor}"), &org)
            .await
            .expect(200);
        let repos = listed.body["repos"].as_array().unwrap();
        found.extend(
            repos
                .iter()
                .map(|repo| repo["repo_id"].as_str().unwrap().to_owned()),
        );
        assert!(repos.iter().all(|repo| repo["url"] == repo["repo_id"]));
        assert_eq!(listed.body["has_more"], page < 2);
        match listed.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ids.sort();
    assert_eq!(found, ids);
    let listed = server.get("/repos?q=%20SITE-3%20", &org).await.expect(200);
    assert_eq!(listed.body["repos"].as_array().unwrap().len(), 1);
    assert_eq!(
        server.get("/repos?q=%25", &org).await.body["repos"],
        json!([])
    );
    server.get("/repos?limit=x", &org).await.expect(400);
}
