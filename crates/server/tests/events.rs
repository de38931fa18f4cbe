//! Events as a stream: what comes, what came, and where it ends.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use crate::support::{Key, TestServer, Token, now, register};

/// An open stream.
struct Events {
    bytes: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

/// An event as it came.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

impl Events {
    async fn open(server: &TestServer, query: &str, last: Option<&str>, token: &Token) -> Events {
        let mut request = server.request(reqwest::Method::GET, &format!("/events{query}"), token);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Events {
            bytes: response.bytes_stream().boxed(),
            text: String::new(),
        };
        // Where it starts comes first.
        let start = events.part().await.unwrap();
        assert!(start.contains("id: "), "{start}");
        events
    }

    /// What is before the next blank line; `None`: the stream has ended.
    async fn part(&mut self) -> Option<String> {
        loop {
            if let Some((part, rest)) = self.text.split_once("\n\n") {
                let part = part.to_owned();
                self.text = rest.to_owned();
                return Some(part);
            }
            let wait = Duration::from_secs(20);
            let piece = tokio::time::timeout(wait, self.bytes.next()).await;
            let piece = piece.expect("nothing came")?.ok()?;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    async fn next(&mut self) -> Event {
        let part = self.part().await.expect("the stream has ended");
        let field = |name: &str| {
            let line = part.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {part}"))
                .to_owned()
        };
        Event {
            id: field("id: "),
            kind: field("event: "),
            data: serde_json::from_str(&field("data: ")).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_repository_is_followed_and_gone_on_with() {
    let server = TestServer::with_repo("a").await;
    server.create("b").await;
    let before = server.put("a", "x", "0").await;
    let token = Token::read("a");
    let mut events = Events::open(&server, "", None, &token).await;
    server.put("b", "x", "other").await;
    let (one, two) = (
        server.put("a", "x", "1").await,
        server.put("a", "x", "2").await,
    );
    let (first, second) = (events.next().await, events.next().await);
    assert_eq!(first.kind, "push");
    assert_eq!(
        (&first.data["before"], &first.data["after"]),
        (&before.into(), &one.clone().into())
    );
    assert_eq!(
        (&second.data["before"], &second.data["after"]),
        (&one.into(), &two.into())
    );
    // The rest again, by either way to say where to go on.
    let query = format!("?after={}", first.id);
    assert_eq!(
        Events::open(&server, &query, None, &token)
            .await
            .next()
            .await,
        second
    );
    let mut events = Events::open(&server, "?after=0", Some(&first.id), &token).await;
    assert_eq!(events.next().await, second);
    // All of it.
    let mut events = Events::open(&server, "?after=0", None, &token).await;
    let mut kinds = vec![];
    for _ in 0..4 {
        kinds.push(events.next().await.kind);
    }
    assert_eq!(kinds, ["repo.created", "push", "push", "push"]);
}

#[tokio::test]
async fn an_organisation_is_followed_across_its_repositories() {
    let server = TestServer::with_repo("a").await;
    let token = Token::new("org", &["org:read"]);
    let mut events = Events::open(&server, "", None, &token).await;
    server.create("b").await;
    let sha = server.put("b", "x", "1").await;
    server
        .delete(
            "/repos/delete",
            &Token::new("b", &["repo:write"]),
            &serde_json::json!({}),
        )
        .await
        .expect(200);
    server.put("a", "x", "1").await;
    let mut seen = vec![];
    for _ in 0..4 {
        seen.push(events.next().await);
    }
    let shown: Vec<_> = seen
        .iter()
        .map(|event| {
            let repo = event.data["repository"]["id"].as_str().unwrap();
            (event.kind.as_str(), repo)
        })
        .collect();
    let expected = [
        ("repo.created", "b"),
        ("push", "b"),
        ("repo.deleted", "b"),
        ("push", "a"),
    ];
    assert_eq!(shown, expected);
    assert_eq!(seen[1].data["after"], sha);
    // An id of one stream is one of the other.
    let query = format!("?after={}", seen[2].id);
    assert_eq!(
        Events::open(&server, &query, None, &token)
            .await
            .next()
            .await,
        seen[3]
    );
    // Another organisation's events are nobody else's: a repository's token does not read them.
    for (query, token, status) in [
        ("", Token::new("org", &["repo:write"]), 403),
        ("", Token::read("gone"), 404),
        ("?after=yesterday", Token::read("a"), 400),
        (query.as_str(), Token::read("a"), 400),
    ] {
        server
            .get(&format!("/events{query}"), &token)
            .await
            .expect(status);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_server() {
    let server = TestServer::with_repo("a").await;
    let mut events = Events::open(&server, "", None, &Token::read("a")).await;
    let stopped = tokio::time::timeout(Duration::from_secs(3), server.server.shutdown());
    stopped
        .await
        .expect("a stream kept the server from stopping");
    assert_eq!(events.part().await, None);
}

#[tokio::test]
async fn streams_are_limited() {
    let server = TestServer::with_limits(|limits| {
        limits.event_streams = 1;
        limits.queue_wait = Duration::from_millis(100);
    })
    .await;
    server.create("a").await;
    let token = Token::read("a");
    let events = Events::open(&server, "", None, &token).await;
    let refused = server.get("/events", &token).await.expect(429);
    assert_eq!(refused.code(), "rate_limited");
    assert!(refused.headers.contains_key("retry-after"));
    drop(events);
    for _ in 0..100 {
        let response = server
            .request(reqwest::Method::GET, "/events", &token)
            .send();
        if response.await.unwrap().status() == 200 {
            return;
        }
    }
    panic!("a stream that ended still counts");
}

/// Reads on until the stream ends, and returns the kinds of the events until then.
async fn rest(events: &mut Events) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Some(part) = events.part().await {
        let kind = part.lines().find_map(|line| line.strip_prefix("event: "));
        kinds.extend(kind.map(str::to_owned));
    }
    kinds
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = TestServer::with_repo("a").await;
    let token = Token::read("a").with("exp", (now() + 2).into());
    let mut events = Events::open(&server, "", None, &token).await;
    let began = std::time::Instant::now();
    assert!(rest(&mut events).await.is_empty());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_stream_ends_when_the_key_of_its_token_is_revoked() {
    let server = TestServer::with_repo("a").await;
    let pem = Key::OtherEs256.public_pem();
    let fingerprint = register(&server.server, server.org, pem).await;
    // The new key counts after a moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let token = Token::read("a").signed_by(Key::OtherEs256);
    let mut revoked = Events::open(&server, "", None, &token).await;
    let mut kept = Events::open(&server, "", None, &Token::read("a")).await;
    let catalog = server.server.hosted().catalog();
    assert!(catalog.revoke_key(server.org, &fingerprint).await.unwrap());
    let began = std::time::Instant::now();
    assert!(rest(&mut revoked).await.is_empty());
    assert!(began.elapsed() < Duration::from_secs(5));
    server.put("a", "x", "1").await;
    assert_eq!(kept.next().await.kind, "push");
}

#[tokio::test]
async fn a_stream_ends_after_its_repository_was_deleted() {
    let server = TestServer::with_repo("a").await;
    let mut events = Events::open(&server, "", None, &Token::read("a")).await;
    let token = Token::new("a", &["repo:write"]);
    let began = std::time::Instant::now();
    server
        .delete("/repos/delete", &token, &serde_json::json!({}))
        .await
        .expect(200);
    assert_eq!(rest(&mut events).await, ["repo.deleted"]);
    assert!(began.elapsed() < Duration::from_secs(5));
}
