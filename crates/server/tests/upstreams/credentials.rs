//! Who the server is to an upstream: stored credentials, tokens, the GitHub App.

use axum::Router;
use axum::extract::Path as PathPart;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use packhouse_server::Egress;
use packhouse_server::upstream::GitHubApp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{server, write};
use crate::support::{Database, Key, Mood, TestServer, Token, Upstream, on_both};
on_both!(
    a_stored_credential_opens_the_upstream_and_is_never_shown,
    a_token_that_comes_with_the_request_is_stored_and_used,
    a_github_app_reads_what_it_is_installed_for,
);

async fn a_stored_credential_opens_the_upstream_and_is_never_shown(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.wants("me", "hunter2-sesame");
    server.follow("a", &upstream, json!({})).await.expect(201);
    let error = server.until_error("a").await;
    assert!(error.contains("Authentication failed"), "{error}");

    let path = "/repos/git-credentials";
    let store = |password: &str| json!({ "repo_id": "a", "username": "me", "password": password });
    let stored = server
        .post(path, &write("a"), &store("wrong-sesame"))
        .await
        .expect(201);
    let id = stored.body["id"].as_str().unwrap().to_owned();
    let again = server
        .post(path, &write("a"), &store("x"))
        .await
        .expect(409);
    assert_eq!(again.code(), "credential_exists");
    server
        .until("a", |sync| sync["run_count"].as_i64() > Some(1))
        .await;
    let org = Token::new("org", &["repo:write"]);
    let put = |body: Value| server.request(Method::PUT, path, &org).json(&body);
    let new = json!({ "id": id, "username": "me", "password": "hunter2-sesame" });
    let updated = server.send(put(new.clone())).await.expect(200);
    assert_eq!(updated.body["id"], id);
    server.until_ok("a").await;
    assert_eq!(server.refs("a").await, upstream.refs().await);

    // What a server repeats of it is not passed on.
    upstream.be(Mood::Fails(403));
    let request = server.request(Method::POST, "/repos/pull-upstream", &Token::write("a"));
    server.send(request).await.expect(202);
    let error = server.until_error("a").await;
    assert!(error.contains("***"), "{error}");
    let encoded = STANDARD.encode("me:hunter2-sesame");
    for secret in ["sesame", &encoded] {
        assert!(!error.contains(secret), "{error}");
        for (path, token) in [
            ("/repos/jobs", Token::read("a")),
            ("/repo", Token::read("a")),
        ] {
            let answer = server.get(path, &token).await.expect(200);
            assert!(!answer.body.to_string().contains(secret), "{}", answer.body);
        }
        for entry in std::fs::read_dir(server.folder.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let bytes = std::fs::read(entry.path()).unwrap();
                let found = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found, "{:?}", entry.path());
            }
        }
    }
    assert!(
        !upstream
            .asked()
            .iter()
            .any(|(path, _)| path.contains("sesame"))
    );

    // Others do not get at it, and one repository's token is not for another's.
    let refused = |token: Token| server.request(Method::PUT, path, &token).json(&new);
    server.send(refused(Token::write("a"))).await.expect(403);
    server.send(refused(write("b"))).await.expect(404);
    server
        .post(path, &write("b"), &store("x"))
        .await
        .expect(403);
    let other = json!({ "repo_id": "b", "password": "x" });
    server.post(path, &write("b"), &other).await.expect(404);
    for bad in [
        json!({ "repo_id": "a", "password": "" }),
        json!({ "repo_id": "a", "password": "a\nb" }),
    ] {
        server.post(path, &write("a"), &bad).await.expect(400);
    }
    server
        .delete(path, &org, &json!({ "id": "nothing" }))
        .await
        .expect(404);
    server
        .delete(path, &org, &json!({ "id": id }))
        .await
        .expect(200);
    server
        .delete(path, &org, &json!({ "id": id }))
        .await
        .expect(404);
    server.send(put(new.clone())).await.expect(404);
}

async fn a_token_that_comes_with_the_request_is_stored_and_used(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.wants("oauth2", "hunter2");
    let auth = json!({ "auth": { "token": "hunter2" } });
    server
        .follow("a", &upstream, auth.clone())
        .await
        .expect(201);
    server.until_ok("a").await;
    // A redirect to another host does not get it.
    let elsewhere = Upstream::start().await;
    upstream.be(Mood::Redirects(format!(
        "{}/site.git/info/refs?service=git-upload-pack",
        elsewhere.root()
    )));
    server.pull("a", json!({})).await;
    let asked = elsewhere.asked();
    assert!(!asked.is_empty());
    assert!(
        asked.iter().all(|(_, credentials)| credentials.is_none()),
        "{asked:?}"
    );

    // Without a key nothing is stored, and nothing is made.
    let keyless = TestServer::with(|config| config.egress = Egress::Any).await;
    let refused = keyless.follow("a", &upstream, auth).await.expect(412);
    assert_eq!(refused.code(), "not_configured");
    assert!(refused.error().contains("PACKHOUSE_CREDENTIALS_KEY"));
    keyless.get("/repo", &Token::read("a")).await.expect(404);
    keyless.create("b").await;
    let body = json!({ "repo_id": "b", "password": "x" });
    let refused = keyless
        .post("/repos/git-credentials", &write("b"), &body)
        .await;
    assert_eq!(refused.expect(412).code(), "not_configured");
}

async fn a_github_app_reads_what_it_is_installed_for(database: &Database) {
    let upstream = Upstream::start().await;
    upstream.commit("a.txt", "one").await;
    let bare = upstream.path().join("octo");
    std::fs::create_dir(&bare).unwrap();
    std::fs::rename(upstream.path().join("site.git"), bare.join("site.git")).unwrap();
    upstream.wants("x-access-token", "installation-secret");

    let api = Router::new()
        .route(
            "/repos/{owner}/{name}/installation",
            get(
                async |PathPart((owner, name)): PathPart<(String, String)>, headers: HeaderMap| {
                    assert_app(&headers);
                    match (owner.as_str(), name.as_str()) {
                        ("octo", "site") => (http::StatusCode::OK, json!({ "id": 42 }).to_string()),
                        _ => (http::StatusCode::NOT_FOUND, "{}".to_owned()),
                    }
                },
            ),
        )
        .route(
            "/app/installations/42/access_tokens",
            post(async |headers: HeaderMap, body: String| {
                assert_app(&headers);
                let body: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body["repositories"], json!(["site"]));
                assert_eq!(body["permissions"], json!({ "contents": "read" }));
                let token = json!({ "token": "installation-secret" });
                (http::StatusCode::CREATED, token.to_string())
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });

    let key = include_bytes!("../keys/rs256.pem");
    let server = TestServer::with(|config| {
        database.set(config);
        config.egress = Egress::Any;
        config.upstreams.github_url = upstream.root();
        config.upstreams.github_app = Some(GitHubApp::new("12345", key, &api_url).unwrap());
    })
    .await;
    // As the guide has it.
    let base = |name: &str| {
        let base = json!({ "provider": "github", "owner": "octo", "name": name, "default_branch": "trunk" });
        json!({ "default_branch": "main", "base_repo": base })
    };
    server
        .post("/repos", &write("a"), &base("site"))
        .await
        .expect(201);
    server.until_ok("a").await;
    assert_eq!(server.branches("a", "").await.len(), 1);
    assert_eq!(
        server.get("/repo", &Token::read("a")).await.body["default_branch"],
        "trunk"
    );
    server
        .post("/repos", &write("b"), &base("private"))
        .await
        .expect(201);
    let error = server.until_error("b").await;
    assert!(
        error.contains("not installed for `octo/private`"),
        "{error}"
    );
    serving.abort();

    let none = TestServer::start().await;
    let refused = none
        .post("/repos", &write("a"), &base("site"))
        .await
        .expect(412);
    assert_eq!(refused.code(), "not_configured");
    none.get("/repo", &Token::read("a")).await.expect(404);
}

/// The JWT of the app, signed with its key, and not for long.
fn assert_app(headers: &HeaderMap) {
    let sent = headers["authorization"].to_str().unwrap();
    let token = sent.strip_prefix("Bearer ").unwrap();
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(Key::Rs256.public_pem().as_bytes()).unwrap();
    let rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["iss"], "12345");
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 600);
}
