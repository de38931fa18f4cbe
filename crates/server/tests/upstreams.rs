//! Repositories that follow an upstream: another Git server on this machine.

use std::time::Duration;

use axum::Router;
use axum::extract::Path as PathPart;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use packhouse_catalog::EventKind;
use packhouse_server::Egress;
use packhouse_server::upstream::{CredentialKeys, GitHubApp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Answer, Checkout, CommitBody, Key, Mood, TestServer, Token, Upstream, git_output,
};

fn write(id: &str) -> Token {
    Token::new(id, &["repo:write"])
}

/// A server that may reach this machine, has a key for credentials, and does not wait long before it tries again.
async fn server() -> TestServer {
    TestServer::with(|config| {
        config.egress = Egress::Any;
        config.jobs.first_pause = Duration::from_millis(300);
        config.upstreams.keys = Some(CredentialKeys::parse(&STANDARD.encode([7; 32])).unwrap());
    })
    .await
}

impl TestServer {
    async fn follow(&self, id: &str, upstream: &Upstream, more: Value) -> Answer {
        let mut base =
            json!({ "provider": "git", "url": upstream.url(), "owner": "o", "name": "n" });
        for (key, value) in more.as_object().unwrap() {
            base[key] = value.clone();
        }
        let body = json!({ "default_branch": "main", "base_repo": base });
        self.post("/repos", &write(id), &body).await
    }

    /// Waits until the repository's sync is as `is` says; returns what `GET /repo` says then.
    async fn until(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        for _ in 0..1000 {
            found = self.get("/repo", &Token::read(id)).await.expect(200).body;
            if is(&found["sync"]) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the sync stays as it is: {found}");
    }

    async fn until_ok(&self, id: &str) -> Value {
        self.until(id, |sync| sync["status"] == "ok").await
    }

    async fn until_error(&self, id: &str) -> String {
        let found = self.until(id, |sync| sync["error"].is_string()).await;
        found["sync"]["error"].as_str().unwrap().to_owned()
    }

    /// Pulls, and waits until that is done.
    async fn pull(&self, id: &str, body: Value) {
        self.post("/repos/pull-upstream", &Token::write(id), &body)
            .await
            .expect(202);
        for _ in 0..1000 {
            let jobs = self.get("/repos/jobs", &Token::read(id)).await.expect(200);
            if jobs.body["jobs"][0]["status"] == "done" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the pull does not end");
    }

    async fn refs(&self, id: &str) -> Vec<(String, String)> {
        let url = self.git_url(id, &Token::read(id));
        let listed = git_output(self.folder.path(), &["ls-remote", &url]).await;
        assert!(listed.status.success(), "{listed:?}");
        let text = String::from_utf8(listed.stdout).unwrap();
        let lines = text.lines().map(|line| line.split_once('\t').unwrap());
        lines
            .filter(|(_, name)| *name != "HEAD" && !name.ends_with("^{}"))
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect()
    }
}

impl Upstream {
    /// Branches and tags, as [`TestServer::refs`] has them.
    async fn refs(&self) -> Vec<(String, String)> {
        let format = "--format=%(refname) %(objectname)";
        let listed = self
            .bare(&["for-each-ref", format, "refs/heads", "refs/tags"])
            .await;
        let lines = listed.lines().map(|line| line.split_once(' ').unwrap());
        lines
            .map(|(name, id)| (name.to_owned(), id.to_owned()))
            .collect()
    }
}

#[tokio::test]
async fn a_repository_is_made_from_an_upstream_and_may_be_used_once_it_is_whole() {
    let (server, upstream) = (server().await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.work(&["tag", "-a", "-m", "first", "v1"]).await;
    upstream.work(&["branch", "side/x"]).await;
    upstream.push().await;
    // Not followed.
    upstream
        .bare(&["update-ref", "refs/pull/1/head", "trunk"])
        .await;
    upstream.be(Mood::Holds);
    let public = json!({ "auth": { "auth_type": "public" } });
    server.follow("a", &upstream, public).await.expect(201);

    let read = Token::read("a");
    let early = server.get("/repos/branches", &read).await.expect(409);
    assert_eq!(early.code(), "sync_in_progress");
    assert!(early.error().starts_with("repository sync in progress"));
    let commit = CommitBody::new("main").file("x", b"x");
    server.commit("a", commit).await.expect(409);
    let url = server.git_url("a", &read);
    let cloned = git_output(server.folder.path(), &["ls-remote", &url]).await;
    assert!(!cloned.status.success());
    let found = server.get("/repo", &read).await.expect(200).body;
    assert_eq!(found["sync"]["status"], "pending");
    // Asking meanwhile is no error.
    server
        .post("/repos/pull-upstream", &Token::write("a"), &json!({}))
        .await
        .expect(202);

    upstream.be(Mood::Fine);
    let found = server.until_ok("a").await;
    assert_eq!(found["default_branch"], "trunk", "that of the upstream");
    assert_eq!(found["base_repo"]["provider"], "git");
    assert_eq!(found["base_repo"]["url"], upstream.url());
    assert_eq!(server.refs("a").await, upstream.refs().await);
    let file = server.file("a", "path=a.txt").await;
    assert_eq!(file.text().await.unwrap(), "one");
    let clone = Checkout::clone(&url, &[]).await;
    clone.git(&["fsck", "--full", "--strict"]).await;

    let listed = server
        .get("/repos", &Token::new("org", &["org:read"]))
        .await;
    assert_eq!(listed.body["repos"][0]["base_repo"]["name"], "site");
    let again = server.follow("a", &upstream, json!({})).await.expect(409);
    assert_eq!(again.code(), "repository_exists");
}

#[tokio::test]
async fn a_pull_follows_wherever_the_upstream_went_and_leaves_the_rest() {
    let (server, upstream) = (server().await, Upstream::start().await);
    let first = upstream.commit("a.txt", "one").await;
    for branch in ["gone", "kept", "forced", "folder"] {
        upstream.work(&["branch", branch]).await;
    }
    upstream.work(&["tag", "moves"]).await;
    upstream.work(&["tag", "goes"]).await;
    upstream.push().await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;

    // What only this repository has.
    let url = server.git_url("a", &Token::write("a"));
    let clone = Checkout::clone(&url, &[]).await;
    let mine = clone.commit("mine.txt", b"mine").await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/heads/mine"])
        .await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/heads/kept"])
        .await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/notes/mine"])
        .await;
    let ephemeral = server.git_url("a+ephemeral", &Token::write("a"));
    clone
        .git(&["push", "-q", &ephemeral, "HEAD:refs/heads/short"])
        .await;

    // What the upstream does meanwhile: forwards, elsewhere, away, new, another default branch.
    upstream.commit("b.txt", "two").await;
    upstream
        .work(&["branch", "-D", "gone", "folder", "-q"])
        .await;
    upstream.work(&["branch", "folder/inside"]).await;
    upstream.work(&["tag", "-d", "goes"]).await;
    upstream.work(&["tag", "-f", "moves"]).await;
    upstream
        .work(&["checkout", "-q", "--orphan", "other"])
        .await;
    let orphan = upstream.commit("c.txt", "three").await;
    upstream.work(&["branch", "-f", "forced", &orphan]).await;
    upstream.work(&["branch", "-D", "trunk", "-q"]).await;
    upstream.push().await;
    upstream
        .bare(&["symbolic-ref", "HEAD", "refs/heads/other"])
        .await;
    server.pull("a", json!({})).await;

    let mut expected = upstream.refs().await;
    expected.retain(|(name, _)| name != "refs/heads/kept");
    // Written to here, and not moved there.
    for name in ["refs/heads/kept", "refs/heads/mine", "refs/notes/mine"] {
        expected.push((name.to_owned(), mine.clone()));
    }
    expected.sort();
    assert_eq!(server.refs("a").await, expected);
    let found = server.until_ok("a").await;
    assert_eq!(found["default_branch"], "other");
    assert_eq!(found["sync"]["run_count"], 2);
    let short = server.branches("a", "&ephemeral=true").await;
    assert_eq!(short, [("short".to_owned(), mine.clone())]);
    let mirror = Checkout::clone(&server.git_url("a", &Token::read("a")), &["--mirror"]).await;
    mirror.git(&["fsck", "--full", "--strict"]).await;

    // Nothing new: nothing moves.
    let before = server.refs("a").await;
    server.pull("a", json!({})).await;
    assert_eq!(server.refs("a").await, before);

    // Both moved: the upstream wins. It went away there, but was written to here: it stays.
    let push = format!("+{mine}:refs/heads/forced");
    clone.git(&["push", "-q", &url, &push]).await;
    upstream.work(&["branch", "-f", "kept", &orphan]).await;
    upstream.work(&["branch", "-D", "forced", "-q"]).await;
    upstream.push().await;
    server.pull("a", json!({})).await;
    let after = server.refs("a").await;
    let at = |name: &str| {
        after
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, id)| id)
    };
    assert_eq!(at("refs/heads/kept"), Some(&orphan));
    assert_eq!(at("refs/heads/forced"), Some(&mine));
    assert_ne!(first, mine);
}

#[tokio::test]
async fn one_ref_may_be_pulled_alone() {
    let (server, upstream) = (server().await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.work(&["branch", "side"]).await;
    upstream.push().await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;
    let before = server.refs("a").await;
    let newest = upstream.commit("b.txt", "two").await;
    upstream.work(&["branch", "-f", "side"]).await;
    upstream.push().await;
    server.pull("a", json!({ "ref": "side" })).await;
    let after = server.refs("a").await;
    assert_eq!(after[0], ("refs/heads/side".to_owned(), newest));
    assert_eq!(after[1], before[1]);
    for name in [
        "refs/notes/x",
        "refs/namespaces/ephemeral/refs/heads/x",
        "a..b",
    ] {
        let body = json!({ "ref": name });
        let token = Token::write("a");
        let refused = server.post("/repos/pull-upstream", &token, &body).await;
        assert!(refused.expect(400).error().contains("`ref`"), "{name}");
    }
    server.pull("a", json!({ "ref": "refs/heads/trunk" })).await;
    assert_eq!(server.refs("a").await, upstream.refs().await);
}

/// The events of a repository that are about no ref: what follows `repo.`, and their details.
async fn sync_events(server: &TestServer, id: &str) -> Vec<(String, Value)> {
    let catalog = server.server.hosted().catalog();
    let repo = catalog.repo(server.org, id).await.unwrap().unwrap().id;
    for _ in 0..200 {
        let events = catalog.repo_events(repo, (-1, -1), 1000).await.unwrap();
        let told = events.into_iter().filter_map(|event| match event.kind {
            EventKind::Other { kind, detail } => {
                let detail = detail.map(|text| serde_json::from_str(&text).unwrap());
                let kind = kind.strip_prefix("repo.").unwrap().to_owned();
                Some((kind, detail.unwrap_or_default()))
            }
            EventKind::Ref { .. } => None,
        });
        let told: Vec<_> = told.collect();
        // The last one is stored a moment after the sync is.
        if told
            .last()
            .is_some_and(|(kind, _)| kind == "sync.succeeded")
        {
            return told;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no sync is told to have succeeded");
}

#[tokio::test]
async fn an_upstream_that_is_down_is_tried_again() {
    let (server, upstream) = (server().await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.be(Mood::Fails(503));
    server.follow("a", &upstream, json!({})).await.expect(201);
    let error = server.until_error("a").await;
    assert!(error.contains("HTTP status 503"), "{error}");
    let early = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(409);
    assert!(
        early.error().contains("HTTP status 503"),
        "{}",
        early.error()
    );
    // The job itself ends a moment later.
    let mut job = Value::Null;
    while !job["error"].is_string() {
        let jobs = server.get("/repos/jobs", &Token::read("a")).await;
        job = jobs.expect(200).body["jobs"][0].clone();
    }
    assert_eq!(job["kind"], "sync");
    assert!(job["error"].as_str().unwrap().contains("503"), "{job}");
    upstream.be(Mood::Fine);
    let found = server.until_ok("a").await;
    assert!(found["sync"].get("error").is_none(), "{found}");
    assert_eq!(server.refs("a").await, upstream.refs().await);
    let told = sync_events(&server, "a").await;
    let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[..3], ["created", "sync.started", "sync.failed"]);
    assert_eq!(kinds[kinds.len() - 2..], ["sync.started", "sync.succeeded"]);
    let (_, first) = &told[2];
    assert_eq!(
        (&first["run_count"], &first["is_first_sync"]),
        (&json!(1), &json!(true))
    );
    assert!(first["error"].as_str().unwrap().contains("503"), "{first}");
    assert!(first["started_at"].is_string() && first["completed_at"].is_string());
    // Redirects are followed; not to other schemes.
    upstream.be(Mood::Redirects("file:///etc/passwd".to_owned()));
    server
        .post("/repos/pull-upstream", &Token::write("a"), &json!({}))
        .await
        .expect(202);
    let error = server.until_error("a").await;
    assert!(error.contains("redirects"), "{error}");
    server
        .get("/repos/branches", &Token::read("a"))
        .await
        .expect(200);
}

#[tokio::test]
async fn an_upstream_that_takes_too_long_is_given_up_for_now() {
    let server = TestServer::with(|config| {
        config.egress = Egress::Any;
        config.upstreams.longest = Duration::from_millis(300);
        config.jobs.first_pause = Duration::from_millis(200);
    })
    .await;
    let upstream = Upstream::start().await;
    upstream.commit("a.txt", "one").await;
    upstream.be(Mood::Holds);
    server.follow("a", &upstream, json!({})).await.expect(201);
    let error = server.until_error("a").await;
    assert!(error.contains("took longer than"), "{error}");
    // A server that stops does not wait for one either.
    let started = std::time::Instant::now();
    server.server.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn empty_and_shallow_upstreams_are_what_they_are() {
    let (server, upstream) = (server().await, Upstream::start().await);
    server
        .follow("empty", &upstream, json!({}))
        .await
        .expect(201);
    server.until_ok("empty").await;
    assert_eq!(server.refs("empty").await, []);
    server.put("empty", "mine.txt", "mine").await;

    upstream.commit("a.txt", "one").await;
    upstream.commit("b.txt", "two").await;
    let source = format!("file://{}/site.git", upstream.path().display());
    let args = [
        "clone",
        "-q",
        "--bare",
        "--depth",
        "1",
        &source,
        "shallow.git",
    ];
    assert!(git_output(upstream.path(), &args).await.status.success());
    let url = json!({ "url": format!("{}/shallow.git", upstream.root()) });
    server.follow("shallow", &upstream, url).await.expect(201);
    let error = server.until_error("shallow").await;
    assert!(error.contains("shallow clone"), "{error}");
    let none = json!({ "url": format!("{}/none.git", upstream.root()) });
    server.follow("none", &upstream, none).await.expect(201);
    let error = server.until_error("none").await;
    assert!(error.contains("Repository not found"), "{error}");

    // The name `main` was given away here before the upstream had it: what is here stays, and that is told.
    upstream.work(&["branch", "main"]).await;
    upstream.push().await;
    server.pull("empty", json!({})).await;
    let found = server
        .get("/repo", &Token::read("empty"))
        .await
        .expect(200)
        .body;
    assert_eq!(found["sync"]["status"], "ok");
    let left_out = found["sync"]["error"].as_str().unwrap();
    assert!(
        left_out.contains("`refs/heads/main`: this repository has another"),
        "{left_out}"
    );
    assert_eq!(server.branches("empty", "").await.len(), 2);
}

#[tokio::test]
async fn a_stored_credential_opens_the_upstream_and_is_never_shown() {
    let (server, upstream) = (server().await, Upstream::start().await);
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

#[tokio::test]
async fn a_token_that_comes_with_the_request_is_stored_and_used() {
    let (server, upstream) = (server().await, Upstream::start().await);
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

#[tokio::test]
async fn a_github_app_reads_what_it_is_installed_for() {
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

    let key = include_bytes!("keys/rs256.pem");
    let server = TestServer::with(|config| {
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

#[tokio::test]
async fn the_servers_own_network_is_out_of_reach() {
    let server = TestServer::with(|config| {
        config.jobs.first_pause = Duration::from_millis(100);
    })
    .await;
    let upstream = Upstream::start().await;
    let refused = server.follow("a", &upstream, json!({})).await.expect(400);
    assert!(refused.error().contains("https://"), "{}", refused.body);
    for url in [
        "https://127.0.0.1/a.git",
        "https://[::1]/a.git",
        "https://169.254.169.254/a.git",
        "git://example.com/a",
        "ssh://git@example.com/a",
        "/etc/passwd",
    ] {
        let refused = server
            .follow("a", &upstream, json!({ "url": url }))
            .await
            .expect(400);
        assert!(!refused.error().is_empty(), "{url}");
    }
    server.get("/repo", &Token::read("a")).await.expect(404);
    // A name is judged when it is resolved.
    let port = upstream.root().rsplit(':').next().unwrap().to_owned();
    let url = json!({ "url": format!("https://localhost:{port}/site.git") });
    server.follow("b", &upstream, url).await.expect(201);
    let error = server.until_error("b").await;
    assert!(error.contains("private network"), "{error}");
    assert_eq!(upstream.asked(), []);
}

#[tokio::test]
async fn a_detached_repository_keeps_what_it_has_and_follows_no_more() {
    let (server, upstream) = (server().await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;
    let refs = server.refs("a").await;
    let base = |token: Token| server.request(Method::DELETE, "/repos/base", &token);
    server.send(base(Token::write("a"))).await.expect(403);
    server.send(base(write("a"))).await.expect(200);
    server.send(base(write("a"))).await.expect(400);
    let pull = server
        .post("/repos/pull-upstream", &Token::write("a"), &json!({}))
        .await;
    assert!(pull.expect(400).error().contains("has no upstream"));
    assert_eq!(server.refs("a").await, refs);
    let found = server
        .get("/repo", &Token::read("a"))
        .await
        .expect(200)
        .body;
    assert!(found.get("base_repo").is_none() && found.get("sync").is_none());
    assert_eq!(
        server.get("/repos/jobs", &Token::read("a")).await.body["jobs"],
        json!([])
    );
    let commit = CommitBody::new("trunk").file("mine.txt", b"mine");
    server.commit("a", commit).await.expect(201);

    // Also one that never came to its first sync.
    upstream.be(Mood::Holds);
    server.follow("b", &upstream, json!({})).await.expect(201);
    server
        .get("/repos/branches", &Token::read("b"))
        .await
        .expect(409);
    server.send(base(write("b"))).await.expect(200);
    server
        .get("/repos/branches", &Token::read("b"))
        .await
        .expect(200);
    // And a deleted one.
    server.follow("c", &upstream, json!({})).await.expect(201);
    server
        .delete("/repos/delete", &write("c"), &json!({}))
        .await
        .expect(200);
    server
        .post("/repos/pull-upstream", &Token::write("c"), &json!({}))
        .await
        .expect(404);
    server.create("c").await;
}

#[tokio::test]
async fn one_of_our_own_servers_may_be_the_upstream() {
    let (server, source) = (server().await, TestServer::with_repo("team/site").await);
    let body = CommitBody::new("main");
    let body = (0..300).fold(body, |body, at| {
        body.file(&format!("{at}.txt"), format!("file {at}").as_bytes())
    });
    source.commit("team/site", body).await.expect(201);
    // More than fits a small pack, so that it comes as a file.
    let large: String = (0..400_000)
        .map(|at: u32| format!("{:08x}\n", at.wrapping_mul(2_654_435_761)))
        .collect();
    source.put("team/site", "large.txt", &large).await;
    let token = Token::read("team/site").text();
    let base = json!({
        "provider": "git", "url": format!("{}/team/site.git", source.url()),
        "auth": { "token": token, "username": "t" },
    });
    server
        .post("/repos", &write("a"), &json!({ "base_repo": base }))
        .await
        .expect(201);
    server.until_ok("a").await;
    assert_eq!(
        server.branches("a", "").await,
        source.branches("team/site", "").await
    );
    let file = server
        .file("a", "path=large.txt")
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(file, large);
    let newest = source.put("team/site", "more.txt", "more").await;
    server.pull("a", json!({})).await;
    assert_eq!(
        server.branches("a", "").await,
        [("main".to_owned(), newest)]
    );
}
