//! What is written here goes to the upstream, where a repository asks for it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_server::Egress;
use packhouse_server::upstream::CredentialKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::{server, sync_events, write};
use crate::support::{Checkout, CommitBody, Database, TestServer, Token, Upstream, on_both};

on_both!(
    what_is_written_here_goes_there,
    a_branch_that_was_rewritten_here_is_rewritten_there,
    many_writes_in_a_row_all_arrive,
    without_being_asked_for_nothing_goes_there,
    it_is_switched_on_and_off_later,
    the_stored_credential_is_used,
);

/// The upstream's `trunk` with one commit, and a repository that follows it in both directions.
pub(super) async fn both_ways(database: &Database) -> (TestServer, Upstream, String) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    let first = upstream.commit("a.txt", "one").await;
    let more = json!({ "push_through": true });
    server.follow("a", &upstream, more).await.expect(201);
    server.until_ok("a").await;
    (server, upstream, first)
}

impl TestServer {
    /// Waits until what goes to the upstream is as `is` says; returns what `GET /repo` says then.
    pub(super) async fn until_push(&self, is: impl Fn(&Value) -> bool) -> Value {
        let mut found = Value::Null;
        for _ in 0..1000 {
            found = self.get("/repo", &Token::read("a")).await.expect(200).body;
            if is(&found["push"]) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the push stays as it is: {found}");
    }

    /// Waits until the upstream has what was written.
    pub(super) async fn until_pushed(&self) -> Value {
        self.until_push(|push| push["status"] == "ok").await
    }

    /// Commits a file to a branch of `a` and returns the commit's id.
    pub(super) async fn put_on(&self, branch: &str, path: &str, data: &str) -> String {
        let body = CommitBody::new(branch)
            .set("base_branch", json!("trunk"))
            .file(path, data.as_bytes());
        let made = self.commit("a", body).await.expect(201);
        let id = &made.body["commit"]["commit_sha"];
        id.as_str().unwrap().to_owned()
    }
}

async fn what_is_written_here_goes_there(database: &Database) {
    let (server, upstream, first) = both_ways(database).await;
    let found = server.until_pushed().await;
    assert_eq!(found["base_repo"]["push_through"], true);
    assert!(found["push"].get("pushed_at").is_none(), "{found}");
    let runs = found["sync"]["run_count"].clone();

    let second = server.put_on("trunk", "b.txt", "two").await;
    let found = server.until_pushed().await;
    assert!(found["push"]["pushed_at"].is_string(), "{found}");
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, second);
    assert_eq!(
        found["sync"]["run_count"].as_i64(),
        runs.as_i64().map(|runs| runs + 1)
    );

    // By git: a branch, tags of both kinds; and what does not go there.
    let url = server.git_url("a", &Token::write("a"));
    let clone = Checkout::clone(&url, &[]).await;
    let third = clone.commit("c.txt", b"three").await;
    clone.git(&["tag", "light"]).await;
    clone.git(&["tag", "-a", "-m", "first", "v1"]).await;
    clone
        .git(&[
            "push",
            "-q",
            "origin",
            "HEAD:refs/heads/side/x",
            "light",
            "v1",
        ])
        .await;
    clone
        .git(&["push", "-q", "origin", "HEAD:refs/notes/mine"])
        .await;
    let draft = CommitBody::new("draft")
        .set("base_branch", json!("trunk"))
        .set("ephemeral", json!(true))
        .file("d.txt", b"four");
    server.commit("a", draft).await.expect(201);
    server.until_pushed().await;
    let mut expected = server.refs("a").await;
    expected.retain(|(name, _)| name != "refs/notes/mine");
    assert_eq!(upstream.refs().await, expected);
    assert_eq!(upstream.bare(&["rev-parse", "side/x"]).await, third);
    let all = upstream
        .bare(&["for-each-ref", "--format=%(refname)"])
        .await;
    assert!(
        !all.contains("notes") && !all.contains("ephemeral"),
        "{all}"
    );
    upstream.bare(&["fsck", "--full", "--strict"]).await;

    // An ephemeral branch or a note alone is no reason to connect.
    let asked = upstream.asked().len();
    let draft = CommitBody::new("draft")
        .set("ephemeral", json!(true))
        .file("d.txt", b"five");
    server.commit("a", draft).await.expect(201);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(upstream.asked().len(), asked);

    clone
        .git(&["push", "-q", "origin", ":side/x", ":light"])
        .await;
    server.until_pushed().await;
    let names: Vec<String> = upstream
        .refs()
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["refs/heads/trunk", "refs/tags/v1"]);

    // And what comes from there still comes, also with what goes there.
    upstream
        .work(&["fetch", "-q", "../site.git", "trunk"])
        .await;
    upstream
        .work(&["reset", "-q", "--hard", "FETCH_HEAD"])
        .await;
    upstream
        .work(&["checkout", "-q", "-b", "theirs", &first])
        .await;
    let theirs = upstream.commit_to("theirs", "e.txt", "five").await;
    let fourth = server.put_on("trunk", "f.txt", "six").await;
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, fourth);
    let branches = server.branches("a", "").await;
    assert!(
        branches.contains(&("theirs".to_owned(), theirs)),
        "{branches:?}"
    );
    let told = sync_events(&server, "a", "sync.succeeded").await;
    let failed = told.iter().filter(|(kind, _)| kind == "sync.failed");
    assert_eq!(failed.count(), 0, "{told:?}");
}

async fn a_branch_that_was_rewritten_here_is_rewritten_there(database: &Database) {
    let (server, upstream, first) = both_ways(database).await;
    server.put_on("trunk", "b.txt", "two").await;
    server.until_pushed().await;
    let clone = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    clone.git(&["reset", "-q", "--hard", &first]).await;
    let other = clone.commit("c.txt", b"three").await;
    clone
        .git(&["push", "-qf", "origin", "HEAD:refs/heads/trunk"])
        .await;
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, other);
}

async fn many_writes_in_a_row_all_arrive(database: &Database) {
    let (server, upstream, _) = both_ways(database).await;
    let mut last = String::new();
    for number in 0..40 {
        last = server
            .put_on("trunk", "count.txt", &number.to_string())
            .await;
        server
            .put_on(
                &format!("b{}", number % 4),
                "count.txt",
                &number.to_string(),
            )
            .await;
    }
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, last);
    assert_eq!(upstream.bare(&["rev-list", "--count", "trunk"]).await, "41");
    assert_eq!(upstream.refs().await, server.refs("a").await);
    upstream.bare(&["fsck", "--full", "--strict"]).await;
}

async fn without_being_asked_for_nothing_goes_there(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    let first = upstream.commit("a.txt", "one").await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    let found = server.until_ok("a").await;
    assert_eq!(found["base_repo"]["push_through"], false);
    assert!(found.get("push").is_none(), "{found}");
    let asked = upstream.asked().len();
    server.put_on("trunk", "b.txt", "two").await;
    server.pull("a", json!({})).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, first);
    let asked = upstream.asked().split_off(asked);
    let pushes = asked
        .iter()
        .filter(|(path, _)| path.contains("receive-pack"));
    assert_eq!(pushes.count(), 0);
}

async fn it_is_switched_on_and_off_later(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.work(&["branch", "kept"]).await;
    upstream.push().await;
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;
    let mine = server.put_on("mine", "b.txt", "two").await;
    let gone = json!({ "name": "kept" });
    server
        .delete("/repos/branches", &Token::write("a"), &gone)
        .await
        .expect(200);
    let change = async |token: Token, body: Value| {
        let request = server
            .request(Method::PATCH, "/repos/base", &token)
            .json(&body);
        server.send(request).await
    };
    change(Token::write("a"), json!({ "push_through": true }))
        .await
        .expect(403);
    change(write("a"), json!({})).await.expect(400);
    change(write("a"), json!({ "push_through": "yes" }))
        .await
        .expect(400);
    change(write("b"), json!({ "push_through": true }))
        .await
        .expect(404);
    change(write("a"), json!({ "push_through": true }))
        .await
        .expect(200);
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "mine"]).await, mine);
    // It was deleted before anything went there, so it is not deleted there, but comes back as it always did.
    upstream.bare(&["rev-parse", "refs/heads/kept"]).await;
    assert_eq!(server.branches("a", "").await.len(), 3);

    change(write("a"), json!({ "push_through": false }))
        .await
        .expect(200);
    server.put_on("mine", "b.txt", "three").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(upstream.bare(&["rev-parse", "mine"]).await, mine);
    let found = server
        .get("/repo", &Token::read("a"))
        .await
        .expect(200)
        .body;
    assert!(found.get("push").is_none(), "{found}");
    change(write("a"), json!({ "push_through": true }))
        .await
        .expect(200);
    server.until_pushed().await;
    assert_eq!(upstream.refs().await, server.refs("a").await);

    server
        .send(server.request(Method::DELETE, "/repos/base", &write("a")))
        .await
        .expect(200);
    let none = change(write("a"), json!({ "push_through": true }))
        .await
        .expect(400);
    assert!(none.error().contains("has no upstream"));
}

async fn the_stored_credential_is_used(database: &Database) {
    let server = TestServer::with(|config| {
        database.set(config);
        config.egress = Egress::Any;
        config.jobs.first_pause = Duration::from_millis(200);
        config.upstreams.keys = Some(CredentialKeys::parse(&STANDARD.encode([7; 32])).unwrap());
    })
    .await;
    let upstream = Upstream::start().await;
    upstream.commit("a.txt", "one").await;
    upstream.wants("me", "hunter2-sesame");
    let more = json!({
        "push_through": true, "auth": { "token": "hunter2-sesame", "username": "me" },
    });
    server.follow("a", &upstream, more).await.expect(201);
    server.until_ok("a").await;
    let mine = server.put_on("trunk", "b.txt", "two").await;
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, mine);
    // No longer let in: told, without a word of the secret, and not forgotten.
    upstream.wants("me", "another");
    let second = server.put_on("trunk", "b.txt", "three").await;
    let found = server.until("a", |sync| sync["status"] == "failed");
    let found = found.await;
    assert!(!found.to_string().contains("sesame"), "{found}");
    let encoded = STANDARD.encode("me:hunter2-sesame");
    assert!(!found.to_string().contains(&encoded), "{found}");
    upstream.wants("me", "hunter2-sesame");
    server.until_pushed().await;
    assert_eq!(upstream.bare(&["rev-parse", "trunk"]).await, second);
}
