//! Upstreams that are down, slow, empty, shallow, or not there.

use std::time::Duration;

use packhouse_server::Egress;
use serde_json::{Value, json};

use super::{server, sync_events};
use crate::support::{Database, Mood, TestServer, Token, Upstream, git_output, on_both};
on_both!(
    an_upstream_that_is_down_is_tried_again,
    an_upstream_that_takes_too_long_is_given_up_for_now,
    empty_and_shallow_upstreams_are_what_they_are,
    a_renamed_upstream_is_followed_and_what_fails_there_is_told,
);

async fn an_upstream_that_is_down_is_tried_again(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
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
    let told = sync_events(&server, "a", "sync.succeeded").await;
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

async fn an_upstream_that_takes_too_long_is_given_up_for_now(database: &Database) {
    let server = TestServer::with(|config| {
        database.set(config);
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

async fn empty_and_shallow_upstreams_are_what_they_are(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
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

async fn a_renamed_upstream_is_followed_and_what_fails_there_is_told(database: &Database) {
    let (server, upstream) = (server(database).await, Upstream::start().await);
    upstream.commit("a.txt", "one").await;
    upstream.be(Mood::Renamed(None));
    server.follow("a", &upstream, json!({})).await.expect(201);
    server.until_ok("a").await;
    assert_eq!(server.refs("a").await, upstream.refs().await);
    let posted = |asked: Vec<(String, Option<String>)>| {
        let paths = asked.into_iter().map(|(path, _)| path);
        paths
            .filter(|path| path.ends_with("/git-upload-pack"))
            .collect::<Vec<_>>()
    };
    // The whole conversation is where the first answer led.
    let there = posted(upstream.asked());
    assert!(
        !there.is_empty() && there.iter().all(|path| path.starts_with("/moved.git/")),
        "{there:?}"
    );

    let before = server.refs("a").await;
    upstream.commit("b.txt", "two").await;
    upstream.be(Mood::Renamed(Some(503)));
    server
        .post("/repos/pull-upstream", &Token::write("a"), &json!({}))
        .await
        .expect(202);
    let error = server.until_error("a").await;
    assert!(error.contains("HTTP status 503"), "{error}");
    assert_eq!(server.refs("a").await, before);
    let told = sync_events(&server, "a", "sync.failed").await;
    assert!(
        told.last().unwrap().1["error"]
            .as_str()
            .unwrap()
            .contains("503")
    );
    // It was deleted there: nothing here goes with it.
    upstream.be(Mood::Renamed(Some(404)));
    let found = server
        .until("a", |sync| {
            sync["error"]
                .as_str()
                .is_some_and(|error| !error.contains("503"))
        })
        .await;
    let error = found["sync"]["error"].as_str().unwrap();
    assert!(
        error.contains("not found") || error.contains("404"),
        "{error}"
    );
    assert_eq!(server.refs("a").await, before);
    upstream.be(Mood::Renamed(None));
    server.until_ok("a").await;
    assert_eq!(server.refs("a").await, upstream.refs().await);
}
